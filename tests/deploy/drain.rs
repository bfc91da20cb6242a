//! An API that is asked to stop: proxies turn away before its port closes.

use crate::harness::{Client, Process, World, count, until};
use std::time::{Duration, Instant};

/// How long the API of a test serves on, where the test waits for its end.
const DRAIN: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stops_is_not_ready_and_serves_what_comes() {
    // Longer than this test: what is asked below is asked while it drains.
    let env = [("FAREBOX__HTTP__DRAIN_MS", "600000"), ("FAREBOX__HTTP__METRICS_LISTEN", "127.0.0.1:0")];
    let world = World::with(&env).await;
    let metrics = Client::stranger(&world.api.metrics());
    metrics.get("/health/ready").await.expect(200);
    let rider = world.rider("10.00").await;
    let trip = world.trip(4).await;
    let before = rider.get("/v1/wallet").await;
    assert!(!before.headers.contains_key("connection"), "{:?}", before.headers);
    world.api.signal(libc::SIGTERM);
    until("it is not ready", || async { rider.get("/health/ready").await.status == 503 }).await;
    let asked = rider.get("/health/ready").await;
    assert!(asked.headers.contains_key("retry-after"), "{:?}", asked.headers);
    assert!(asked.text.contains("the process was asked to stop"), "{}", asked.text);
    rider.get("/health/live").await.expect(200);
    // Its own listener for metrics says the same, and is scraped on.
    assert_eq!(metrics.get("/health/ready").await.status, 503);
    assert_eq!(metrics.get("/metrics").await.status, 200);
    // On the connection of before, and on fresh ones.
    let order = rider.booked(&trip, &["1"]).await;
    let paid = rider.pay(&order).await;
    paid.expect(200);
    assert_eq!(paid.headers["connection"], "close");
    rider.at(&world.api.base()).refund(&order).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_process_ends_by_itself() {
    let ms = DRAIN.as_millis().to_string();
    let mut world = World::with(&[("FAREBOX__HTTP__DRAIN_MS", &ms)]).await;
    let rider = world.rider("10.00").await;
    rider.get("/v1/wallet").await.expect(200);
    let signalled = Instant::now();
    world.api.signal(libc::SIGTERM);
    assert!(world.api.wait().success(), "{}", world.api.log());
    assert!(signalled.elapsed() >= DRAIN, "it did not drain");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stops_is_not_ready() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("0").await;
    // Its undo waits at a fault for longer than this test, so the worker goes on stopping.
    rider.fault("order_add_seats_cancle.after=error").book(&trip, &["1"]).await.problem(500, "003099");
    let env = [
        ("FAREBOX__WORKER__METRICS_LISTEN", "127.0.0.1:0"),
        ("FAREBOX__WORKER__GRACE_MS", "600000"),
        ("FAREBOX_FAULTS", "undo.order_add_seats_cancle.before=sleep:60000"),
    ];
    let worker = Process::worker(&world.db.url, &env, &[]);
    let metrics = Client::stranger(&worker.metrics());
    metrics.get("/health/ready").await.expect(200);
    let running =
        "select count(*) from queue.job where lease_token is not null and tag = 'order_add_seats_cancle'";
    until("the undo runs", async || count(&world.pool, running).await == 1).await;
    worker.signal(libc::SIGTERM);
    until("it is not ready", async || metrics.get("/health/ready").await.status == 503).await;
    metrics.get("/health/live").await.expect(200);
}
