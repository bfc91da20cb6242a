//! `PgBouncer` before the database: in session mode everything works, the other modes are refused.

use crate::harness::{Database, Pooler, Process, World, command, count, settings, until};
use farebox::storage;
use serde_json::json;

/// What the refusal says.
const RULE: &str = "set pool_mode = session";

fn programs() -> [(&'static str, &'static [&'static str]); 5] {
    let farebox = env!("CARGO_BIN_EXE_farebox");
    [
        (env!("CARGO_BIN_EXE_farebox-api"), &[]),
        (env!("CARGO_BIN_EXE_farebox-worker"), &[]),
        (farebox, &["verify"]),
        (farebox, &["migrate"]),
        (farebox, &["--port", "0"]),
    ]
}

/// The worker polls once an hour: what it does at once, it has been woken for.
#[tokio::test(flavor = "multi_thread")]
async fn in_session_mode_riders_book_and_pay_and_a_woken_worker_rolls_back() {
    let db = Database::fresh().await;
    let pooler = Pooler::before(&db.url, "session");
    let world = World::on(Database::at(&pooler.url), &[]).await;
    let hourly = [("FAREBOX__WORKER__POLL_MS", "3600000"), ("FAREBOX__DATABASE__MAX_CONNECTIONS", "8")];
    let worker = Process::worker(&pooler.url, &hourly, &[]);
    let listening = "select count(*) from pg_stat_activity
                     where datname = current_database() and query ilike 'listen%'";
    until("the worker listens", || async { count(&world.pool, listening).await == 1 }).await;
    let (trip, rider) = (world.trip(10).await, world.rider("50.00").await);
    let kept = rider.booked(&trip, &["1"]).await;
    rider.pay(&kept).await.expect(200);
    let failed = rider.fault("order_add_cancle.after=error").book(&trip, &["2"]).await;
    failed.problem(500, "003099");
    let second = rider.booked(&trip, &["3"]).await;
    rider.fault("pay_money_cancle.after=error").pay(&second).await.problem(500, "003099");
    until("the worker has undone both", || async {
        count(&world.pool, "select count(*) from queue.job where tag <> 'order_unpaid'").await == 0
    })
    .await;
    assert_eq!((world.free_seats(&trip).await, rider.balance().await.as_str()), (8, "46.00"));
    rider.post(&format!("/v1/orders/{kept}/refund"), &json!({})).await.expect(200);
    world.verify().await;
    assert!(!worker.log().contains("WARN"), "{}", worker.log());
}

/// They are no parameters of the start, which a pooler drops.
#[tokio::test(flavor = "multi_thread")]
async fn in_session_mode_a_session_keeps_its_settings() {
    let db = Database::fresh().await;
    let pooler = Pooler::before(&db.url, "session");
    let direct = storage::pool(&db.url, &settings().database, "test").unwrap();
    let pooled = storage::pool(&pooler.url, &settings().database, "test").unwrap();
    let set = "select array[current_setting('statement_timeout'), current_setting('lock_timeout'),
                            current_setting('idle_in_transaction_session_timeout'), current_setting('enable_seqscan'),
                            current_setting('plan_cache_mode'), current_setting('jit'), current_setting('TimeZone')]";
    let expected = ["10s", "5s", "10s", "off", "force_generic_plan", "off", "UTC"].map(str::to_owned);
    for pool in [&direct, &pooled] {
        let found: Vec<String> = sqlx::query_scalar(set).fetch_one(pool).await.unwrap();
        assert_eq!(found, expected);
    }
    storage::migrate(&pooled).await.unwrap();
    storage::require_sessions(&pooled).await.unwrap();
    storage::require_sessions(&direct).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_shares_backends_is_refused_by_every_program() {
    let db = Database::fresh().await;
    for mode in ["transaction", "statement"] {
        let pooler = Pooler::before(&db.url, mode);
        for (program, args) in programs() {
            let mut command = command(program, &pooler.url, &[]);
            command.args(args);
            let mut process = Process::start(command);
            assert!(!process.wait().success(), "{program} {args:?} in mode {mode}");
            process.wait_for_line(RULE);
        }
    }
}

/// One backend alone, and one that others use all the time, are found out as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_pooler_in_transaction_mode_is_found_out() {
    let db = Database::fresh().await;
    let pooler = Pooler::before(&db.url, "transaction");
    let mut others = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let url = pooler.url.clone();
        others.spawn(async move {
            let mut conn = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.unwrap();
            loop {
                sqlx::raw_sql("select 1").execute(&mut conn).await.unwrap();
            }
        });
    }
    let pool = storage::pool(&pooler.url, &settings().database, "test").unwrap();
    for _ in 0..20 {
        let found = storage::require_sessions(&pool).await;
        assert!(matches!(found, Err(storage::SessionError::Shared)), "{found:?}");
    }
}
