//! Faults of a worker and its database: every job is done all the same, once, and no other job suffers.

use crate::harness::{OwnServer, Process, World, count, inside, signal, until};
use farebox::verify::{self, Scope};
use farebox_jobs::{
    OrderCancel,
    ids::OrderId,
    queue::{self, Delivery, Due, NewJob, Outcome, WorkerConfig},
};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// The leases of the workers here, ms.
const LEASE: &str = "1500";
const LEASE_MS: i32 = 1_500;

const UNDO: &str = "order_add_seats_cancle";
const RUNNING: &str = "select count(*) from queue.job where lease_token is not null";

/// A worker process with short leases and these faults in its undos.
fn worker(url: &str, faults: &str, more: &[(&str, &str)]) -> Process {
    let mut env = vec![("FAREBOX__WORKER__LEASE_MS", LEASE), ("FAREBOX_FAULTS", faults)];
    env.extend_from_slice(more);
    Process::worker(url, &env, &[])
}

/// A job of this tag that finds nothing to undo.
pub async fn put(pool: &PgPool, tag: &str, key: &str, max_attempts: i32) {
    let id = uuid::Uuid::now_v7();
    let payload = json!({"v": 1, "booking": {"order_id": id, "rider_id": id, "trip_id": id, "seats": [1]}});
    sqlx::query("insert into queue.job (id, tag, key, payload, max_attempts) values (gen_random_uuid(), $1, $2, $3, $4)")
        .bind(tag).bind(key).bind(payload).bind(max_attempts).execute(pool).await.unwrap();
}

async fn finished(pool: &PgPool, key: &str) -> Option<(i32, Value)> {
    let sql = "select attempt, failures from queue.finished where key = $1 and outcome = 'done'";
    sqlx::query_as(sql).bind(key).fetch_optional(pool).await.unwrap()
}

async fn runs(pool: &PgPool, jobs: i64) {
    until("the jobs run", || async { count(pool, RUNNING).await == jobs }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rescued_job_is_shown_as_failed_while_it_runs_again() {
    let world = World::new().await;
    let sleeping = "undo.order_add_seats_cancle.before=sleep:60000";
    let mut dying = worker(&world.db.url, sleeping, &[]);
    put(&world.pool, UNDO, "a", 5).await;
    runs(&world.pool, 1).await;
    let _other = worker(&world.db.url, sleeping, &[]);
    dying.kill();
    let again = "select count(*) from queue.job where attempt = 2 and first_due_at = run_at";
    until("it runs again", || async { count(&world.pool, again).await == 1 }).await;
    let queues = queue::admin::queues(&world.pool, &[UNDO.to_owned()]).await.unwrap();
    assert_eq!((queues[0].running, queues[0].most_failures, queues[0].retrying), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_handlers_job_runs_again_within_its_lease_and_a_second() {
    let world = World::new().await;
    let mut dying = worker(&world.db.url, "undo.order_add_seats_cancle.before=sleep:60000", &[]);
    put(&world.pool, UNDO, "a", 5).await;
    runs(&world.pool, 1).await;
    // Both of one name: the other, which lives on, does not renew the dead one's leases.
    let other = worker(&world.db.url, "", &[]);
    until("two workers are known", || async {
        count(&world.pool, "select count(distinct id) from queue.worker where name = 'farebox-worker'").await
            == 2
    })
    .await;
    let killed: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("select clock_timestamp()").fetch_one(&world.pool).await.unwrap();
    dying.kill();
    until("it is done", || async { finished(&world.pool, "a").await.is_some() }).await;
    let (attempt, failures) = finished(&world.pool, "a").await.unwrap();
    assert_eq!(attempt, 2, "the killed attempt counts");
    assert_eq!((&failures[0]["attempt"], &failures[0]["error"]), (&json!(1), &json!("lease expired")));
    assert_ne!(failures[0]["worker"], Value::Null, "{failures}");
    let again: f64 = sqlx::query_scalar(
        "select extract(epoch from started_at - $1)::float8 from queue.finished where key = 'a'",
    )
    .bind(killed)
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert!(again <= f64::from(LEASE_MS) / 1e3 + 1.0, "run again after {again} s");

    until("the dead one is missed", || async {
        let workers = world.ops.get("/v1/ops/workers").await;
        let states = workers.expect(200)["items"].as_array().unwrap().iter();
        let mut states: Vec<String> = states.map(|w| w["state"].as_str().unwrap().to_owned()).collect();
        states.sort();
        states == ["missing", "working"]
    })
    .await;
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_ends_as_a_dead_letter() {
    let world = World::new().await;
    put(&world.pool, UNDO, "deadly", 2).await;
    put(&world.pool, "order_calc_money_cancle", "harmless", 5).await;
    for _ in 0..2 {
        let mut dying = worker(&world.db.url, "undo.order_add_seats_cancle.before=abort", &[]);
        dying.wait();
    }
    // As armed as those before: were it to run the job once more, it would die of it.
    let mut third = worker(&world.db.url, "undo.order_add_seats_cancle.before=abort", &[]);
    let dead = "select count(*) from queue.dead_letter where reason = 'crashed' and attempt = 2
                and jsonb_array_length(failures) = 2";
    until("it is given up", || async { count(&world.pool, dead).await == 1 }).await;
    assert!(third.is_alive());
    until("the queue is empty", || async { count(&world.pool, "select count(*) from queue.job").await == 0 })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_hangs_or_blocks_its_thread_is_left_at_its_deadline() {
    let world = World::new().await;
    let faults =
        "undo.order_add_seats_cancle.before=sleep:60000,undo.order_calc_money_cancle.before=block:3000";
    let mut worker = worker(&world.db.url, faults, &[("FAREBOX__WORKER__ATTEMPT_MS", "400")]);
    put(&world.pool, UNDO, "hangs", 1).await;
    put(&world.pool, "order_calc_money_cancle", "blocks", 1).await;
    runs(&world.pool, 2).await;
    for n in 0..20 {
        // On a busy machine one of them may meet the short deadline too, and is tried again.
        put(&world.pool, "order_add_cancle", &n.to_string(), 20).await;
    }
    until("the others are done", || async {
        count(&world.pool, "select count(*) from queue.finished where tag = 'order_add_cancle'").await == 20
    })
    .await;
    until("both are given up", || async {
        count(&world.pool, "select count(*) from queue.dead_letter where reason = 'exhausted'").await == 2
    })
    .await;
    let errors: Vec<String> =
        sqlx::query_scalar("select failures->-1->>'error' from queue.dead_letter order by key")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    assert_eq!(
        errors,
        ["stopped at its deadline of 400ms, and did not let go", "stopped at its deadline of 400ms"]
    );
    assert!(worker.is_alive());
    assert_eq!(count(&world.pool, "select count(*) from queue.finished where key = 'blocks'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_under_load_spends_no_attempt_on_what_never_ran() {
    let world = World::new().await;
    let grace = Duration::from_secs(40);
    let ms = grace.as_millis().to_string();
    let mut worker = worker(
        &world.db.url,
        "undo.order_add_seats_cancle.before=sleep:20",
        // Few slots, so that most of them still wait when it is stopped.
        &[("FAREBOX__WORKER__GRACE_MS", &ms), ("FAREBOX__WORKER__CONCURRENCY", "16")],
    );
    for n in 0..600 {
        put(&world.pool, UNDO, &n.to_string(), 1).await;
    }
    until("it is in the middle", || async {
        count(&world.pool, "select count(*) from queue.finished").await >= 20
    })
    .await;
    worker.signal(libc::SIGTERM);
    let signalled = Instant::now();
    assert!(worker.wait().success(), "{}", worker.log());
    assert!(signalled.elapsed() < grace, "it took {:?}", signalled.elapsed());
    let left = count(&world.pool, "select count(*) from queue.job").await;
    assert!(left > 0, "it stopped before it was through");
    assert_eq!(count(&world.pool, "select count(*) from queue.finished where attempt = 1").await, 600 - left);
    assert_eq!(
        count(&world.pool, "select count(*) from queue.job where attempt <> 0 or lease_token is not null")
            .await,
        0
    );
    assert_eq!(count(&world.pool, "select count(*) from queue.dead_letter").await, 0);
    assert_eq!(count(&world.pool, "select count(*) from queue.worker").await, 0, "it signed off");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_connections_are_made_again_and_counted() {
    let world = World::new().await;
    // It polls so rarely that only the wake-up can have brought the second job.
    let env = [("FAREBOX__WORKER__METRICS_LISTEN", "127.0.0.1:0"), ("FAREBOX__WORKER__POLL_MS", "30000")];
    let worker = worker(&world.db.url, "", &env);
    let shown = format!("{}/metrics", worker.metrics());
    let metrics = async || {
        let answer = reqwest::get(&shown).await.unwrap();
        answer.text().await.unwrap()
    };
    let enqueue = async || {
        let job = NewJob::of(&OrderCancel::new(OrderId::new()));
        queue::enqueue(&mut world.pool.acquire().await.unwrap(), &[job], Due::Now).await.unwrap();
    };
    let done = async |jobs: i64| {
        until("the job is done", || async {
            count(&world.pool, "select count(*) from queue.finished where tag = 'order_cancel'").await == jobs
        })
        .await;
    };
    enqueue().await;
    done(1).await;
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity
               where application_name = 'farebox-worker' and datname = current_database()";
    assert!(count(&world.pool, cut).await >= 2);
    until("both are back", || async {
        let text = metrics().await;
        ["driver", "listener"]
            .iter()
            .all(|line| text.contains(&format!("farebox_queue_reconnects_total{{line=\"{line}\"}} 1")))
    })
    .await;
    enqueue().await;
    done(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_live_through_a_database_that_stands_still_or_is_killed() {
    let mut own = OwnServer::start("standstill", &[]).await;
    let (url, trip, rider, pool) = (own.url.clone(), own.trip.clone(), own.rider.clone(), own.pool());
    own.top_up(&rider, "1000.00").await;

    // Debits whose undos take long enough to be caught in the middle, before and after their commit.
    let slow = "undo.pay_money_cancle.before=sleep:900,undo.pay_money_cancle.after=sleep:900";
    let _workers = [worker(&url, slow, &[]), worker(&url, slow, &[])];
    let mut orders = Vec::new();
    for seat in 1..=20 {
        orders.push(rider.booked(&trip, &[&seat.to_string()]).await);
    }
    let postmaster = own.postmaster();
    let undone = "select count(*) from queue.finished where tag = 'pay_money_cancle'";

    // It stands still for longer than the leases last.
    for order in &orders[..10] {
        rider.fault("pay_money_cancle.after=error").pay(order).await.problem(500, "003099");
    }
    until("some run", || async { count(&pool, RUNNING).await >= 2 }).await;
    let all = processes_of(postmaster);
    assert!(all.len() > 5, "{all:?}");
    signal::all(&all, libc::SIGSTOP);
    tokio::time::sleep(Duration::from_secs(5)).await;
    signal::all(&all, libc::SIGCONT);
    until("all are undone", || async { count(&pool, undone).await == 10 }).await;

    // It is killed without a goodbye.
    for order in &orders[10..] {
        rider.fault("pay_money_cancle.after=error").pay(order).await.problem(500, "003099");
    }
    until("some run", || async { count(&pool, RUNNING).await >= 2 }).await;
    assert!(signal::send(postmaster, libc::SIGQUIT));
    until("it is down", || async { rider.get("/health/ready").await.status == 503 }).await;
    own.restart().await;
    until("it is back", || async { rider.get("/health/ready").await.status == 200 }).await;
    let pool = own.pool();
    until("all are undone", || async { count(&pool, undone).await == 20 }).await;

    for order in &orders {
        let sql = "select kind from ledger_entry where order_id = $1::uuid order by seq";
        let kinds: Vec<String> = sqlx::query_scalar(sql).bind(order).fetch_all(&pool).await.unwrap();
        assert_eq!(kinds, ["payment", "payment_reversed"], "{order}");
    }
    // Each connection of the API's pool that broke answers one request with 503.
    until("the API reads", || async { rider.get("/v1/wallet").await.status == 200 }).await;
    assert_eq!(rider.balance().await, "1000.00");
    for verdict in verify::verify(&pool, Scope::Whole).await.unwrap() {
        assert!(verdict.holds, "{}: {:?}", verdict.sentence, verdict.samples);
    }
}

/// A server's processes: the postmaster and its children.
fn processes_of(postmaster: i32) -> Vec<i32> {
    let parent = |pid: i32| -> Option<i32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
    };
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid == postmaster || parent(*pid) == Some(postmaster)).collect()
}

/// A worker with large batches.
fn busy(slots: usize) -> WorkerConfig {
    WorkerConfig { concurrency: slots, batch: 500, ..WorkerConfig::new("test", &["note"]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_delayed_jobs_fall_due_at_once() {
    const JOBS: i64 = 100_000;
    let world = World::new().await;
    sqlx::query(
        "insert into queue.job (id, tag, key, payload, max_attempts, run_at)
         select gen_random_uuid(), 'note', n::text, '{}', 3, now() + interval '2 s' from generate_series(1, $1) n",
    )
    .bind(JOBS)
    .execute(&world.pool)
    .await
    .unwrap();
    let ran: Arc<Mutex<HashMap<uuid::Uuid, u32>>> = Arc::default();
    let handler = {
        let ran = Arc::clone(&ran);
        move |job: Delivery| {
            *ran.lock().unwrap().entry(job.lease.job_id).or_default() += 1;
            async { Ok(Outcome::Done(None)) }
        }
    };
    let _workers = [inside(&world.pool, busy(50), handler.clone()), inside(&world.pool, busy(50), handler)];
    until("the queue is empty", || async {
        !sqlx::query_scalar::<_, bool>("select exists(select from queue.job)")
            .fetch_one(&world.pool)
            .await
            .unwrap()
    })
    .await;
    assert_eq!(count(&world.pool, "select count(*) from queue.finished where attempt = 1").await, JOBS);
    assert_eq!(count(&world.pool, "select count(*) from queue.finished where started_at < run_at").await, 0);
    let ran = ran.lock().unwrap();
    assert_eq!(i64::try_from(ran.len()).unwrap(), JOBS);
    assert!(ran.values().all(|times| *times == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completion_whose_row_is_locked_holds_up_no_other() {
    let world = World::new().await;
    let (gate, opened) = watch::channel(false);
    let _worker = inside(&world.pool, busy(4), move |job: Delivery| {
        let mut opened = opened.clone();
        async move {
            if job.lease.key == "locked" {
                opened.wait_for(|open| *open).await.unwrap();
            }
            Ok(Outcome::Done(None))
        }
    });
    let note = "insert into queue.job (id, tag, key, payload, max_attempts) values (gen_random_uuid(), 'note', $1, '{}', 3)";
    let put = async |key: &str| {
        sqlx::query(note).bind(key).execute(&world.pool).await.unwrap();
    };
    put("locked").await;
    runs(&world.pool, 1).await;
    let mut holder = world.pool.begin().await.unwrap();
    sqlx::query("select from queue.job where key = 'locked' for update").execute(&mut *holder).await.unwrap();
    gate.send_replace(true);
    for n in 0..20 {
        put(&n.to_string()).await;
    }
    until("the others are done", || async {
        count(&world.pool, "select count(*) from queue.finished").await == 20
    })
    .await;
    assert!(finished(&world.pool, "locked").await.is_none());
    holder.commit().await.unwrap();
    until("it is done", || async { finished(&world.pool, "locked").await.is_some() }).await;
    assert_eq!(finished(&world.pool, "locked").await.unwrap().0, 1, "it ran once");
}
