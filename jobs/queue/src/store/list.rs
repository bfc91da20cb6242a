//! Listing and counting, as apalis's boards ask for it.

use super::JobStore;
use crate::{
    Job, OnQueue,
    admin::{self, JobFilter, JobTable, JobView, QueueView, WorkerView},
};
use apalis_core::{
    backend::{
        FetchById, Filter, ListAllTasks, ListQueues, ListTasks, ListWorkers, Metrics, QueueInfo,
        RunningWorker, StatType, Statistic,
    },
    task::{Task, builder::TaskBuilder, status::Status, task_id::TaskId},
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

/// How many workers are listed.
const MAX_WORKERS: i64 = 1_000;
/// The name of this backend on a board.
const BACKEND: &str = "farebox-queue";

/// The states of a job that apalis knows under this status; all without one.
fn states(status: Option<&Status>) -> &'static [&'static str] {
    match status {
        None => &["ready", "delayed", "retrying", "running", "done", "dead", "cancelled"],
        Some(Status::Pending) => &["ready", "delayed"],
        Some(Status::Failed) => &["retrying"],
        Some(Status::Running) => &["running"],
        Some(Status::Done) => &["done"],
        Some(Status::Killed) => &["dead", "cancelled"],
        Some(_) => &[],
    }
}

fn status_of(state: &str) -> Status {
    match state {
        "running" => Status::Running,
        "retrying" => Status::Failed,
        "done" => Status::Done,
        "dead" | "cancelled" => Status::Killed,
        _ => Status::Pending,
    }
}

fn secs(at: DateTime<Utc>) -> u64 {
    u64::try_from(at.timestamp()).unwrap_or(0)
}

pub(super) fn task_of(job: JobView) -> Task<Value> {
    TaskBuilder::new(job.payload)
        .task_id(TaskId::from_string(job.id.to_string()))
        .attempt(usize::try_from(job.attempt).unwrap_or(0))
        .status(status_of(&job.state))
        .max_attempts(usize::try_from(job.max_attempts).unwrap_or(0))
        .queue(job.tag.into())
        .run_at_timestamp(secs(job.run_at))
        .idempotency_key(job.key)
        .lock_at(job.started_at.map(secs))
        .lock_by(job.worker)
        .done_at(job.ended_at.map(secs))
        .build()
}

/// A page of the jobs of these tags, newest first.
async fn tasks(
    db: OnQueue<&PgPool>,
    tags: Vec<String>,
    filter: &Filter,
) -> Result<Vec<Task<Value>>, sqlx::Error> {
    let (skipped, taken) = (u64::from(filter.page.max(1) - 1) * u64::from(filter.limit()), filter.limit());
    let limit = i64::try_from(skipped + u64::from(taken)).unwrap_or(i64::MAX);
    let mut jobs: Vec<JobView> = Vec::new();
    for state in states(filter.status.as_ref()) {
        let wanted = JobFilter {
            tables: JobTable::ALL,
            tags: tags.clone(),
            state: Some((*state).to_owned()),
            brief: true,
            ..JobFilter::default()
        };
        jobs.extend(admin::list(db.again(), &wanted, limit).await?);
    }
    jobs.sort_by_key(|job| std::cmp::Reverse(job.id));
    let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
    Ok(jobs.into_iter().skip(skipped).take(taken as usize).map(task_of).collect())
}

/// The tags that have lately had jobs or workers.
async fn known_tags(db: OnQueue<&PgPool>) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select distinct tag from (
             select unnest(tags) as tag from queue.worker union all select tag from queue.tally
             union all select tag from queue.paused
         ) as known order by tag",
    )
    .fetch_all(db)
    .await
}

fn statistics(queues: &[QueueView]) -> Vec<Statistic> {
    let sum = |value: fn(&QueueView) -> i64| queues.iter().map(value).sum::<i64>();
    let numbers = [
        ("ready", sum(|queue| queue.ready)),
        ("delayed", sum(|queue| queue.delayed)),
        ("retrying", sum(|queue| queue.retrying)),
        ("running", sum(|queue| queue.running)),
        ("dead", sum(|queue| queue.dead)),
        ("done in the last hour", sum(|queue| queue.done_last_hour)),
        ("failed in the last hour", sum(|queue| queue.failed_last_hour)),
    ];
    let statistic = |(priority, (title, value)): (u64, (&str, i64))| Statistic {
        title: title.to_owned(),
        stat_type: StatType::Number,
        value: value.to_string(),
        priority: Some(priority),
    };
    (1..).zip(numbers).map(statistic).collect()
}

async fn workers(db: OnQueue<&PgPool>, tag: Option<&str>) -> Result<Vec<RunningWorker>, sqlx::Error> {
    let workers = admin::workers(db, None, MAX_WORKERS).await?.into_iter();
    let of_tag = |worker: &WorkerView| tag.is_none_or(|tag| worker.tags.iter().any(|other| other == tag));
    let running = |worker: WorkerView| RunningWorker {
        queue: worker.tags.join(", "),
        id: worker.id,
        backend: BACKEND.to_owned(),
        started_at: secs(worker.started_at),
        last_heartbeat: secs(worker.last_seen_at),
        layers: String::new(),
    };
    Ok(workers.filter(of_tag).map(running).collect())
}

/// Jobs done on each of the last seven days, the oldest first.
async fn activity(db: OnQueue<&PgPool>, tag: &str) -> Result<Vec<usize>, sqlx::Error> {
    let days: Vec<i64> = sqlx::query_scalar(
        "select coalesce(sum(t.done), 0)::bigint
         from generate_series(6, 0, -1) as ago
         left join queue.tally t on t.tag = $1
             and t.minute >= date_trunc('day', now()) - make_interval(days => ago)
             and t.minute < date_trunc('day', now()) - make_interval(days => ago - 1)
         group by ago order by ago desc",
    )
    .bind(tag)
    .fetch_all(db)
    .await?;
    Ok(days.into_iter().map(|done| usize::try_from(done).unwrap_or(0)).collect())
}

impl<J> JobStore<J> {
    fn db(&self) -> OnQueue<&PgPool> {
        self.queue.on(&self.pool)
    }
}

impl<J: Job> FetchById for JobStore<J> {
    async fn fetch_by_id(&mut self, id: &TaskId) -> Result<Option<Task<Value>>, sqlx::Error> {
        let Ok(id) = id.to_string().parse::<Uuid>() else { return Ok(None) };
        let job = admin::find(self.db(), id).await?;
        Ok(job.filter(|job| job.tag == J::TAG).map(task_of))
    }
}

impl<J: Job> ListTasks for JobStore<J> {
    async fn list_tasks(&self, filter: &Filter) -> Result<Vec<Task<Value>>, sqlx::Error> {
        tasks(self.db(), vec![J::TAG.to_owned()], filter).await
    }
}

impl<J: Job> ListAllTasks for JobStore<J> {
    async fn list_all_tasks(&self, filter: &Filter) -> Result<Vec<Task<Value>>, sqlx::Error> {
        let tags = known_tags(self.db()).await?;
        tasks(self.db(), tags, filter).await
    }
}

impl<J: Job> ListQueues for JobStore<J> {
    async fn list_queues(&self) -> Result<Vec<QueueInfo>, sqlx::Error> {
        let mut infos = Vec::new();
        for queue in admin::queues(self.db(), &known_tags(self.db()).await?).await? {
            let workers = workers(self.db(), Some(&queue.tag)).await?;
            infos.push(QueueInfo {
                stats: statistics(std::slice::from_ref(&queue)),
                workers: workers.into_iter().map(|worker| worker.id).collect(),
                activity: activity(self.db(), &queue.tag).await?,
                name: queue.tag,
            });
        }
        Ok(infos)
    }
}

impl<J: Job> ListWorkers for JobStore<J> {
    async fn list_workers(&self) -> Result<Vec<RunningWorker>, sqlx::Error> {
        workers(self.db(), Some(J::TAG)).await
    }

    async fn list_all_workers(&self) -> Result<Vec<RunningWorker>, sqlx::Error> {
        workers(self.db(), None).await
    }
}

impl<J: Job> Metrics for JobStore<J> {
    async fn global(&self) -> Result<Vec<Statistic>, sqlx::Error> {
        let tags = known_tags(self.db()).await?;
        Ok(statistics(&admin::queues(self.db(), &tags).await?))
    }

    async fn fetch_by_queue(&self) -> Result<Vec<Statistic>, sqlx::Error> {
        Ok(statistics(&admin::queues(self.db(), &[J::TAG.to_owned()]).await?))
    }
}
