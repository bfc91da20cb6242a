//! How much memory idle connections take. Measures; asserts only that all are served.

use crate::harness::{Database, Process, Wire};
use std::fs;

/// What one process accepts by default.
const CONNECTIONS: usize = 4096;

/// The resident memory of a process, KiB.
fn resident(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures; opens 4,096 connections"]
async fn memory_of_idle_connections() {
    let db = Database::fresh().await;
    let api = Process::api(&db.url, &[]);
    let base = api.base();
    assert_eq!(Wire::to(&base).await.ask("GET /health/ready", "").await.status, 200);
    let before = resident(api.pid());
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        open.push(Wire::to(&base).await);
    }
    let mut last = Wire::to(&base).await;
    for wire in &mut open {
        assert_eq!(wire.ask("GET /health/live", "").await.status, 200);
    }
    let after = resident(api.pid());
    // One more waits until another one leaves.
    drop(open.pop());
    assert_eq!(last.ask("GET /health/live", "").await.status, 200);
    println!(
        "{CONNECTIONS} idle connections: {before} KiB before, {after} KiB after, {:.1} KiB each",
        (after - before) as f64 / CONNECTIONS as f64
    );
}
