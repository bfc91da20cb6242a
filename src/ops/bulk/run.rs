//! The job of an operation: it processes the covered jobs in chunks.

use super::selection::BulkAction;
use crate::{domain::FieldError, ops::jobs::may_owe, saga::JobContext};
use farebox_jobs::{
    Bulk,
    queue::{
        Delivery, JobError, Outcome,
        admin::{self, AdminOutcome, bulk},
    },
};
use sqlx::PgConnection;
use uuid::Uuid;

/// Jobs of one transaction.
const CHUNK: i32 = 100;
/// Chunks of one attempt; after them, the job yields its slot to others.
const CHUNKS_PER_ATTEMPT: usize = 50;

/// The job: some chunks, then the end, or another run.
///
/// # Errors
/// What may be tried again.
pub async fn run(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let id = delivery.decode::<Bulk>()?.bulk_id();
    for _ in 0..CHUNKS_PER_ATTEMPT {
        if delivery.is_cancelled() {
            return Err(JobError::Cancelled);
        }
        if !chunk(context, id).await? {
            return context.complete(context.begin().await?, delivery, "the operation has ended").await;
        }
    }
    let mut tx = context.begin().await?;
    let now = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(&mut *tx).await?;
    context.snooze(tx, delivery, now).await
}

/// Processes the next chunk; returns whether there may be another.
async fn chunk(context: &JobContext, id: Uuid) -> Result<bool, JobError> {
    let mut tx = context.begin().await?;
    let bulk = sqlx::query!(
        "select act, reason, actor, reached, covers from bulk where id = $1 and finished_at is null for update",
        id
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(bulk) = bulk else { return Ok(false) };
    let last = bulk.covers.min(bulk.reached + CHUNK);
    let jobs = sqlx::query_scalar!(
        "select job_id from bulk_item where bulk_id = $1 and nr > $2 and nr <= $3 order by nr",
        id,
        bulk.reached,
        last
    )
    .fetch_all(&mut *tx)
    .await?;
    let action: BulkAction = bulk.act.parse().map_err(|error: FieldError| JobError::fatal(error.rule))?;
    let note = format!("{} ({}, bulk operation {id})", bulk.reason, bulk.actor);
    let words = act(&mut tx, action, &jobs, &note).await?;
    sqlx::query!(
        "with result as (
             select job_id, outcome from unnest($2::uuid[], $3::text[]) as b (job_id, outcome)
         ), recorded as (
             update bulk_item i set outcome = b.outcome from result b where i.bulk_id = $1 and i.job_id = b.job_id
         )
         update bulk set reached = $4, started_at = coalesce(started_at, clock_timestamp()),
                done = done + (select count(*) from result where outcome = 'done'),
                asked = asked + (select count(*) from result where outcome = 'asked'),
                busy = busy + (select count(*) from result where outcome = 'busy'),
                gone = gone + (select count(*) from result where outcome = 'gone'),
                owes = owes + (select count(*) from result where outcome = 'owes'),
                finished_at = case when $4 = covers then clock_timestamp() end
         where id = $1",
        id,
        &jobs,
        &words,
        last
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(last < bulk.covers)
}

/// Acts upon these jobs; returns the word for each outcome, in their order.
async fn act(
    conn: &mut PgConnection,
    action: BulkAction,
    jobs: &[Uuid],
    note: &str,
) -> Result<Vec<String>, sqlx::Error> {
    let outcomes = match action {
        BulkAction::Retry => bulk::retry(conn, jobs).await?,
        BulkAction::Redrive => bulk::redrive(conn, jobs).await?,
        BulkAction::Cancel => bulk::cancel(conn, jobs, note).await?,
        BulkAction::Discard => return discard(conn, jobs, note).await,
    };
    Ok(outcomes.into_iter().map(|outcome| outcome_word(outcome).to_owned()).collect())
}

/// Discards those that owe nothing, each judged by itself.
async fn discard(conn: &mut PgConnection, jobs: &[Uuid], note: &str) -> Result<Vec<String>, sqlx::Error> {
    let mut words = Vec::with_capacity(jobs.len());
    for id in jobs {
        let word = match admin::find(&mut *conn, *id).await?.filter(|job| job.state == "dead") {
            None => "gone",
            Some(job) if may_owe(conn, &job).await? => "owes",
            Some(_) => outcome_word(admin::discard(&mut *conn, *id, note).await?),
        };
        words.push(word.to_owned());
    }
    Ok(words)
}

fn outcome_word(changed: AdminOutcome) -> &'static str {
    match changed {
        AdminOutcome::Changed => "done",
        AdminOutcome::CancelRequested => "asked",
        AdminOutcome::Busy => "busy",
        AdminOutcome::Gone => "gone",
    }
}
