//! What one worker does for all: looks at how much lies in the queue, makes and drops partitions, sweeps up. Whoever is
//! first when a duty is due does it; none of them matters for a job's life.

use super::{WorkerConfig, admin, metrics::Tally, policy::jittered};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool};
use std::time::Duration;
use tokio::time::sleep;

/// How often a worker asks whether a duty is due; half to all of it.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How often the depth of the queue is looked at.
const DEPTH_EVERY: Duration = Duration::from_secs(10);
/// How often partitions are made and dropped.
const RETENTION_EVERY: Duration = Duration::from_secs(600);
/// How many days ahead partitions are made.
const DAYS_AHEAD: i32 = 7;
/// How long roll-ups are kept.
const ROLL_UPS_KEPT: Duration = Duration::from_secs(14 * 24 * 3_600);
/// How long a worker that went without a word stays in the registry.
const MISSING_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// How many old rows one sweep deletes at the most.
const SWEEP_MAX: i64 = 10_000;

/// Does what is due, for ever. Safe to drop: each duty is one transaction.
pub(super) async fn keep(pool: PgPool, config: WorkerConfig) {
    loop {
        sleep(jittered(ASK_EVERY)).await;
        if let Err(error) = once(&pool, &config.tags, config.retention).await {
            (config.on_error)(&error);
            tracing::warn!(worker = %config.id, %error, "upkeep put off");
        }
    }
}

async fn once(pool: &PgPool, tags: &[String], retention: Duration) -> Result<(), sqlx::Error> {
    let mut tx = super::begin(pool).await?;
    if take_duty(&mut *tx, "depth", DEPTH_EVERY).await? {
        depth(&mut tx, tags).await?;
    }
    tx.commit().await?;
    let mut tx = super::begin(pool).await?;
    if take_duty(&mut *tx, "retention", RETENTION_EVERY).await? {
        retain(&mut tx, retention).await?;
    }
    tx.commit().await
}

/// Whether this duty of `queue.duty` is due and ours now; the next turn is `every` from now. In a transaction, nobody else
/// can take it before that ends.
///
/// # Errors
/// The database's.
pub async fn take_duty(db: impl PgExecutor<'_>, duty: &str, every: Duration) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query!(
        "update queue.duty set next_at = now() + make_interval(secs => $2)
         where name = (select name from queue.duty where name = $1 and next_at <= now() for update skip locked)",
        duty,
        every.as_secs_f64()
    )
    .execute(db)
    .await?;
    Ok(taken.rows_affected() == 1)
}

async fn depth(conn: &mut PgConnection, tags: &[String]) -> Result<(), sqlx::Error> {
    for queue in admin::queues(&mut *conn, tags).await? {
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
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Makes and drops partitions of what has ended, and sweeps up what is small: old roll-ups, workers that went missing,
/// serial keys whose job was deleted by hand.
///
/// # Errors
/// The database's; among them that a partition is in use, which passes.
pub async fn retain(conn: &mut PgConnection, retention: Duration) -> Result<(), sqlx::Error> {
    let sweeps = [
        "delete from queue.tally where ctid = any(array(
             select ctid from queue.tally where minute < now() - make_interval(secs => $1) order by minute limit $2))",
        "delete from queue.depth where ctid = any(array(
             select ctid from queue.depth where at < now() - make_interval(secs => $1) order by at limit $2))",
        "delete from queue.worker where ctid = any(array(
             select ctid from queue.worker where last_seen_at < now() - make_interval(secs => $1) limit $2))",
        "delete from queue.serial where key = any(array(
             select key from queue.serial s
             where not exists (select from queue.job where job.id = s.job_id) and $1 >= 0 limit $2))",
    ];
    let kept = [ROLL_UPS_KEPT, ROLL_UPS_KEPT, MISSING_KEPT, Duration::ZERO];
    for (sweep, kept) in sweeps.into_iter().zip(kept) {
        sqlx::query(sweep).bind(kept.as_secs_f64()).bind(SWEEP_MAX).execute(&mut *conn).await?;
    }
    sqlx::query!(
        "select queue.keep_finished(make_interval(secs => $1), $2)",
        retention.as_secs_f64(),
        DAYS_AHEAD
    )
    .fetch_one(conn)
    .await
    .map(drop)
}

/// Adds these sums to the roll-up of this minute.
pub(super) async fn tally(conn: &mut PgConnection, sums: &[(String, Tally)]) -> Result<(), sqlx::Error> {
    for (tag, sum) in sums {
        let [done, failed, dead, cancelled, _] = sum.ended;
        sqlx::query!(
            "insert into queue.tally as t
                 (tag, minute, done, failed, dead, cancelled, rescued, lost, run_secs, pickup, lateness, run)
             values ($1, date_trunc('minute', now()), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             on conflict (minute, tag) do update
                 set done = t.done + excluded.done, failed = t.failed + excluded.failed, dead = t.dead + excluded.dead,
                     cancelled = t.cancelled + excluded.cancelled, rescued = t.rescued + excluded.rescued,
                     lost = t.lost + excluded.lost, run_secs = t.run_secs + excluded.run_secs,
                     pickup = queue.added(t.pickup, excluded.pickup),
                     lateness = queue.added(t.lateness, excluded.lateness), run = queue.added(t.run, excluded.run)",
            tag,
            done,
            failed,
            dead,
            cancelled,
            sum.rescued,
            sum.lost,
            sum.run_secs,
            &sum.pickup,
            &sum.lateness,
            &sum.run
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// The minutes since `since`, oldest first.
///
/// # Errors
/// The database's.
pub async fn minutes(
    conn: &mut PgConnection,
    tag: &str,
    since: DateTime<Utc>,
) -> Result<Vec<Minute>, sqlx::Error> {
    sqlx::query_as!(
        Minute,
        "select minute, done, failed, dead, cancelled, rescued, lost, run_secs, pickup, lateness, run
         from queue.tally where tag = $1 and minute >= $2 order by minute limit 1440",
        tag,
        since
    )
    .fetch_all(conn)
    .await
}

/// What ended in a minute, of one tag.
#[derive(Clone, Debug)]
pub struct Minute {
    /// Its beginning.
    pub minute: DateTime<Utc>,
    /// Jobs done.
    pub done: i64,
    /// Attempts that failed and are made again.
    pub failed: i64,
    /// Jobs given up.
    pub dead: i64,
    /// Jobs called off while they ran.
    pub cancelled: i64,
    /// Claims of jobs whose attempt had gone without a word.
    pub rescued: i64,
    /// Attempts that lost their lease.
    pub lost: i64,
    /// How long all attempts took, seconds.
    pub run_secs: f64,
    /// Waits by bucket ([`BOUNDS`](super::BOUNDS)).
    pub pickup: Vec<i64>,
    /// Waits of delayed jobs by bucket.
    pub lateness: Vec<i64>,
    /// Run times by bucket.
    pub run: Vec<i64>,
}
