//! What became of a change, and what the changes of one job and of many share.

use crate::QueueConnection;
use uuid::Uuid;

/// A job, by its id or by its key.
#[derive(Clone, Copy, Debug)]
pub enum JobRef<'a> {
    /// By id.
    Id(Uuid),
    /// By tag and key: the live one.
    Key(&'a str, &'a str),
}

/// What became of a job that was to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminOutcome {
    /// The job is changed.
    Changed,
    /// The job runs, and the cancellation of its attempt is requested. It ends as cancelled, unless
    /// it is done before.
    CancelRequested,
    /// An attempt runs, or the key is taken by a live job: nothing was changed.
    Busy,
    /// The job has ended, or there is no such job: nothing was changed.
    Gone,
}

/// Moves dead letters back to the live table: the row is moved, never copied, so none can live
/// twice.
pub(crate) async fn restore(
    conn: &mut (impl QueueConnection + ?Sized),
    ids: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"with chosen as materialized (
               select * from queue.dead_letter where id = any($1) order by id for update skip locked
           ), alive as (
               insert into queue.job
                   (id, tag, key, payload, priority, concurrency_key,
                       max_attempts, failures, created_at, first_due_at)
               select id, tag, key, payload, priority, concurrency_key, max_attempts, failures, created_at,
                      coalesce(first_due_at, run_at)
               from chosen
               on conflict do nothing
               returning id
           ), gone as (
               delete from queue.dead_letter where id in (select id from alive)
           ), ping as (select pg_notify('farebox_jobs', '') from alive limit 1)
           select id as "id!" from alive where (select count(*) from ping) >= 0"#,
        ids
    )
    .fetch_all(conn.on_queue())
    .await
}

/// Ends a dead letter as `cancelled` with the note: nobody can redrive it any more. Safe to drop: the
/// row is moved in one statement.
pub async fn discard(
    conn: &mut (impl QueueConnection + ?Sized),
    id: Uuid,
    note: &str,
) -> Result<AdminOutcome, sqlx::Error> {
    let moved = sqlx::query!(
        "with gone as (delete from queue.dead_letter where id = $1 returning *)
         insert into queue.finished
             (id, tag, key, payload, outcome, attempt, note, failures, run_at, created_at, ended_at)
         select id, tag, key, payload, 'cancelled', attempt, $2, failures, run_at, created_at, clock_timestamp()
         from gone",
        id,
        note
    )
    .execute(conn.on_queue())
    .await?;
    Ok(if moved.rows_affected() == 1 { AdminOutcome::Changed } else { AdminOutcome::Gone })
}

/// Locks the row of the live job, in the caller's transaction. Waits for other transactions.
pub(super) async fn lock(
    conn: &mut (impl QueueConnection + ?Sized),
    which: JobRef<'_>,
) -> Result<Option<Uuid>, sqlx::Error> {
    match which {
        JobRef::Id(id) => {
            sqlx::query_scalar!("select id from queue.job where id = $1 for update", id)
                .fetch_optional(conn.on_queue())
                .await
        }
        JobRef::Key(tag, key) => {
            sqlx::query_scalar!("select id from queue.job where tag = $1 and key = $2 for update", tag, key)
                .fetch_optional(conn.on_queue())
                .await
        }
    }
}

pub(super) async fn busy_or_gone(
    conn: &mut (impl QueueConnection + ?Sized),
    id: Uuid,
) -> Result<AdminOutcome, sqlx::Error> {
    let there = sqlx::query_scalar!(
        r#"select exists(select from queue.job where id = $1)
               or exists(select from queue.dead_letter where id = $1) as "there!""#,
        id
    )
    .fetch_one(conn.on_queue())
    .await?;
    Ok(if there { AdminOutcome::Busy } else { AdminOutcome::Gone })
}
