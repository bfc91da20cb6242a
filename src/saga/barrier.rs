//! The barrier: one row per (subject, step) decides between a step and its undo.
//!
//! A step inserts its row in its own statement; if the row exists already, the primary key aborts the
//! step for good. An undo first *bars*: it inserts the rows of every step that has not run. That insert
//! waits for a step whose transaction is still open, which is why barring is a statement of its own: the
//! ones after it see what it waited for.

use crate::traces;
use farebox_jobs::MqTag;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// Bars the steps of `subject` that have not run, waiting for any that is being committed.
///
/// # Errors
/// The database's.
pub async fn bar(conn: &mut PgConnection, subject: Uuid, steps: &[MqTag]) -> Result<(), sqlx::Error> {
    let work = sqlx::query!(
        "insert into barrier (subject, step, undone_at)
         select $1, step, now() from unnest($2::text[]) as s(step)
         on conflict (subject, step) do nothing",
        subject,
        &wire(steps)
    )
    .execute(conn);
    traces::statement("bar", work).await.map(drop)
}

/// What the barrier decides about an undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undoing {
    /// The step was done, and is now recorded as undone: undo it.
    Due,
    /// The last step of the saga was done: nothing may be undone.
    Finished,
    /// The step never ran, or was undone before.
    Nothing,
}

/// Records that `step` is undone, unless `last` stands. Bar first: this decides by the rows that exist
/// when it begins.
///
/// # Errors
/// The database's.
pub async fn begin_undo(
    conn: &mut PgConnection,
    subject: Uuid,
    step: MqTag,
    last: MqTag,
) -> Result<Undoing, sqlx::Error> {
    let work = sqlx::query!(
        r#"with finished as materialized (
               select exists(
                   select from barrier
                   where subject = $1 and step = $3 and done_at is not null
                       and undone_at is null) as is_finished
           ), undone as (
               update barrier set undone_at = now()
               where subject = $1 and step = $2 and done_at is not null and undone_at is null
                 and not (select is_finished from finished)
               returning step
           )
           select is_finished as "finished!", exists(select from undone) as "due!" from finished"#,
        subject,
        step.wire(),
        last.wire()
    )
    .fetch_one(conn);
    let found = traces::statement("begin_undo", work).await?;
    Ok(match (found.finished, found.due) {
        (true, _) => Undoing::Finished,
        (false, true) => Undoing::Due,
        (false, false) => Undoing::Nothing,
    })
}

/// Records that the steps of `subject` that were done are undone now.
///
/// # Errors
/// The database's.
pub async fn mark_undone(conn: &mut PgConnection, subject: Uuid, steps: &[MqTag]) -> Result<(), sqlx::Error> {
    let work = sqlx::query!(
        "update barrier set undone_at = now()
         where subject = $1 and step = any($2) and done_at is not null and undone_at is null",
        subject,
        &wire(steps)
    )
    .execute(conn);
    traces::statement("mark_undone", work).await.map(drop)
}

/// Deletes the rows of sagas that began more than `days` ago and have ended, at most `batch`; returns
/// how many.
///
/// A row may only go when neither a step nor an undo can need it any more. Steps come from a request,
/// and none lives that long. Undos come from jobs: a subject with a live job, or with a dead letter that
/// may be redriven, keeps its rows. So does a step that was done and is neither settled nor undone: its
/// order is unpaid or missing, or its payment is debited.
///
/// # Errors
/// The database's.
pub async fn prune(db: impl PgExecutor<'_>, days: i32, batch: u32) -> Result<u64, sqlx::Error> {
    let tags = MqTag::ALL.map(|tag| tag.wire().to_owned());
    let pruned = sqlx::query!(
        "delete from barrier where (subject, step) in (
             select subject, step from barrier b
             -- Subjects are UUIDv7: their first 48 bits are the milliseconds of their creation.
             where subject < (lpad(to_hex((extract(epoch
                 from now() - make_interval(days => $1)) * 1000)::bigint), 12, '0')
                              || repeat('0', 20))::uuid
               and (undone_at is not null
                    or exists (select from orders o where o.id = b.subject and o.status <> 'unpaid')
                    or exists (select from payment p where p.id = b.subject and p.state <> 'debited'))
               and not exists (select from queue.job j where j.key = b.subject::text and j.tag = any($3))
               and not exists (select from queue.dead_letter d where d.key = b.subject::text
                   and d.tag = any($3))
             order by subject limit $2)",
        days,
        i64::from(batch),
        &tags[..]
    )
    .execute(db)
    .await?;
    Ok(pruned.rows_affected())
}

fn wire(steps: &[MqTag]) -> Vec<String> {
    steps.iter().map(|step| step.wire().to_owned()).collect()
}
