//! What the queue offers beyond running a job: order, exclusion, calling off, and books about it all.

use crate::harness::{Process, RETRY, World, count, inside, settings, until};
use farebox_jobs::queue::{
    self, Delivery, Due, Enqueued, Job, JobError, NewJob, Notifier, Outcome, Priority, RetryPolicy,
    WorkerConfig,
    admin::{self, AdminOutcome, JobRef},
    protocol,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::oneshot;

/// A job whose whole point is its key.
#[derive(Serialize, Deserialize)]
struct Note {
    name: String,
    serial: Option<String>,
}

impl Job for Note {
    const TAG: &'static str = "note";
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy = RETRY;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn concurrency_key(&self) -> Option<String> {
        self.serial.clone()
    }
}

fn note(name: &str) -> NewJob {
    NewJob::of(&Note { name: name.to_owned(), serial: None })
}

/// By concurrency key: how many run now, and the most that ever did.
type Running = HashMap<Option<String>, (usize, usize)>;

/// A worker with short leases.
fn worker<F>(
    world: &World,
    slots: usize,
    handler: impl Fn(Delivery) -> F + Clone + Send + Sync + 'static,
) -> oneshot::Sender<()>
where
    F: Future<Output = Result<Outcome, JobError>> + Send + 'static,
{
    let config = WorkerConfig {
        concurrency: slots,
        lease: Duration::from_millis(1_500),
        poll: Duration::from_millis(50),
        ..WorkerConfig::new("test", &["note"])
    };
    inside(&world.pool, config, handler)
}

async fn enqueue(world: &World, jobs: &[NewJob]) {
    let answers = queue::enqueue(&mut world.pool.acquire().await.unwrap(), jobs, Due::Now).await.unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Enqueued::New(_))));
}

async fn cancel(world: &World, key: &str) -> AdminOutcome {
    let mut conn = world.pool.acquire().await.unwrap();
    admin::cancel(&mut conn, JobRef::Key("note", key), "enough").await.unwrap()
}

async fn outcome(world: &World, key: &str) -> Option<String> {
    sqlx::query_scalar("select outcome from queue.finished where tag = 'note' and key = $1")
        .bind(key)
        .fetch_optional(&world.pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn high_jobs_go_before_normal_and_these_before_low_ones() {
    let world = World::new().await;
    let jobs: Vec<NewJob> = (0..30)
        .map(|n: usize| {
            let priority = [Priority::Low, Priority::Normal, Priority::High][n % 3];
            NewJob { priority, ..note(&format!("{priority:?} {n}")) }
        })
        .collect();
    enqueue(&world, &jobs).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    let _worker = worker(&world, 1, move |job: Delivery| {
        seen.lock().unwrap().push(job.lease.key.split(' ').next().unwrap().to_owned());
        async { Ok(Outcome::Done(None)) }
    });
    until("all are done", || async { count(&world.pool, "select count(*) from queue.finished").await == 30 })
        .await;
    let mut expected = vec!["High"; 10];
    expected.extend(["Normal"; 10]);
    expected.extend(["Low"; 10]);
    assert_eq!(*order.lock().unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_one_concurrency_key_run_one_at_a_time_and_others_beside_them() {
    let world = World::new().await;
    let serial = |n: usize| Some(format!("account {}", n % 3)).filter(|_| !n.is_multiple_of(4));
    let jobs: Vec<NewJob> =
        (0..60).map(|n| NewJob::of(&Note { name: n.to_string(), serial: serial(n) })).collect();
    enqueue(&world, &jobs).await;
    // Some of them fail first.
    let running: Arc<Mutex<Running>> = Arc::default();
    let handler = {
        let running = Arc::clone(&running);
        move |job: Delivery| {
            let running = Arc::clone(&running);
            async move {
                let key = job.decode::<Note>()?.serial;
                {
                    let mut running = running.lock().unwrap();
                    let (now, most) = running.entry(key.clone()).or_default();
                    *now += 1;
                    *most = (*most).max(*now);
                }
                tokio::time::sleep(Duration::from_millis(3)).await;
                running.lock().unwrap().get_mut(&key).unwrap().0 -= 1;
                if job.lease.attempt == 1 && job.lease.key.ends_with('7') {
                    return Err(JobError::retry("not yet"));
                }
                Ok(Outcome::Done(None))
            }
        }
    };
    let _workers = [worker(&world, 8, handler.clone()), worker(&world, 8, handler)];
    until("all are done", || async { count(&world.pool, "select count(*) from queue.finished").await == 60 })
        .await;
    assert_eq!(count(&world.pool, "select count(*) from queue.concurrency_key").await, 0);
    let running = running.lock().unwrap();
    for (key, (now, most)) in running.iter() {
        assert_eq!(*now, 0);
        assert!(key.is_none() || *most == 1, "{key:?}: {most} at once");
    }
    assert!(running[&None].1 > 1, "jobs without a concurrency key ran side by side");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_request_belongs_to_its_transaction_and_reaches_a_running_handler() {
    let world = World::new().await;
    let mut tx = world.pool.begin().await.unwrap();
    queue::enqueue(&mut tx, &[note("waits")], Due::In(Duration::from_secs(60))).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = world.pool.begin().await.unwrap();
    let changed = admin::cancel(&mut tx, JobRef::Key("note", "waits"), "a whim").await.unwrap();
    assert_eq!(changed, AdminOutcome::Changed);
    tx.rollback().await.unwrap();
    assert_eq!(outcome(&world, "waits").await, None, "rolled back");
    assert_eq!(cancel(&world, "waits").await, AdminOutcome::Changed);
    assert_eq!(cancel(&world, "waits").await, AdminOutcome::Gone);

    // "checks" ends when it is asked to; "ignores" and "fails" go on until the gate opens.
    let (gate, opened) = tokio::sync::watch::channel(false);
    let _worker = worker(&world, 8, move |job: Delivery| {
        let mut opened = opened.clone();
        async move {
            if job.lease.key == "checks" {
                job.cancelled().await;
                return Err(JobError::Cancelled);
            }
            opened.wait_for(|open| *open).await.unwrap();
            if job.lease.key == "fails" { Err(JobError::retry("oh")) } else { Ok(Outcome::Done(None)) }
        }
    });
    enqueue(&world, &["checks", "ignores", "fails"].map(note)).await;
    until("all run", || async {
        count(&world.pool, "select count(*) from queue.job where lease_token is not null").await == 3
    })
    .await;
    for key in ["checks", "ignores", "fails"] {
        assert_eq!(cancel(&world, key).await, AdminOutcome::CancelRequested);
    }
    until("it ended", || async { outcome(&world, "checks").await.is_some() }).await;
    gate.send_replace(true);
    until("all ended", || async { count(&world.pool, "select count(*) from queue.job").await == 0 }).await;
    assert_eq!(outcome(&world, "checks").await.as_deref(), Some("cancelled"));
    assert_eq!(outcome(&world, "ignores").await.as_deref(), Some("done"), "it was done before it ended");
    assert_eq!(outcome(&world, "fails").await.as_deref(), Some("cancelled"), "it is not tried again");
    let notes = "select count(*) from queue.finished where outcome = 'cancelled' and note = 'enough'";
    assert_eq!(count(&world.pool, notes).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_drains_and_the_history_has_what_was_done() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    let tag = "/v1/ops/queues/order_add_seats_cancle";
    let slow = [
        ("FAREBOX_FAULTS", "undo.order_add_seats_cancle.before=sleep:700"),
        ("FAREBOX__WORKER__METRICS_LISTEN", "127.0.0.1:0"),
    ];
    let mut worker = Process::worker(&world.db.url, &slow, &[]);
    rider.fault("order_add_seats_cancle.after=error").book(&trip, &["1"]).await.problem(500, "003099");
    let running = "select count(*) from queue.job where lease_token is not null";
    until("it runs", || async { count(&world.pool, running).await == 1 }).await;
    let draining = world.ops.post(&format!("{tag}/drain"), &json!({"reason": "a new build"})).await;
    assert_eq!((&draining.expect(200)["state"], &draining.body["running"]), (&json!("draining"), &json!(1)));
    world.ops.post(&format!("{tag}/drain"), &json!({"wait_secs": 99})).await.problem(422, "003074");
    let drained = world.ops.post(&format!("{tag}/drain"), &json!({"wait_secs": 15})).await;
    assert_eq!((&drained.expect(200)["state"], &drained.body["running"]), (&json!("paused"), &json!(0)));
    world.ops.post_text(&format!("{tag}/resume"), "{}").await.expect(200);

    let workers = world.ops.get("/v1/ops/workers").await;
    let alive = &workers.expect(200)["items"][0];
    assert_eq!(
        (&alive["state"], &alive["name"], &alive["slots"]),
        (&json!("working"), &json!("farebox-worker"), &json!(settings().worker.concurrency))
    );
    assert_eq!(alive["pid"], worker.pid());
    rider.get("/v1/ops/workers").await.problem(403, "003091");

    let text = reqwest::get(format!("{}/metrics", worker.metrics())).await.unwrap().text().await.unwrap();
    for line in [
        r#"farebox_queue_attempts_total{tag="order_add_seats_cancle",outcome="done"} 1"#,
        r#"farebox_queue_run_seconds_count{tag="order_add_seats_cancle"} 1"#,
        r#"farebox_queue_pickup_seconds_count{tag="order_add_seats_cancle"} 1"#,
        r#"farebox_jobs{tag="order_add_seats_cancle",state="ready"} 0"#,
        r#"farebox_tag_paused{tag="order_add_seats_cancle"} 0"#,
        "# EOF",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    let depth = world.ops.get("/metrics").await;
    assert!(depth.text.contains("farebox_oldest_ready_seconds"), "{}", depth.text);

    worker.signal(libc::SIGTERM);
    assert!(worker.wait().success());
    let minutes = world.ops.get(&format!("{tag}/minutes")).await;
    let items = minutes.expect(200)["items"].as_array().unwrap();
    assert_eq!(
        items.iter().map(|minute| minute["done"].as_i64().unwrap()).sum::<i64>(),
        1,
        "{}",
        minutes.text
    );
    let waits = items.iter().flat_map(|minute| minute["pickup"].as_array().unwrap());
    assert_eq!(waits.map(|n| n.as_i64().unwrap()).sum::<i64>(), 1, "{}", minutes.text);
    let queues = world.ops.get("/v1/ops/queues").await;
    let queues = queues.expect(200)["items"].as_array().unwrap();
    assert_eq!(queues.iter().map(|queue| queue["done_last_hour"].as_i64().unwrap()).sum::<i64>(), 1);
    let workers = world.ops.get("/v1/ops/workers").await;
    assert_eq!(workers.expect(200)["items"], json!([]), "it signed off");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_history_carries_the_trace_id_of_its_request() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    let failed = rider.fault("order_add_seats_cancle.after=error").book(&trip, &["1"]).await;
    let trace = failed.headers["x-trace-id"].to_str().unwrap().to_owned();
    let failing = Process::worker(
        &world.db.url,
        &[("FAREBOX_FAULTS", "undo.order_add_seats_cancle.before=error")],
        &[],
    );
    let failures = "select count(*) from queue.job where jsonb_array_length(failures) > 0";
    until("an attempt failed", || async { count(&world.pool, failures).await == 1 }).await;
    drop(failing);
    let jobs = world.ops.get("/v1/ops/jobs?tag=order_add_seats_cancle").await;
    let job = &jobs.expect(200)["items"][0];
    assert_eq!(job["trace_id"], trace);
    assert_eq!(job["attempts"][0]["trace_id"], trace, "{}", jobs.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_redriven_by_what_they_died_of() {
    let world = World::new().await;
    let dead = "insert into queue.dead_letter (id, tag, key, payload, max_attempts, attempt, reason, failures, run_at,
                                               created_at, died_at)
                values (gen_random_uuid(), $1, $2, '{}', 5, 5, 'exhausted',
                        jsonb_build_array(jsonb_build_object('error', $3)), now(), now(), now() - $4::interval)";
    for (tag, key, error, ago) in [
        ("order_cancel", "a", "timed out: 3 s", "1 hour"),
        ("order_cancel", "b", "no such host", "1 hour"),
        ("pay_cancle", "c", "timed out: 9 s", "1 hour"),
        ("pay_cancle", "d", "timed out: 9 s", "2 days"),
    ] {
        sqlx::query(dead).bind(tag).bind(key).bind(error).bind(ago).execute(&world.pool).await.unwrap();
    }
    let since = chrono::Utc::now() - chrono::Duration::days(1);
    let some =
        world.ops.post("/v1/ops/dead-letters/redrive", &json!({"error": "timed out", "since": since})).await;
    assert_eq!(some.expect(200)["redriven"], 2);
    let left: Vec<String> = sqlx::query_scalar("select key from queue.dead_letter order by key")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    assert_eq!(left, ["b", "d"]);
    world.ops.post("/v1/ops/dead-letters/redrive", &json!({"tag": "nonsense"})).await.problem(404, "003070");
    let wrong = world.ops.post("/v1/ops/queues/pay_cancle/redrive", &json!({"tag": "order_cancel"})).await;
    wrong.problem(422, "003074");
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_dropped_as_a_whole_and_an_unprepared_day_loses_nothing() {
    let world = World::new().await;
    enqueue(&world, &[note("before")]).await;
    let _worker = worker(&world, 1, |_: Delivery| async { Ok(Outcome::Done(None)) });
    until("it is done", || async { outcome(&world, "before").await.is_some() }).await;
    let mut conn = world.pool.acquire().await.unwrap();
    protocol::apply_retention(&mut conn, Duration::from_secs(24 * 3_600)).await.unwrap();
    assert!(outcome(&world, "before").await.is_some(), "not yet a day old");
    // As in three days: today's partition has to go, and tomorrow's, should midnight pass meanwhile. What
    // ends then finds none of its own.
    sqlx::query("select queue.keep_finished(interval '-2 days', -1)").execute(&mut *conn).await.unwrap();
    assert!(outcome(&world, "before").await.is_none(), "dropped with its day");
    enqueue(&world, &[note("stray")]).await;
    until("it is done", || async { outcome(&world, "stray").await.is_some() }).await;
    assert_eq!(count(&world.pool, "select count(*) from queue.finished_stray").await, 1);
    sqlx::query(
        "insert into queue.concurrency_key (key, job_id) values ('of a job deleted by hand', gen_random_uuid())",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    protocol::apply_retention(&mut conn, Duration::from_secs(24 * 3_600)).await.unwrap();
    // Partitions are made from today on, so a stray of a day that has just ended stays.
    let of_today = "select count(*) from queue.finished_stray
                    where ended_at >= date_trunc('day', now() at time zone 'UTC') at time zone 'UTC'";
    assert_eq!(count(&world.pool, of_today).await, 0);
    assert!(outcome(&world, "stray").await.is_some(), "moved to its day");
    assert_eq!(count(&world.pool, "select count(*) from queue.concurrency_key").await, 0);
}

/// The worker polls once an hour here: only the bell can have woken it.
#[tokio::test(flavor = "multi_thread")]
async fn a_silently_enqueued_job_is_fetched_after_a_notify_even_on_a_cut_connection() {
    let world = World::new().await;
    let config = WorkerConfig { poll: Duration::from_secs(3600), ..WorkerConfig::new("test", &["note"]) };
    let _stop = inside(&world.pool, config, |_| async { Ok(Outcome::Done(None)) });
    let notifier = Notifier::start((*world.pool.connect_options()).clone());
    enqueue(&world, &[note("loud")]).await;
    until("it is done", || async { outcome(&world, "loud").await.is_some() }).await;
    for name in ["first", "after the cut"] {
        let mut conn = world.pool.acquire().await.unwrap();
        queue::enqueue(&mut conn, &[note(name)], Due::NowSilently).await.unwrap();
        notifier.notify();
        until("it is done", || async { outcome(&world, name).await.is_some() }).await;
        let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                   where datname = current_database() and query like 'select set_config%pg_notify%'";
        assert_eq!(count(&world.pool, cut).await, 1, "{name}: the bell has a line of its own");
    }
}
