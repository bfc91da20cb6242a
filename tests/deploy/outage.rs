//! The database goes away and comes back; schemas that do not fit; processes that refuse to start.

use crate::harness::{OwnServer, Process, World, command, count, signal, until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_database_goes_away_and_comes_back() {
    let mut own = OwnServer::start("outage", &[("FAREBOX__DATABASE__ACQUIRE_TIMEOUT_MS", "500")]).await;
    let _worker = Process::worker(&own.url, &[], &[]);
    let (trip, rider) = (own.trip.clone(), own.rider.clone());
    let order = rider.booked(&trip, &["1"]).await;

    kill(&own);
    until("the API says 503", || async { rider.get("/health/ready").await.status == 503 }).await;
    let away = rider.book(&trip, &["2"]).await;
    away.problem(503, "003097");
    assert!(away.headers.contains_key("retry-after"), "{:?}", away.headers);
    rider.get("/health/live").await.expect(200);

    own.restart().await;
    until("the API is back", || async { rider.get("/health/ready").await.status == 200 }).await;
    assert_eq!(rider.get(&format!("/v1/orders/{order}")).await.expect(200)["status"], "unpaid");
    rider.booked(&trip, &["2"]).await;
    rider.fault("order_add_seats_cancle.after=error").book(&trip, &["3"]).await.problem(500, "003099");
    until("the worker is back", || async {
        rider.get(&format!("/v1/trips/{trip}")).await.body["free_seats"] == 18
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_changes_survive_a_server_that_is_killed_at_once() {
    let mut own = OwnServer::start("acknowledged", &[]).await;
    let (trip, rider) = (own.trip.clone(), own.rider.clone());
    own.top_up(&rider, "100.00").await;
    let kept = rider.booked(&trip, &["1"]).await;
    kill_at_once(&mut own).await;
    assert_eq!(rider.get(&format!("/v1/orders/{kept}")).await.expect(200)["status"], "unpaid");
    assert_eq!(rider.balance().await, "100.00");

    rider.pay(&kept).await.expect(200);
    kill_at_once(&mut own).await;
    assert_eq!(rider.get(&format!("/v1/orders/{kept}")).await.expect(200)["status"], "paid");
    assert_eq!(rider.balance().await, "96.00");

    rider.post(&format!("/v1/orders/{kept}/refund"), &json!({})).await.expect(200);
    kill_at_once(&mut own).await;
    assert_eq!(rider.get(&format!("/v1/orders/{kept}")).await.expect(200)["status"], "refunded");
    assert_eq!(rider.balance().await, "100.00");

    let given_up = rider.booked(&trip, &["2"]).await;
    rider.post(&format!("/v1/orders/{given_up}/cancel"), &json!({})).await.expect(200);
    kill_at_once(&mut own).await;
    assert_eq!(rider.get(&format!("/v1/orders/{given_up}")).await.expect(200)["status"], "closed");

    // No worker runs: the acknowledged job waits.
    let failed = rider.fault("order_add_cancle.after=error").book(&trip, &["3"]).await;
    failed.problem(500, "003099");
    assert_eq!(failed.body["rollback"], "queued");
    kill_at_once(&mut own).await;
    let due = "select count(*) from queue.job where tag = 'order_add_cancle' and run_at <= now()";
    assert_eq!(count(&own.pool(), due).await, 1);
}

/// Without a goodbye.
fn kill(own: &OwnServer) {
    assert!(signal::send(own.postmaster(), libc::SIGQUIT));
}

/// The server is killed as soon as this can be done, and started again.
async fn kill_at_once(own: &mut OwnServer) {
    kill(own);
    own.restart().await;
    let rider = own.rider.clone();
    until("the API is back", || async { rider.get("/health/ready").await.status == 200 }).await;
    // Of the connections that broke, one is noticed by a request.
    until("the API reads", || async { rider.get("/v1/wallet").await.status == 200 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_all_the_connections_that_broke_one_is_noticed() {
    const CONNECTIONS: usize = 16;
    // Slow reads of a dozen at once make the pool open what it may.
    let mut own = OwnServer::start("broken-pool", &[]).await;
    let (rider, trip, pool) = (own.rider.clone(), own.trip.clone(), own.pool());
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("lock table wallet").execute(&mut *lock).await.unwrap();
    let reads: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let rider = rider.clone();
            tokio::spawn(async move { rider.get("/v1/wallet").await.status })
        })
        .collect();
    until("all of them wait", async || {
        let waiting = "select count(*) from pg_stat_activity where application_name = 'farebox-api' and wait_event_type = 'Lock'";
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pool).await.unwrap() == CONNECTIONS as i64
    })
    .await;
    lock.rollback().await.unwrap();
    for read in reads {
        assert_eq!(read.await.unwrap(), 200);
    }
    kill(&own);
    own.restart().await;
    let mut failed = 0;
    for seat in 1..=CONNECTIONS {
        let booked = rider.book(&trip, &[&seat.to_string()]).await.status;
        assert!(booked == 201 || booked == 503, "{booked}");
        failed += usize::from(booked == 503);
    }
    assert!(failed <= 1, "{failed} of {CONNECTIONS} requests failed after the server was back");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_refuse_what_they_do_not_know() {
    let world = World::new().await;
    let worker = env!("CARGO_BIN_EXE_farebox-worker");
    let api = env!("CARGO_BIN_EXE_farebox-api");
    let refuses = |command: std::process::Command, text: &str| {
        let mut process = Process::start(command);
        assert!(!process.wait().success());
        process.wait_for_line(text);
    };
    let mut odd = command(worker, &world.db.url, &[]);
    odd.args(["--tags", "order_add_cancel"]);
    refuses(odd, "unknown tag");
    refuses(
        command(api, &world.db.url, &[("FAREBOX__BOOKING__HOLD_SEC", "3")]),
        "did you mean `booking.hold_secs`",
    );
    refuses(command(api, &world.db.url, &[("FAREBOX__SECRETS__PEPPER", "")]), "FAREBOX__SECRETS__PEPPER");
    refuses(command(api, &world.db.url, &[("FAREBOX_ENV", "production")]), "refused in production");
    sqlx::query("update _sqlx_migrations set version = 9999 where version = (select max(version) from _sqlx_migrations)")
        .execute(&world.pool).await.unwrap();
    refuses(command(worker, &world.db.url, &[]), "9999");
}

/// A migration may take as long as a large table needs; requests may not.
#[tokio::test(flavor = "multi_thread")]
async fn migrations_may_take_longer_than_a_request() {
    let db = crate::harness::Database::empty().await;
    let short = [("FAREBOX__DATABASE__STATEMENT_TIMEOUT_MS", "15")];
    let mut migrate = command(env!("CARGO_BIN_EXE_farebox"), &db.url, &short);
    let done = migrate.env("DATABASE_URL", &db.url).arg("migrate").output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
