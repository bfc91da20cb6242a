//! Several queues in one database, each in a schema of its own and with a channel of its own.

use crate::harness::{Database, count, until};
use farebox_jobs::queue::{
    Delivery, Due, Enqueued, Job, JobError, NewJob, Notifier, Outcome, QueueConfig, RetryPolicy,
    WorkerConfig,
    admin::{self, AdminOutcome, DeadFilter, JobFilter, JobRef, bulk},
    begin, enqueue, enqueue_or_expedite, remove, run,
};
use serde::{Deserialize, Serialize};
use sqlx::{Executor, PgPool};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

#[derive(Serialize, Deserialize)]
struct Note {
    name: String,
}

impl Job for Note {
    const TAG: &'static str = "note";
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy =
        RetryPolicy { max_attempts: 2, base: Duration::from_millis(20), cap: Duration::from_millis(20) };

    fn key(&self) -> String {
        self.name.clone()
    }

    fn concurrency_key(&self) -> Option<String> {
        Some("one".to_owned())
    }
}

fn note(name: &str) -> NewJob {
    NewJob::of(&Note { name: name.to_owned() })
}

async fn handle(pool: PgPool, delivery: Delivery) -> Result<Outcome, JobError> {
    let job: Note = delivery.decode()?;
    match job.name.as_str() {
        "fails" => Err(JobError::retry("no")),
        "waits" => {
            delivery.cancelled().await;
            Err(JobError::Cancelled)
        }
        "acked" => Ok(Outcome::Done(Some("acked".to_owned()))),
        _ => {
            let mut tx = begin(&pool).await?;
            delivery.lease.complete(&mut tx, Some("settled")).await?;
            tx.commit().await?;
            Ok(Outcome::Settled)
        }
    }
}

/// A worker for this queue, which hears of jobs by notification alone.
fn start(pool: &PgPool, queue: &QueueConfig, stop: &Arc<Notify>) -> tokio::task::JoinHandle<()> {
    let config = WorkerConfig {
        queue: queue.clone(),
        poll: Duration::from_secs(600),
        ..WorkerConfig::new(queue.schema(), &[Note::TAG])
    };
    let (handler_pool, pool, stop) = (pool.clone(), pool.clone(), Arc::clone(stop));
    let handler = move |delivery| handle(handler_pool.clone(), delivery);
    tokio::spawn(async move {
        run(pool, config, |_: &str| Note::RETRY, handler, stop.notified()).await.unwrap();
    })
}

#[tokio::test]
async fn two_queues_in_two_schemas_do_not_know_each_other() {
    let db = Database::empty().await;
    let pool = PgPool::connect(&db.url).await.unwrap();
    let mail = QueueConfig::new("mail", "mail_jobs").unwrap();
    let fax = QueueConfig::new("fax", "fax_jobs").unwrap();
    let mut conn = pool.acquire().await.unwrap();
    for queue in [&mail, &fax] {
        queue.migrate(&mut conn).await.unwrap();
        queue.migrate(&mut conn).await.unwrap();
        queue.require_current(&mut conn).await.unwrap();
    }
    assert_eq!(count(&pool, "select count(*) from pg_namespace where nspname = 'queue'").await, 0);

    // The same key in both: neither takes it from the other.
    let mut on_mail = mail.on(&mut *conn);
    let jobs = ["settled", "acked", "fails", "waits"].map(note);
    let first = enqueue(&mut on_mail, &jobs[..3], Due::Now).await.unwrap();
    assert!(first.iter().all(|e| matches!(e, Enqueued::New(_))));
    let later = enqueue(&mut fax.on(&mut *conn), &jobs, Due::In(Duration::from_secs(600))).await.unwrap();
    assert!(later.iter().all(|e| matches!(e, Enqueued::New(_))));
    let again = enqueue(&mut mail.on(&mut *conn), &[note("acked")], Due::Now).await.unwrap();
    assert_eq!(again, [Enqueued::AlreadyQueued(jobs[1].id)]);

    let stop = Arc::new(Notify::new());
    let worker = start(&pool, &mail, &stop);
    until("the first jobs have ended", || async { count(&pool, "select count(*) from mail.job").await == 0 })
        .await;
    assert_eq!(
        count(&pool, "select count(*) from mail.finished where note in ('settled', 'acked')").await,
        2
    );
    assert_eq!(count(&pool, "select count(*) from mail.dead_letter where reason = 'exhausted'").await, 1);
    assert_eq!(count(&pool, "select count(*) from mail.worker").await, 1);
    assert_eq!(count(&pool, "select count(*) from fax.job where attempt = 0").await, 4);

    // A cancellation reaches the worker by its own channel. This job comes last: beside the others it may
    // take the concurrency key while "fails" waits for its second attempt, and keeps it until the end.
    enqueue(&mut mail.on(&mut *conn), &jobs[3..], Due::Now).await.unwrap();
    until("it runs", || async { count(&pool, "select count(*) from mail.concurrency_key").await == 1 }).await;
    let which = JobRef::Key(Note::TAG, "waits");
    let outcome = admin::cancel(&mut mail.on(&mut *conn), which, "enough").await.unwrap();
    assert_eq!(outcome, AdminOutcome::CancelRequested);
    until("it is cancelled", || async { count(&pool, "select count(*) from mail.job").await == 0 }).await;

    // What is enqueued without a notification is run once the queue's own notifier sends one.
    enqueue(&mut mail.on(&mut *conn), &[note("quiet")], Due::NowSilently).await.unwrap();
    let notifier = Notifier::start_for((*pool.connect_options()).clone(), &mail);
    notifier.notify();
    until("it is done", || async {
        count(&pool, "select count(*) from mail.finished where key = 'quiet'").await == 1
    })
    .await;
    stop.notify_one();
    worker.await.unwrap();
    assert_eq!(count(&pool, "select count(*) from mail.worker").await, 0);
    assert_eq!(count(&pool, "select count(*) from fax.job where attempt = 0").await, 4);
}

/// Every statement of the administration runs on a queue with other names.
#[tokio::test]
async fn operators_work_on_a_queue_of_any_name() {
    let db = Database::empty().await;
    let pool = PgPool::connect(&db.url).await.unwrap();
    let fax = QueueConfig::new("fax", "fax_jobs").unwrap();
    let mut conn = pool.acquire().await.unwrap();
    fax.migrate(&mut conn).await.unwrap();
    let jobs = ["a", "b", "c", "d"].map(note);
    enqueue(&mut fax.on(&mut *conn), &jobs, Due::In(Duration::from_secs(600))).await.unwrap();

    let on = &mut fax.on(&mut *conn);
    assert_eq!(admin::retry(on, jobs[0].id).await.unwrap(), AdminOutcome::Changed);
    let tomorrow = chrono::Utc::now() + chrono::TimeDelta::days(1);
    assert_eq!(admin::snooze(on, jobs[0].id, tomorrow).await.unwrap(), AdminOutcome::Changed);
    assert_eq!(bulk::retry(on, &[jobs[1].id]).await.unwrap(), [AdminOutcome::Changed]);
    assert_eq!(bulk::redrive(on, &[jobs[1].id]).await.unwrap(), [AdminOutcome::Busy]);
    assert_eq!(admin::cancel(on, JobRef::Id(jobs[1].id), "no").await.unwrap(), AdminOutcome::Changed);
    assert_eq!(admin::redrive(on, &DeadFilter::default()).await.unwrap(), 0);
    assert_eq!(admin::drain(on, "note", "me", "a test", Duration::ZERO).await.unwrap(), 0);
    assert_eq!(admin::minutes(on, "note", tomorrow).await.unwrap().len(), 0);
    assert!(matches!(enqueue_or_expedite(on, &note("c")).await.unwrap(), Enqueued::AlreadyQueued(_)));
    assert_eq!(remove(on, &[("note", "d".to_owned())]).await.unwrap(), 1);

    let db = || fax.on(&pool);
    admin::resume(db(), "note").await.unwrap();
    assert_eq!(admin::find(db(), jobs[1].id).await.unwrap().unwrap().state, "cancelled");
    assert_eq!(admin::list(db(), &JobFilter::default(), 10).await.unwrap().len(), 3);
    assert_eq!(admin::ids(db(), &JobFilter::default(), 10).await.unwrap().len(), 3);
    assert_eq!(admin::queues(db(), &["note".to_owned()]).await.unwrap()[0].delayed, 1);
    assert!(admin::errors(db(), None, None, 10).await.unwrap().is_empty());
    assert!(admin::workers(db(), None, 10).await.unwrap().is_empty());
    let left = pool.fetch_all("select from fax.job").await.unwrap();
    assert_eq!(left.len(), 2);
}
