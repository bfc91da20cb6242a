//! Old orders without number: what is done every day reads none of them.

use super::{Month, broken, riders_with_trips};
use crate::harness::{OwnServer, Process, until};
use sqlx::{Connection, PgConnection};
use std::time::Instant;

/// Each live job is looked for in today's partition, which holds few rows in the morning. So few
/// live jobs that this is by the index at any hour: for a hundred, the planner rightly reads a
/// partition of a thousand rows from end to end.
const UNPAID: u64 = 5;
/// As on the disks that such databases are on.
const PLANNER: [&str; 2] = ["alter system set random_page_cost = 1.1", "select pg_reload_conf()"];
/// Tables that grow with every order. The server counts how often each, or one of its partitions,
/// is read from end to end; some are as good as empty here.
const SCANS: &str = "select relname || ': ' || seq_scan from pg_stat_user_tables
    where seq_tup_read > 1000 and (relname in ('orders', 'order_event', 'seat', 'ledger_entry', 'payment', 'barrier', 'idempotency',
                                        'trip') or relname like 'finished%')
    order by 1";
/// Connections report their counts when they end.
const HANG_UP: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()";
const OTHERS: &str =
    "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
/// What reads everything on purpose, and would be counted.
const NO_DUTIES: &str = "update queue.maintenance_task set next_at = now() + interval '1 day'";

async fn with_old_orders(orders: u64) {
    let own = OwnServer::start("old-orders", &[]).await;
    Month { orders, unpaid: UNPAID }.fill(&own).await;
    let before = own.pool();
    for sql in PLANNER {
        sqlx::query(sql).execute(&before).await.unwrap();
    }
    assert_eq!(broken(&before).await, [""; 0]);
    before.close().await;
    let riders = riders_with_trips(&own, 1).await;
    let ((rider, trip), pool) = (&riders[0], own.pool());
    sqlx::query(NO_DUTIES).execute(&pool).await.unwrap();
    let worker = Process::worker(&own.url, &[], &[]);
    worker.wait_for_line("working");
    let mut db = PgConnection::connect(&own.url).await.unwrap();
    sqlx::query("select pg_stat_reset()").execute(&mut db).await.unwrap();

    let began = Instant::now();
    let paid = rider.key("once").booked(trip, &["1"]).await;
    assert_eq!(rider.key("once").booked(trip, &["1"]).await, paid);
    rider.pay(&paid).await.expect(200);
    rider.get("/v1/orders?limit=20").await.expect(200);
    rider.get("/v1/wallet/entries?limit=20").await.expect(200);
    rider.refund(&paid).await.expect(200);
    let cancelled = rider.booked(trip, &["2"]).await;
    rider.cancel(&cancelled).await.expect(200);
    rider.fault("order_calc_money_cancle.before=error").book(trip, &["3"]).await.problem(500, "003099");
    let overdue = rider.booked(trip, &["4"]).await;
    for sql in [
        "update orders set created_at = created_at - interval '1 day', expires_at = now() where id = $1::uuid",
        "update queue.job set run_at = now() where tag = 'order_unpaid' and key = $1",
    ] {
        sqlx::query(sql).bind(&overdue).execute(&pool).await.unwrap();
    }
    until("the overdue one is closed", async || {
        rider.get(&format!("/v1/orders/{overdue}")).await.body["status"] == "closed"
    })
    .await;
    let flows = began.elapsed();
    let began = Instant::now();
    let recent = own.rider.get("/v1/ops/verify?recent_secs=3600").await;
    assert_eq!(recent.expect(200)["holds"], true, "{}", recent.text);
    println!("{orders} old orders: flows in {flows:.2?}, verify of an hour in {:.2?}", began.elapsed());

    drop(worker);
    sqlx::query(HANG_UP).execute(&mut db).await.unwrap();
    until("the others have hung up", async || {
        let mut db = PgConnection::connect(&own.url).await.unwrap();
        sqlx::query(HANG_UP).execute(&mut db).await.unwrap();
        sqlx::query_scalar::<_, i64>(OTHERS).fetch_one(&mut db).await.unwrap() == 0
    })
    .await;
    let mut db = PgConnection::connect(&own.url).await.unwrap();
    let scans: Vec<String> = sqlx::query_scalar(SCANS).fetch_all(&mut db).await.unwrap();
    assert_eq!(scans, [""; 0], "read from end to end");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_orders_are_not_read() {
    with_old_orders(20_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes"]
async fn half_a_million_old_orders_are_not_read() {
    with_old_orders(500_000).await;
}
