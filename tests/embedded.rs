//! The embedded database under `farebox`: cold, after Ctrl-C, after kill -9, as an ordinary user.

use crate::harness::{Client, Process, until};
use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

/// A uid that exists on every system and may nothing.
const NOBODY: u32 = 65_534;

fn farebox(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farebox"));
    command.args(["--port", "0", "--data"]).arg(data).env("FAREBOX_ENV", "development");
    command.env_remove("DATABASE_URL").env_remove("FAREBOX_DATA");
    command
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()))
}

async fn demo_rider(farebox: &Process) -> Client {
    let base = farebox.base();
    let ready = Client::stranger(&base);
    until("it is ready", || async { ready.get("/health/ready").await.status == 200 }).await;
    Client::with_password(&base, "rider1", "farebox-demo").await
}

async fn first_trip(rider: &Client) -> String {
    let day = (chrono::Utc::now() + chrono::Duration::days(2)).format("%F");
    let trips = rider.get(&format!("/v1/trips?date={day}")).await;
    trips.expect(200)["items"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn data_survives_ctrl_c_and_kill_dash_nine() {
    let data = folder("survives");
    let first = Process::start(farebox(&data));
    let rider = demo_rider(&first).await;
    let trip = first_trip(&rider).await;
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay(&order).await.expect(200);
    let mut first = first;
    first.signal("-INT");
    assert!(first.wait().success(), "{}", first.log());

    let mut second = Process::start(farebox(&data));
    let rider = demo_rider(&second).await;
    assert_eq!(rider.get(&format!("/v1/orders/{order}")).await.expect(200)["status"], "paid");
    let dying = rider.fault("order_add_seats_cancle.after=abort");
    assert!(
        dying.try_post("/v1/orders", &serde_json::json!({"trip_id": trip, "seats": ["2"]})).await.is_err()
    );
    assert!(!second.wait().success(), "abort is a kill from inside");

    let mut third = Process::start(farebox(&data));
    let rider = demo_rider(&third).await;
    assert_eq!(rider.balance().await, "996.00", "demo money is given once");
    third.kill();

    let fourth = Process::start(farebox(&data));
    let rider = demo_rider(&fourth).await;
    assert_eq!(rider.get(&format!("/v1/orders/{order}")).await.expect(200)["status"], "paid");
    drop(fourth);
    let _ = std::fs::remove_dir_all(&data);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_user_needs_nothing_either() {
    let data = std::env::temp_dir().join(format!("farebox-nobody-{}", std::process::id()));
    // The binary may lie where an ordinary user cannot reach it: he gets a copy.
    std::fs::create_dir(&data).unwrap();
    let copy = data.join("farebox");
    // By another process: while this one has a file open for writing, whoever is started meanwhile has it too, and it is busy.
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_farebox")).arg(&copy).status().unwrap().success());
    let mut command = Command::new(&copy);
    command.args(["--port", "0", "--data"]).arg(data.join("data")).current_dir(&data).env("HOME", &data);
    command.env("FAREBOX_ENV", "development").env_remove("DATABASE_URL").env_remove("FAREBOX_DATA");
    if is_root(&data) {
        std::os::unix::fs::chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    let farebox = Process::start(command);
    let rider = demo_rider(&farebox).await;
    let trip = first_trip(&rider).await;
    rider.booked(&trip, &["1"]).await;
    drop(farebox);
    let _ = std::fs::remove_dir_all(&data);
}

fn is_root(of: &Path) -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(of).unwrap()) == 0
}
