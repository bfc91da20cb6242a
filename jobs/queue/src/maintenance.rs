//! Maintenance, which one worker at a time does for all: it measures the depth of the queue, makes
//! and drops partitions, and deletes old rows. The first worker to notice that a task is due does
//! it. No job depends on these tasks.

use crate::{QueueConnection, WorkerConfig, admin::views::queues, begin, retry_policy::jittered};
use sqlx::{PgExecutor, PgPool};
use std::time::Duration;
use tokio::time::sleep;

/// How often a worker checks whether a task is due; half to all of it.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// How often the depth of the queue is measured.
const DEPTH_EVERY: Duration = Duration::from_secs(10);
/// How often partitions are made and dropped.
const RETENTION_EVERY: Duration = Duration::from_secs(600);
/// How many days ahead partitions are made.
const DAYS_AHEAD: i32 = 7;
/// How long roll-ups are kept.
const ROLLUP_RETENTION: Duration = Duration::from_secs(14 * 24 * 3_600);
/// How long a missing worker stays in the registry.
const MISSING_WORKER_RETENTION: Duration = Duration::from_secs(24 * 3_600);
/// How many old rows one statement deletes at most.
const MAX_DELETED: i64 = 10_000;

/// Does what is due, for ever. Safe to drop: each task is one transaction.
pub(crate) async fn run_maintenance(pool: PgPool, config: WorkerConfig) {
    loop {
        sleep(jittered(CHECK_EVERY)).await;
        if let Err(error) = run_once(&pool, &config).await {
            (config.on_error)(&error);
            tracing::warn!(worker = %config.id, %error, "maintenance put off");
        }
    }
}

async fn run_once(pool: &PgPool, config: &WorkerConfig) -> Result<(), sqlx::Error> {
    let mut tx = begin(pool).await?;
    if acquire_task(config.queue.on(&mut *tx), "depth", DEPTH_EVERY).await? {
        write_depth(&mut config.queue.on(&mut *tx), &config.tags).await?;
    }
    tx.commit().await?;
    let mut tx = begin(pool).await?;
    if acquire_task(config.queue.on(&mut *tx), "retention", RETENTION_EVERY).await? {
        apply_retention(&mut config.queue.on(&mut *tx), config.retention).await?;
    }
    tx.commit().await
}

/// Whether this task is due and the caller's now; the next turn is `every` from now. Until the
/// caller's transaction ends, no other process acquires the task. A name that is new is due at
/// once, so a program can have tasks of its own.
pub async fn acquire_task(db: impl PgExecutor<'_>, task: &str, every: Duration) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"with acquired as (
               update queue.maintenance_task set next_at = now() + make_interval(secs => $2)
               where name = (select name from queue.maintenance_task where name = $1 and next_at <= now()
                             for update skip locked)
               returning name
           ), created as (
               insert into queue.maintenance_task (name, next_at)
               select $1, now() + make_interval(secs => $2)
               where not exists (select from queue.maintenance_task where name = $1)
               on conflict (name) do nothing
               returning name
           )
           select exists(select from acquired) or exists(select from created) as "acquired!""#,
        task,
        every.as_secs_f64()
    )
    .fetch_one(db)
    .await
}

async fn write_depth(conn: &mut (impl QueueConnection + ?Sized), tags: &[String]) -> Result<(), sqlx::Error> {
    for queue in queues(conn.on_queue(), tags).await? {
        sqlx::query!(
            "insert into queue.depth
                 (at, tag, ready, delayed, running, dead, oldest_ready_secs, retrying, oldest_due_secs)
             values (now(), $1, $2, $3, $4, $5, $6, $7, $8)",
            queue.tag,
            queue.ready,
            queue.delayed,
            queue.running,
            queue.dead,
            queue.oldest_ready_secs,
            queue.retrying,
            queue.oldest_due_secs
        )
        .execute(conn.on_queue())
        .await?;
    }
    Ok(())
}

/// Makes and drops partitions of what has ended, and deletes old roll-ups, missing workers, and
/// concurrency keys whose job was deleted by hand.
///
/// # Errors
/// The database's; among them that a partition is in use, which passes.
pub async fn apply_retention(
    conn: &mut (impl QueueConnection + ?Sized),
    retention: Duration,
) -> Result<(), sqlx::Error> {
    let deletions = [
        "delete from queue.tally where ctid = any(array(
             select ctid from queue.tally where minute < now() - make_interval(secs => $1)
                 order by minute limit $2))",
        "delete from queue.depth where ctid = any(array(
             select ctid from queue.depth where at < now() - make_interval(secs => $1)
                 order by at limit $2))",
        "delete from queue.worker where ctid = any(array(
             select ctid from queue.worker where last_seen_at < now() - make_interval(secs => $1) limit $2))",
        "delete from queue.concurrency_key where key = any(array(
             select key from queue.concurrency_key s
             where not exists (select from queue.job where job.id = s.job_id) and $1 >= 0 limit $2))",
    ];
    let kept = [ROLLUP_RETENTION, ROLLUP_RETENTION, MISSING_WORKER_RETENTION, Duration::ZERO];
    for (deletion, kept) in deletions.into_iter().zip(kept) {
        sqlx::query(deletion).bind(kept.as_secs_f64()).bind(MAX_DELETED).execute(conn.on_queue()).await?;
    }
    sqlx::query!(
        "select queue.keep_finished(make_interval(secs => $1), $2)",
        retention.as_secs_f64(),
        DAYS_AHEAD
    )
    .fetch_one(conn.on_queue())
    .await
    .map(drop)
}
