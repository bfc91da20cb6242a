//! Readiness, watchdog and stop, as systemd learns of them.

use crate::harness::{Process, ServiceManager, World, command};
use std::time::{Duration, Instant};

const API: &str = env!("CARGO_BIN_EXE_farebox-api");
const WORKER: &str = env!("CARGO_BIN_EXE_farebox-worker");
const BEAT: &str = "WATCHDOG=1";

/// A process with a service manager whose watchdog has this time.
fn start(
    program: &str,
    url: &str,
    manager: &ServiceManager,
    watchdog: Duration,
    more: &[(&str, &str)],
) -> Process {
    let mut command = command(program, url, more);
    command.envs(manager.env(watchdog));
    Process::start(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_says_when_it_serves_lives_and_stops() {
    let world = World::new().await;
    let watchdog = Duration::from_secs(8);
    for program in [API, WORKER] {
        let manager = ServiceManager::new();
        let metrics = [("FAREBOX__WORKER__METRICS_LISTEN", "127.0.0.1:0")];
        let mut process = start(program, &world.db.url, &manager, watchdog, &metrics);
        manager.until("READY=1");
        let base = if program == API { process.base() } else { process.metrics() };
        let ready = reqwest::get(format!("{base}/health/ready")).await.unwrap();
        assert_eq!(ready.status(), 200, "{program}");
        for _ in 0..3 {
            let message = manager.next(watchdog / 2);
            assert_eq!(message.as_deref().map(str::trim), Some(BEAT), "{program}: within half of the time");
        }
        process.signal(libc::SIGTERM);
        manager.until("STOPPING=1");
        assert!(process.wait().success(), "{program}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_is_stuck_shows_no_life() {
    let world = World::new().await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(20).await);
    let (manager, watchdog) = (ServiceManager::new(), Duration::from_secs(2));
    let one_thread = [("TOKIO_WORKER_THREADS", "1")];
    let api = start(API, &world.db.url, &manager, watchdog, &one_thread);
    manager.until("READY=1");
    manager.until(BEAT);
    let stuck = rider.at(&api.base()).fault("order_add_cancle.before=block:8000");
    let booking = tokio::spawn(async move { stuck.book(&trip, &["1"]).await });
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    while !booking.is_finished() {
        if manager.next(Duration::from_millis(200)).is_some() {
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
    }
    longest = longest.max(last.elapsed());
    assert!(longest > watchdog, "systemd would not have noticed: {longest:?}");
    // Unstuck, it lives.
    booking.await.unwrap().expect(201);
    manager.until(BEAT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_without_a_database_waits_and_is_not_ready() {
    let manager = ServiceManager::new();
    let url = "postgres://farebox@localhost/farebox?host=/nowhere";
    let process = start(API, url, &manager, Duration::from_secs(8), &[]);
    let seen = manager.until("STATUS=waiting for the database");
    assert!(!seen.concat().contains("READY=1") && !seen.concat().contains(BEAT), "{seen:?}");
    drop(process);
}
