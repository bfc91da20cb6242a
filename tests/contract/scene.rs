//! What generated clients meet: a rider with money and a payment that failed, a trip, and a seat that
//! somebody else has.

use crate::harness::{PASSWORD, PAY_PASSWORD, World};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

pub struct Scene {
    world: World,
    trip: String,
    /// The address of the API, and what the scenario needs, as variables of its environment.
    pub env: Vec<(&'static str, String)>,
}

impl Scene {
    pub async fn new() -> Self {
        let world = World::new().await;
        let trip = world.trip(10).await;
        let rider = world.rider("100.00").await;
        let other = world.rider("100.00").await;
        other.booked(&trip, &["3"]).await;
        let failed = rider.booked(&trip, &["7"]).await;
        rider.fault("pay_money_cancle.after=error").pay(&failed).await.problem(500, "003099");
        let worker = world.worker();
        world.drained().await;
        drop(worker);
        rider.cancel(&failed).await.expect(200);
        let profile = rider.get("/v1/riders/me").await;
        let name = profile.expect(200)["user_name"].as_str().unwrap().to_owned();
        let env = vec![
            ("FAREBOX_URL", world.api.base()),
            ("FAREBOX_USER", name),
            ("FAREBOX_PASSWORD", PASSWORD.to_owned()),
            ("FAREBOX_PAY_PASSWORD", PAY_PASSWORD.to_owned()),
            ("FAREBOX_TRIP", trip.clone()),
            ("FAREBOX_FAILED", failed),
        ];
        Self { world, trip, env }
    }

    /// What the scenario has left behind: a paid order, one refunded, one unpaid; and the other rider's.
    pub async fn check(&self) {
        let count = |status: &'static str| async move {
            let sql = "select count(*) from orders where trip_id = $1::uuid and status = $2";
            let counted = sqlx::query_scalar::<_, i64>(sql).bind(&self.trip).bind(status);
            counted.fetch_one(&self.world.pool).await.unwrap()
        };
        let left = [count("paid").await, count("refunded").await, count("unpaid").await];
        assert_eq!(left, [1, 1, 2]);
        self.world.verify().await;
    }
}

/// An empty folder of this name.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let document = serde_json::to_string(farebox::http::description()).unwrap();
    fs::write(folder.join("openapi.json"), document).unwrap();
    folder
}

/// Runs a program to its end, and fails with what it said if it fails.
pub async fn run(mut command: Command) -> String {
    tokio::task::spawn_blocking(move || {
        let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let said =
            format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{command:?}\n{said}");
        said
    })
    .await
    .unwrap()
}
