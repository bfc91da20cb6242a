//! The tour of the clients' book, as written: a shell runs it against the binary of `cargo run`.

use crate::harness::{Process, folder, tools, until};
use std::{process::Command, time::Duration};

/// How long the tour may take. Its longest wait is for an unpaid order's 20 seconds.
const LIMIT: Duration = Duration::from_secs(180);

/// All ```sh blocks of the tour.
fn tour() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/clients/tour.md");
    let tour = std::fs::read_to_string(path).unwrap();
    tour.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_tour_works_as_written() {
    tools::need(&["curl", "jq"]);
    let data = folder("tour");
    let mut command = Command::new(env!("CARGO_BIN_EXE_farebox"));
    command.args(["--port", "0", "--hold", "20", "--data"]).arg(&data);
    command.env_remove("DATABASE_URL").env("FAREBOX_ENV", "development");
    let farebox = Process::start(command);
    let base = farebox.base();
    let script = tour().replace("http://127.0.0.1:8087", &base);
    let mut shell = tokio::process::Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &script]).kill_on_drop(true);
    let ran = tokio::time::timeout(LIMIT, shell.output()).await.expect("the tour ends").unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}\n{err}");
    for seen in [
        "\"status\":\"unpaid\"",
        "\"status\":\"paid\"",
        "\"rollback\":\"queued\"",
        "\"closed_reason\":\"expired\"",
        "\"status\":\"refunded\"",
        "\"holds\":true",
    ] {
        assert!(out.contains(seen), "no {seen} in:\n{out}\n{err}");
    }
    farebox.signal(libc::SIGINT);
    until("it has stopped", || async { farebox.log().contains("stopping") }).await;
    drop(farebox);
    let _ = std::fs::remove_dir_all(&data);
}
