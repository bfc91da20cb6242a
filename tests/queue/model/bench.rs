//! The tables, the workers and the model side by side: each step runs in all of them.

use super::{
    Hours, LEASE, TAGS, WORKERS, hours,
    life::{Job, Model},
    sorted,
    steps::{Op, Pick, Spec, picked},
    tables::{CLEAR, JUMP, ROWS, Row},
};
use farebox_jobs::queue::{
    self, Due, Enqueued, Lease, NewJob, WorkerConfig,
    admin::{self, JobRef},
    protocol::{ClaimCursor, Claimed},
};
use proptest::{prelude::*, test_runner::TestCaseResult};
use serde_json::value::RawValue;
use sqlx::PgConnection;
use std::sync::Arc;
use uuid::Uuid;

/// A worker as its driver sees it.
pub struct Worker {
    pub config: WorkerConfig,
    pub cursor: ClaimCursor,
    /// Whether the next claim sees every due job.
    pub whole: bool,
    /// Claimed, and not yet begun.
    pub arrived: Vec<Claimed>,
    /// All it ever began.
    pub leases: Vec<Arc<Lease>>,
}

impl Worker {
    pub fn new() -> Self {
        let config = WorkerConfig { lease: hours(LEASE), ..WorkerConfig::new("model", &TAGS) };
        let cursor = ClaimCursor::new(&config.tags);
        Self { config, cursor, whole: true, arrived: Vec::new(), leases: Vec::new() }
    }

    /// Its next claim starts from the beginning of each tag, another tag first.
    pub fn reset(&mut self) {
        self.config.tags.rotate_left(1);
        self.cursor = ClaimCursor::new(&self.config.tags);
        self.whole = true;
    }

    pub fn pick(&self, pick: Pick) -> Option<Arc<Lease>> {
        picked(&self.leases, pick).cloned()
    }
}

/// The tables, the workers, and the model.
pub struct Bench<'c> {
    pub conn: &'c mut PgConnection,
    pub model: Model,
    pub workers: Vec<Worker>,
    /// In the order they were enqueued in.
    pub enqueued: Vec<Uuid>,
    /// Each time the queue said that a job is done.
    pub completed: Vec<Uuid>,
}

impl<'c> Bench<'c> {
    pub async fn new(conn: &'c mut PgConnection) -> Self {
        sqlx::raw_sql(CLEAR).execute(&mut *conn).await.unwrap();
        let workers = std::iter::repeat_with(Worker::new).take(WORKERS).collect();
        Self { conn, model: Model::default(), workers, enqueued: Vec::new(), completed: Vec::new() }
    }

    pub async fn run(&mut self, op: Op) -> TestCaseResult {
        match op {
            Op::Enqueue { job, delay } => self.enqueue(job, delay).await,
            Op::Claim { worker, done, slots, hesitates } => {
                self.claim(worker, &done, slots).await?;
                if hesitates { Ok(()) } else { self.begin(worker).await }
            }
            Op::Write { worker, endings } => self.end(worker, endings).await,
            Op::Complete { worker, lease } => self.complete(worker, lease).await,
            Op::Snooze { worker, lease, wait } => self.snooze(worker, lease, wait).await,
            Op::Renew { worker } => self.renew(worker).await,
            Op::Crash { worker } => {
                self.begin(worker).await?; // no worker dies between a claim and its concurrency keys
                self.workers[worker] = Worker::new();
                Ok(())
            }
            Op::CancelId { job } => self.cancel_id(job).await,
            Op::CancelKey { tag, key } => self.cancel(JobRef::Key(tag, key), self.model.live(tag, key)).await,
            Op::Pause { tag } => {
                admin::pause(&mut *self.conn, tag, "the test", "a whim").await.unwrap();
                self.model.paused.insert(tag);
                Ok(())
            }
            Op::Resume { tag } => {
                admin::resume(&mut *self.conn, tag).await.unwrap();
                self.model.paused.remove(tag);
                Ok(())
            }
            Op::Retry { job } => self.retry(job).await,
            Op::Redrive => self.redrive().await,
            Op::Jump { hours } => self.jump(hours).await,
        }
    }

    /// The tables say what the model says, and what must hold whatever it says.
    pub async fn compare(&mut self) -> TestCaseResult {
        let rows: Vec<Row> = sqlx::query_as(ROWS).fetch_all(&mut *self.conn).await.unwrap();
        let concurrency_keys: Vec<(String, Uuid)> =
            sqlx::query_as("select key, job_id from queue.concurrency_key order by key")
                .fetch_all(&mut *self.conn)
                .await
                .unwrap();
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        prop_assert_eq!(&ids, &sorted(&self.enqueued), "each job is in exactly one place");
        let done: Vec<Uuid> = rows.iter().filter(|row| row.state == "done").map(|row| row.id).collect();
        prop_assert_eq!(&done, &sorted(&self.completed), "what was said to be done is done once");
        let expected: Vec<Row> =
            self.model.jobs.iter().map(|(id, job)| Row::of(*id, job, self.model.now)).collect();
        prop_assert_eq!(rows, expected, "the tables are as the model");
        let held = self.model.concurrency_keys.iter().map(|(key, id)| ((*key).to_owned(), *id));
        prop_assert_eq!(concurrency_keys, held.collect::<Vec<_>>(), "concurrency keys are as the model's");
        for job in self.model.jobs.values() {
            let begun = i32::try_from(job.begun.len()).unwrap();
            prop_assert!(begun <= job.spec.max_attempts, "begun too often: {job:?}");
        }
        Ok(())
    }

    async fn enqueue(&mut self, spec: Spec, delay: Hours) -> TestCaseResult {
        let job = NewJob {
            id: Uuid::now_v7(),
            tag: spec.tag,
            key: spec.key.to_owned(),
            priority: spec.priority,
            concurrency_key: spec.concurrency_key.map(str::to_owned),
            payload: RawValue::from_string("{}".to_owned()).unwrap(),
            max_attempts: spec.max_attempts,
        };
        let due = if delay == 0 { Due::Now } else { Due::In(hours(delay)) };
        let answers = queue::enqueue(self.conn, std::slice::from_ref(&job), due).await.unwrap();
        match self.model.live(spec.tag, spec.key) {
            Some(live) => prop_assert_eq!(answers, [Enqueued::AlreadyQueued(live)]),
            None => {
                prop_assert_eq!(answers, [Enqueued::New(job.id)]);
                self.model.jobs.insert(job.id, Job::new(spec, self.model.now + delay));
                self.enqueued.push(job.id);
            }
        }
        Ok(())
    }

    /// What a worker skips over while its claims come back full, it skips for moments only: not after a jump.
    async fn jump(&mut self, hours: Hours) -> TestCaseResult {
        sqlx::query(JUMP).bind(i32::try_from(hours).unwrap()).execute(&mut *self.conn).await.unwrap();
        self.model.now += hours;
        self.workers.iter_mut().for_each(Worker::reset);
        Ok(())
    }
}
