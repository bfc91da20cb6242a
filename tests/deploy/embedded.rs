//! The embedded database under `farebox`: cold, after Ctrl-C, after kill -9, as an ordinary user.

use crate::harness::{Client, Clock, OwnServer, Process, folder, signal, until};
use farebox::embedded;
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::{fs::DirBuilderExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A uid that exists on every system and may nothing.
const NOBODY: u32 = 65_534;

fn farebox(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farebox"));
    command.args(["--port", "0", "--data"]).arg(data).env("FAREBOX_ENV", "development");
    command.env_remove("DATABASE_URL").env_remove("FAREBOX_DATA");
    command
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
    rider.pay_with(&order, "123456").await.expect(200);
    let mut first = first;
    first.signal(libc::SIGINT);
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
    let data = folder("nobody");
    // The binary may lie where an ordinary user cannot reach it: that user gets a copy.
    std::fs::create_dir(&data).unwrap();
    let copy = data.join("farebox");
    // By another process: while this one has a file open for writing, a process that starts
    // meanwhile inherits it, and the file is busy.
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

/// Only root's server runs as another user, which may not reach the folder that root names. An ordinary
/// user's server runs as that user, so its data is never elsewhere and there is nothing to test.
#[tokio::test(flavor = "multi_thread")]
async fn the_folder_of_roots_data_is_printed_at_every_log_level() {
    let closed = folder("closed");
    fs::DirBuilder::new().mode(0o700).create(&closed).unwrap();
    if !is_root(&closed) {
        println!("not tried: this run is not root's");
        return;
    }
    let data = closed.join("data");
    let mut command = farebox(&data);
    command.env("FAREBOX__LOG__FILTER", "off").stdout(Stdio::null()).stderr(Stdio::piped());
    let mut farebox = command.spawn().unwrap();
    let mut lines = BufReader::new(farebox.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("cannot reach the data folder"));
    let _ = farebox.kill();
    let _ = farebox.wait();
    let line = line.expect("a line that tells it");
    assert!(line.contains(&data.canonicalize().unwrap().display().to_string()), "{line}");
    let printed = Path::new(line.rsplit("the data is in ").next().unwrap());
    assert!(printed.is_dir(), "{line}");
    // Its server stops by itself; then what it leaves can go.
    let lock =
        File::options().write(true).create(true).truncate(false).open(printed.join("server.lock")).unwrap();
    until("the server has stopped", async || lock.try_lock().is_ok()).await;
    embedded::remove(&data).unwrap();
    assert!(!printed.exists());
}

/// Set for a run that is to be killed.
const KILLED_RUN: &str = "FAREBOX_TEST_KILLED_RUN";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "only the test below runs it, to kill it"]
async fn a_run_with_a_server() {
    if std::env::var_os(KILLED_RUN).is_none() {
        return;
    }
    let own = OwnServer::start("killed", &[]).await;
    let _clock = Clock::ahead(0);
    println!("\nits API is {}, it is in {}", own.api_pid(), folder("").display());
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_leaves_nothing() {
    let mut run = Command::new(std::env::current_exe().unwrap());
    run.args(["--exact", "deploy::embedded::a_run_with_a_server", "--ignored", "--nocapture"]);
    let mut run = run.env(KILLED_RUN, "yes").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("it is in ")).expect("the run begins");
    let (api, left) = line.split_once(", it is in ").expect("two parts");
    let (api, left) = (api.rsplit(' ').next().unwrap().parse().unwrap(), PathBuf::from(left));
    assert!(left.join("killed").is_dir());
    run.kill().unwrap();
    run.wait().unwrap();
    until("its folder is gone", async || !left.exists()).await;
    // An API process outlives the one that started it, as it should. This one is nobody's any more.
    assert!(signal::send(api, libc::SIGKILL));
}

fn is_root(of: &Path) -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(of).unwrap()) == 0
}
