//! The queue, seen through real workers and through its own interface.

use crate::harness::{Process, World, count, until};
use farebox_jobs::{
    OrderCancel,
    ids::OrderId,
    queue::{self, Due, Enqueued, NewJob},
};
use std::time::Duration;

fn job() -> NewJob {
    NewJob::of(&OrderCancel::new(OrderId::new()))
}

async fn put(world: &World, tag: &str, key: &str, payload: &str, max: i32) {
    sqlx::query("insert into queue.job (id, tag, key, payload, max_attempts) values (gen_random_uuid(), $1, $2, $3::jsonb, $4)")
        .bind(tag).bind(key).bind(payload).bind(max).execute(&world.pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_key_is_a_value_and_the_callers_transaction_lives_on() {
    let world = World::new().await;
    let (one, other) = (job(), job());
    let mut tx = world.pool.begin().await.unwrap();
    let first =
        queue::enqueue(&mut tx, std::slice::from_ref(&one), Due::In(Duration::from_secs(60))).await.unwrap();
    assert!(matches!(first[..], [Enqueued::New(id)] if id == one.id));
    let twin = NewJob { id: uuid::Uuid::now_v7(), ..one.clone() };
    let both = queue::enqueue(&mut tx, &[twin, other.clone()], Due::Now).await.unwrap();
    assert!(
        matches!(both[..], [Enqueued::AlreadyQueued(a), Enqueued::New(b)] if a == one.id && b == other.id)
    );
    tx.commit().await.unwrap();
    let mut tx = world.pool.begin().await.unwrap();
    queue::enqueue(&mut tx, &[job()], Due::Now).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(
        count(&world.pool, "select count(*) from queue.job").await,
        2,
        "a rolled back enqueue is no job"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisonous_job_harms_no_other() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    put(&world, "order_cancel", "no payload", "{}", 5).await;
    put(
        &world,
        "order_cancel",
        "from the future",
        &format!("{{\"v\": 99, \"order_id\": \"{}\"}}", OrderId::new()),
        5,
    )
    .await;
    let failing = [("FAREBOX_FAULTS", "undo.pay_cancle.before=error,undo.pay_check_cancle.before=panic")];
    let _worker = Process::worker(&world.db.url, &failing, &[]);
    let id = uuid::Uuid::now_v7();
    let paying = format!(
        "{{\"v\": 1, \"paying\": {{\"payment_id\": \"{id}\", \"order_id\": \"{id}\", \"rider_id\": \"{id}\"}}}}"
    );
    put(&world, "pay_cancle", "always fails", &paying, 2).await;
    put(&world, "pay_check_cancle", "always panics", &paying, 2).await;
    rider.fault("order_add_seats_cancle.after=error").book(&trip, &["1"]).await.problem(500, "003099");
    until("the good job is done", || async { world.free_seats(&trip).await == 20 }).await;
    until("the bad ones are dead letters", || async {
        count(&world.pool, "select count(*) from queue.dead_letter").await == 4
    })
    .await;
    let reasons: Vec<(String, String, i32, String)> = sqlx::query_as(
        "select key, reason, jsonb_array_length(failures), failures::text from queue.dead_letter order by key")
        .fetch_all(&world.pool).await.unwrap();
    let brief: Vec<_> =
        reasons.iter().map(|(key, reason, attempts, _)| (key.as_str(), reason.as_str(), *attempts)).collect();
    assert_eq!(
        brief,
        [
            ("always fails", "exhausted", 2),
            ("always panics", "exhausted", 2),
            ("from the future", "undecodable", 1),
            ("no payload", "undecodable", 1),
        ]
    );
    assert!(reasons[0].3.contains("simulated system exception"), "{}", reasons[0].3);
    assert!(reasons[1].3.contains("simulated panic"), "{}", reasons[1].3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_a_job_loses_nothing() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    rider.fault("order_add_seats_cancle.after=error").book(&trip, &["1"]).await.problem(500, "003099");
    let env = [
        ("FAREBOX__WORKER__LEASE_MS", "1000"),
        ("FAREBOX_FAULTS", "undo.order_add_seats_cancle.before=abort"),
    ];
    let mut dying = Process::worker(&world.db.url, &env, &[]);
    dying.wait();
    assert_eq!(world.free_seats(&trip).await, 19);
    let _worker = Process::worker(&world.db.url, &env[..1], &[]);
    until("the job is rescued", || async { world.free_seats(&trip).await == 20 }).await;
    world.drained().await;
    assert_eq!(
        count(&world.pool, "select attempt::bigint from queue.finished where tag = 'order_add_seats_cancle'")
            .await,
        2
    );
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_worker_that_wakes_up_late_is_fenced() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    rider.fault("pay_money_cancle.after=error").pay(&order).await.problem(500, "003099");
    // Asleep at the start of the undo, then stopped past its lease; another worker does the job meanwhile.
    let env =
        [("FAREBOX__WORKER__LEASE_MS", "600"), ("FAREBOX_FAULTS", "undo.pay_money_cancle.before=sleep:700")];
    let zombie = Process::worker(&world.db.url, &env, &[]);
    until("it has the job", || async {
        count(&world.pool, "select count(*) from queue.job where lease_token is not null").await == 1
    })
    .await;
    zombie.signal(libc::SIGSTOP);
    let _worker = Process::worker(&world.db.url, &env[..1], &[]);
    until("the other did it", || async { rider.balance().await == "100.00" }).await;
    zombie.signal(libc::SIGCONT);
    zombie.wait_for_line("lease");
    world.drained().await;
    assert_eq!(world.ledger(&order).await, ["payment", "payment_reversed"]);
    assert_eq!(
        count(&world.pool, "select count(*) from queue.finished where tag = 'pay_money_cancle'").await,
        1
    );
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_works_for_its_tags_and_stops_gracefully() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    rider.fault("order_calc_money_cancle.after=error").book(&trip, &["1"]).await.problem(500, "003099");
    rider.fault("order_add_seats_cancle.after=error").book(&trip, &["2"]).await.problem(500, "003099");
    let slow = [("FAREBOX_FAULTS", "undo.order_calc_money_cancle.before=sleep:800")];
    let mut one = Process::worker(&world.db.url, &slow, &["--tags", "order_calc_money_cancle"]);
    until("it has its job", || async {
        count(&world.pool, "select count(*) from queue.job where lease_token is not null").await == 1
    })
    .await;
    one.signal(libc::SIGTERM);
    assert!(one.wait().success(), "{}", one.log());
    assert_eq!(world.free_seats(&trip).await, 19, "it finished what ran, and left the other tag alone");
    assert_eq!(
        count(
            &world.pool,
            "select count(*) from queue.job where tag = 'order_add_seats_cancle' and attempt = 0"
        )
        .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn delayed_jobs_are_never_early() {
    let world = World::new().await;
    let _worker = world.worker();
    let mut conn = world.pool.acquire().await.unwrap();
    for ms in (0..200_u64).map(|n| n * 7 % 900) {
        queue::enqueue(&mut conn, &[job()], Due::In(Duration::from_millis(ms))).await.unwrap();
    }
    world.drained().await;
    let done = "select count(*) from queue.finished where tag = 'order_cancel' and outcome = 'done'";
    until("all are done", || async { count(&world.pool, done).await == 200 }).await;
    assert_eq!(count(&world.pool, "select count(*) from queue.finished where started_at < run_at").await, 0);
}
