//! The barrier: one row per (subject, step) decides between a step and its undo.
//!
//! A step inserts its row in its own statement; if the row is there already, the primary key aborts the step for
//! good. An undo first *bars*: it inserts the rows of every step that has not run. That insert waits for a step whose
//! transaction is still open, which is why barring is a statement of its own: the ones after it see what it waited for.

use farebox_jobs::MqTag;
use sqlx::PgConnection;
use uuid::Uuid;

/// Bars the steps of `subject` that have not run, waiting for any that is being committed.
///
/// # Errors
/// The database's.
pub async fn bar(conn: &mut PgConnection, subject: Uuid, steps: &[MqTag]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into barrier (subject, step, undone_at)
         select $1, step, now() from unnest($2::text[]) as s(step)
         on conflict (subject, step) do nothing",
        subject,
        &wire(steps)
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Whether the step is done and stands.
///
/// # Errors
/// The database's.
pub async fn stands(conn: &mut PgConnection, subject: Uuid, step: MqTag) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists(
               select from barrier
               where subject = $1 and step = $2 and done_at is not null and undone_at is null) as "stands!""#,
        subject,
        step.wire()
    )
    .fetch_one(conn)
    .await
}

/// Writes down that the steps of `subject` that were done are undone now; returns how many were.
///
/// # Errors
/// The database's.
pub async fn mark_undone(
    conn: &mut PgConnection,
    subject: Uuid,
    steps: &[MqTag],
) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        "update barrier set undone_at = now()
         where subject = $1 and step = any($2) and done_at is not null and undone_at is null",
        subject,
        &wire(steps)
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

fn wire(steps: &[MqTag]) -> Vec<String> {
    steps.iter().map(|step| step.wire().to_owned()).collect()
}
