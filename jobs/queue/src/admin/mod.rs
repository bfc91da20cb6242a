//! Administration: operators retry, snooze, redrive, cancel, pause and drain. Every change is one
//! statement and keeps its reason. It leaves a running attempt alone; a cancellation asks it to
//! end.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

mod change;
mod key_filter;
mod search;
mod table;
pub(crate) mod views;

pub mod bulk;

use crate::Priority;
use crate::QueueConnection;
use change::{busy_or_gone, lock, restore};

pub use change::{AdminOutcome, JobRef, discard};
pub use key_filter::KeyFilter;
pub use search::{ErrorCursor, ErrorGroup, JobFilter, errors, first_id, ids, list, newest_ids};
pub use table::JobTable;
pub use views::{
    COUNT_MAX, FAILED_MAX, JobView, Minute, QueueView, WorkerCursor, WorkerView, find, minutes, queues,
    workers, workers_by_tag,
};

/// How many jobs one [`redrive`] moves at most.
pub const REDRIVE_MAX: i64 = 1_000;
/// Jobs that are due longest, of each priority, among which those that run are looked for before a
/// tag counts as drained.
const DRAINED_OF: i64 = 10_000;
/// How often a job that begins or ends at this moment is looked at again before it is left alone.
const MAX_TRIES: usize = 5;
/// How often [`drain`] looks.
const DRAIN_POLL: Duration = Duration::from_millis(100);

/// Which dead letters; all that is given must fit.
#[derive(Clone, Debug, Default)]
pub struct DeadFilter {
    /// Of this tag.
    pub tag: Option<String>,
    /// Given up for this reason.
    pub reason: Option<String>,
    /// Whose last error contains this.
    pub error: Option<String>,
    /// Given up since then.
    pub since: Option<DateTime<Utc>>,
    /// Given up before then.
    pub before: Option<DateTime<Utc>>,
}

/// Makes a job that waits due now, or brings a dead letter back to life with fresh attempts.
pub async fn retry(
    conn: &mut (impl QueueConnection + ?Sized),
    id: Uuid,
) -> Result<AdminOutcome, sqlx::Error> {
    let waiting = sqlx::query_scalar!(
        r#"with moved as (
               update queue.job set run_at = least(run_at, now())
                   where id = $1 and lease_token is null returning id
           ), ping as (select pg_notify('farebox_jobs', '') from moved)
           select (select count(*) from ping) > 0 as "moved!""#,
        id
    )
    .fetch_one(conn.on_queue())
    .await?;
    if waiting {
        return Ok(AdminOutcome::Changed);
    }
    if !restore(conn, &[id]).await?.is_empty() {
        return Ok(AdminOutcome::Changed);
    }
    busy_or_gone(conn, id).await
}

/// Puts a job that waits off until then, or brings it forward to then.
pub async fn snooze(
    conn: &mut (impl QueueConnection + ?Sized),
    id: Uuid,
    until: DateTime<Utc>,
) -> Result<AdminOutcome, sqlx::Error> {
    let moved =
        // A job that was due already keeps that time as its first due time.
        sqlx::query!(
            "update queue.job
             set run_at = $2, first_due_at = coalesce(first_due_at, case when run_at <= now() then run_at end)
             where id = $1 and lease_token is null",
            id,
            until
        )
        .execute(conn.on_queue())
        .await?;
    if moved.rows_affected() == 1 {
        return Ok(AdminOutcome::Changed);
    }
    busy_or_gone(conn, id).await
}

/// Brings dead letters back to life, the oldest first, at most [`REDRIVE_MAX`]; those whose key
/// is taken by a live job stay where they are. Returns how many.
pub async fn redrive(
    conn: &mut (impl QueueConnection + ?Sized),
    which: &DeadFilter,
) -> Result<u64, sqlx::Error> {
    let dead = sqlx::query_scalar!(
        "select id from queue.dead_letter d
         where ($1::text is null or tag = $1) and ($2::text is null or reason = $2)
           and ($3::text is null or strpos(failures->-1->>'error', $3) > 0)
           and ($4::timestamptz is null or died_at >= $4) and ($5::timestamptz is null or died_at < $5)
           and not exists (select from queue.job j where j.tag = d.tag and j.key = d.key)
         order by id limit $6",
        which.tag,
        which.reason,
        which.error,
        which.since,
        which.before,
        REDRIVE_MAX
    )
    .fetch_all(conn.on_queue())
    .await?;
    Ok(restore(conn, &dead).await?.len() as u64)
}

/// Cancels a live job, in the caller's transaction. A waiting job ends as `cancelled` with the
/// note. The cancellation of a running job is requested ([`AdminOutcome::CancelRequested`]): its
/// worker learns of it when the transaction commits, or at its next heartbeat if it only polls.
pub async fn cancel(
    conn: &mut (impl QueueConnection + ?Sized),
    which: JobRef<'_>,
    note: &str,
) -> Result<AdminOutcome, sqlx::Error> {
    for _ in 0..MAX_TRIES {
        let Some(id) = lock(conn, which).await? else { return Ok(AdminOutcome::Gone) };
        let changed = bulk::cancel(conn, &[id], note).await?;
        if let Some(done @ (AdminOutcome::Changed | AdminOutcome::CancelRequested)) = changed.first() {
            return Ok(*done);
        }
        // Without a transaction nothing held it: it began or ended in between.
    }
    Ok(AdminOutcome::Busy)
}

/// Makes workers leave a tag's jobs alone; running ones end. A second pause keeps the first's
/// reason. Returns whether the tag was not paused before.
pub async fn pause(db: impl PgExecutor<'_>, tag: &str, by: &str, reason: &str) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "insert into queue.paused (tag, paused_by, reason) values ($1, $2, $3) on conflict (tag) do nothing",
        tag,
        by,
        reason
    )
    .execute(db)
    .await
    .map(|paused| paused.rows_affected() == 1)
}

/// Lets workers have a tag's jobs again, at once. Returns whether the tag was paused.
pub async fn resume(db: impl PgExecutor<'_>, tag: &str) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        r#"with resumed as (delete from queue.paused where tag = $1 returning tag)
           select pg_notify('farebox_jobs', '') from resumed"#,
        tag
    )
    .fetch_optional(db)
    .await
    .map(|resumed| resumed.is_some())
}

/// Pauses a tag and waits until none of its attempts runs, at most for `wait`. Returns how many
/// still run.
pub async fn drain(
    conn: &mut (impl QueueConnection + ?Sized),
    tag: &str,
    by: &str,
    reason: &str,
    wait: Duration,
) -> Result<i64, sqlx::Error> {
    pause(conn.on_queue(), tag, by, reason).await?;
    wait_until_drained(conn, tag, wait).await
}

/// Waits until none of a paused tag's attempts runs, at most for `wait`. Returns how many still
/// run.
pub async fn wait_until_drained(
    conn: &mut (impl QueueConnection + ?Sized),
    tag: &str,
    wait: Duration,
) -> Result<i64, sqlx::Error> {
    let until = Instant::now() + wait;
    loop {
        let running = sqlx::query_scalar!(
            r#"select count(j.lease_token) as "running!"
               from unnest($2::smallint[]) p cross join lateral (
                   select lease_token from queue.job where tag = $1 and priority = p and run_at <= now()
                   order by run_at limit $3) j"#,
            tag,
            &Priority::ALL.map(Priority::rank),
            DRAINED_OF
        )
        .fetch_one(conn.on_queue())
        .await?;
        if running == 0 || Instant::now() >= until {
            return Ok(running);
        }
        sleep(DRAIN_POLL).await;
    }
}
