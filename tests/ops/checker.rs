//! The checker finds what the test breaks, reports it everywhere, and reads no further back than asked.

use crate::harness::{Process, World, command, until};
use serde_json::Value;
use sqlx::PgPool;
use std::process::Output;

const REMEMBER: &str =
    "insert into order_event (order_id, status, reason) values ($1::uuid, 'closed', 'cancelled_by_rider')";

/// Breaks `states_have_their_history` for this order, as the owner of the tables can.
pub async fn forget(pool: &PgPool, order: &str) {
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.unwrap();
    let forget = "delete from order_event where order_id = $1::uuid and status = 'closed'";
    sqlx::query(forget).bind(order).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// The metric's value, if there is one.
async fn metric(base: &str, name: &str) -> Option<f64> {
    let text = reqwest::get(format!("{base}/metrics")).await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

fn farebox(world: &World, args: &[&str]) -> Output {
    command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, &[]).args(args).output().unwrap()
}

/// The next check by a worker is due.
pub async fn schedule_check(pool: &PgPool) {
    sqlx::query("update queue.maintenance_task set next_at = now() where name = 'farebox_verify'")
        .execute(pool)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_invariant_is_reported_everywhere() {
    const AGE: &str = "farebox_invariants_age_seconds";
    const BROKEN: &str = "farebox_invariant_breaches{invariant=\"states_have_their_history\"}";
    const WHOLE: &str = "farebox_invariant_breaches{invariant=\"wallets_are_their_entries\"}";
    let world = World::new().await;
    let (trip, rider, api) = (world.trip(20).await, world.rider("0").await, world.api.base());
    let order = rider.booked(&trip, &["1"]).await;
    rider.cancel(&order).await.expect(200);
    assert_eq!(metric(&api, AGE).await, None, "nobody has checked yet: there is no age, not one of 0 s");
    assert_eq!(metric(&api, BROKEN).await, None);

    let worker = Process::worker(&world.db.url, &[("FAREBOX__WORKER__METRICS_LISTEN", "127.0.0.1:0")], &[]);
    until("the first check is done", async || metric(&api, AGE).await.is_some()).await;
    assert_eq!(metric(&api, BROKEN).await, Some(0.0));
    assert!(farebox(&world, &["verify"]).status.success());
    assert!(!worker.log().contains("states_have_their_history"));

    forget(&world.pool, &order).await;
    schedule_check(&world.pool).await;
    until("the breach is shown", async || metric(&api, BROKEN).await == Some(1.0)).await;
    assert_eq!(metric(&worker.metrics(), BROKEN).await, Some(1.0), "a worker shows it as well");
    assert_eq!(metric(&api, WHOLE).await, Some(0.0), "the others hold");
    let line = worker.wait_for_line("states_have_their_history");
    assert!(line.contains("ERROR") && line.contains(&order), "{line}");
    let output = farebox(&world, &["verify"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("BREACH Every order's state has its history row, but for booked and paid, which its own row tells. (1)\n") && text.contains(&order),
        "{text}"
    );
    let output = farebox(&world, &["verify", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdict["holds"], false);
    assert_eq!(world.ops.get("/v1/ops/verify").await.expect(200)["holds"], false);

    sqlx::query(REMEMBER).bind(&order).execute(&world.pool).await.unwrap();
    schedule_check(&world.pool).await;
    until("it is shown that it was mended", async || metric(&api, BROKEN).await == Some(0.0)).await;
    assert!(farebox(&world, &["verify"]).status.success());

    drop(worker);
    sqlx::query("update verdict set at = at - interval '1 hour'").execute(&world.pool).await.unwrap();
    let age = metric(&api, AGE).await.unwrap();
    assert!((3_600.0..3_700.0).contains(&age), "{age}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recent_check_reads_no_further_back_than_asked() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(20).await, world.rider("0").await);
    // An order of two hours ago, closed, without the row of its history.
    sqlx::query(
        "insert into orders (id, rider_id, trip_id, seats, unit_price, amount, status, created_at, expires_at, closed_at,
                             closed_reason)
         values ((lpad(to_hex((extract(epoch from now() - interval '2 hours') * 1000)::bigint), 12, '0')
                  || '7' || repeat('0', 3) || '8' || repeat('0', 15))::uuid,
                 $1, $2::uuid, '{1}', 4, 4, 'closed', now() - interval '2 hours', now() - interval '1 hour', now(),
                 'expired')",
    )
    .bind(rider.id.0)
    .bind(&trip)
    .execute(&world.pool)
    .await
    .unwrap();
    let over_http = async |secs: &str| {
        let report = world.ops.get(&format!("/v1/ops/verify?recent_secs={secs}")).await;
        report.expect(200)["holds"].as_bool().unwrap()
    };
    assert!(over_http("3600").await, "it is older than that");
    assert!(!over_http("10800").await);
    for secs in ["0", "-1", "31536001"] {
        world.ops.get(&format!("/v1/ops/verify?recent_secs={secs}")).await.expect(422);
    }
    assert_eq!(farebox(&world, &["verify", "--recent", "1"]).status.code(), Some(0));
    assert_eq!(farebox(&world, &["verify", "--recent", "3"]).status.code(), Some(1));
    assert_eq!(farebox(&world, &["verify"]).status.code(), Some(1));
    assert_eq!(farebox(&world, &["verify", "--recent", "0"]).status.code(), Some(2), "no such time");
}
