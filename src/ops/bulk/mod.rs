//! Bulk operations: one action upon many jobs, previewed, stored with the jobs that it covers, and
//! run by a job of its own.
//!
//! The covered jobs are fixed when the operation starts. Its job processes them in chunks. Each
//! chunk is one transaction that locks the operation's row, acts, stores the outcome of each job,
//! and moves on. An attempt that dies, or is dropped, is therefore continued at the next chunk, and
//! nothing is done twice. Stopping an operation locks the same row.

mod outcome;
mod run;
mod selection;
mod totals;

pub use outcome::{CachedJudgements, Judgement, Outcome, Outcomes, Verdict, judged};
pub use run::run;
pub use selection::{BulkAction, MAX_IDS, MAX_JOBS, Selection};
pub use totals::{CachedPreviews, Preview, preview};

use super::Attribution;
use crate::{
    domain::{Error, FieldError, Page, Refusal},
    ops::audit::{Action, Subject},
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    Bulk as Job, MqTag,
    queue::{self, Due, NewJob},
};
use schemars::JsonSchema;
use selection::{Wanted, count};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// An operation and its progress.
#[derive(Clone, Debug, Serialize, JsonSchema, sqlx::FromRow)]
pub struct Bulk {
    /// Its id.
    pub id: Uuid,
    /// `retry`, `cancel`, `redrive` or `discard`.
    #[schemars(with = "BulkAction")]
    pub act: String,
    /// The selection.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub selection: serde_json::Value,
    /// Who started it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// `waiting`, `running`, `done` or `stopped`.
    #[schemars(with = "crate::domain::words::BulkState")]
    pub state: String,
    /// How many jobs it covers.
    pub covers: i32,
    /// Whether there were more than one operation may cover.
    pub more: bool,
    /// How many it has processed.
    pub reached: i32,
    /// Done.
    pub done: i32,
    /// Cancelled while they ran: asked to end.
    pub asked: i32,
    /// Skipped: running, locked, or with a key that a live job had.
    pub busy: i32,
    /// Skipped: ended meanwhile.
    pub gone: i32,
    /// Skipped: to be discarded, but they still owe seats or money.
    pub owes: i32,
    /// When it was started.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub created_at: DateTime<Utc>,
    /// When its first chunk was done.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub finished_at: Option<DateTime<Utc>>,
    /// Who stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<String>,
}

/// A job that an operation covers.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "BulkItem")]
pub struct Item {
    /// Its place in the order.
    pub nr: i32,
    /// The job.
    pub job_id: Uuid,
    /// Its tag.
    pub tag: String,
    /// Its key.
    pub key: String,
    /// The order it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Uuid>,
    /// `done`, `asked`, `busy`, `gone` or `owes`; absent until the operation has processed it.
    #[schemars(with = "Option<crate::domain::words::BulkOutcome>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Where the job is now: `live`, `dead` or `ended`.
    #[schemars(with = "crate::domain::words::BulkJobPlace")]
    pub now: String,
}

/// What a preview said that an operation would cover.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected<'a> {
    /// How many jobs.
    pub covers: Option<i64>,
    /// Which ones: [`Preview::digest`].
    pub digest: Option<&'a str>,
}

/// Stores an operation with the jobs that it covers, and enqueues its job, all in the caller's
/// transaction. `id` is fresh, or comes from a form: a second start with the same id returns the
/// first operation. With `expected`, it must cover as many jobs as the preview said, and with `digest`
/// the same ones.
///
/// # Errors
/// An invalid or empty selection, other jobs than expected, no reason; the database's.
pub async fn start(
    conn: &mut PgConnection,
    by: &Attribution,
    id: Uuid,
    action: BulkAction,
    selection: &Selection,
    expected: Expected<'_>,
) -> Result<Bulk, Error> {
    if let Some(before) = show(&mut *conn, id).await? {
        return Ok(before);
    }
    let reason = by.reason()?;
    let selected = Wanted::of(&mut *conn, action, selection).await?.select(&mut *conn).await?;
    let (covers, more) = (count(selected.ids.len()), selected.more);
    let is_other = |digest: &str| digest != selected.digest;
    if expected.covers.is_some_and(|expected| expected != covers) || expected.digest.is_some_and(is_other) {
        return Err(Refusal::BulkChanged { covers }.into());
    }
    if selected.ids.is_empty() {
        return Err(Refusal::Invalid(FieldError::new(
            "/filter",
            "no job matches it that this action applies to",
        ))
        .into());
    }
    let chosen = serde_json::to_value(selection).unwrap_or_default();
    let fresh = sqlx::query!(
        "insert into bulk (id, act, selection, actor_id, actor, reason, covers, more)
         values ($1, $2, $3, $4, coalesce($5, (select user_name from rider where id = $4), 'unknown'), $6, $7, $8)
         on conflict (id) do nothing",
        id,
        action.as_str(),
        chosen,
        by.actor.rider.map(|rider| rider.0),
        by.actor.name,
        reason,
        i32::try_from(covers).unwrap_or(i32::MAX),
        more
    )
    .execute(&mut *conn)
    .await?;
    if fresh.rows_affected() == 1 {
        store_items(&mut *conn, id, &selected.ids).await?;
        queue::enqueue(&mut *conn, &[NewJob::of(&Job::new(id))], Due::Now).await?;
        let detail = json!({ "act": action.as_str(), "selection": chosen, "covers": covers, "more": more });
        by.record(&mut *conn, Action::BulkStart, &Subject::of("bulk", &id), &detail).await?;
    }
    show(conn, id).await?.ok_or_else(|| Refusal::NotFound("operation").into())
}

/// Stops an operation where it is; processed jobs stay processed.
///
/// # Errors
/// [`Refusal::BulkOver`] if it has ended; an unknown one; the database's.
pub async fn stop(conn: &mut PgConnection, by: &Attribution, id: Uuid) -> Result<Bulk, Error> {
    let stopped = finish(&mut *conn, by, id).await?;
    let bulk = show(&mut *conn, id).await?.ok_or(Refusal::NotFound("operation"))?;
    if !stopped {
        return Err(Refusal::BulkOver.into());
    }
    queue::remove(&mut *conn, &[(MqTag::Bulk.wire(), id.to_string())]).await?;
    let detail = json!({ "reached": bulk.reached, "covers": bulk.covers });
    by.record(conn, Action::BulkStop, &Subject::of("bulk", &id), &detail).await?;
    Ok(bulk)
}

/// Ends an operation where it is; returns whether it had not ended before. It waits for the present
/// chunk, and no other chunk begins. Cancelling the operation's job calls this first. The
/// operation's row is locked before the job's, as in the chunks.
///
/// # Errors
/// The database's.
pub(super) async fn finish(conn: &mut PgConnection, by: &Attribution, id: Uuid) -> Result<bool, sqlx::Error> {
    let ended = sqlx::query!(
        "update bulk set finished_at = clock_timestamp(),
                stopped_by = coalesce($2, (select user_name from rider where id = $3), 'unknown')
         where id = $1 and finished_at is null",
        id,
        by.actor.name,
        by.actor.rider.map(|rider| rider.0)
    )
    .execute(conn)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// One operation.
///
/// # Errors
/// The database's.
pub async fn show(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Bulk>, sqlx::Error> {
    Ok(page(db, Some(id), None, 1).await?.pop())
}

/// A page of operations, newest first.
///
/// # Errors
/// The database's.
pub async fn list(
    db: impl PgExecutor<'_>,
    after: Option<Uuid>,
    limit: u16,
) -> Result<Page<Bulk>, sqlx::Error> {
    let mut items = page(db, None, after, i64::from(limit) + 1).await?;
    let more = items.len() > usize::from(limit);
    items.truncate(limit.into());
    let next = items.last().filter(|_| more).map(|bulk| bulk.id.to_string());
    Ok(Page { items, next })
}

async fn page(
    db: impl PgExecutor<'_>,
    id: Option<Uuid>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Bulk>, sqlx::Error> {
    sqlx::query_as!(
        Bulk,
        r#"select id, act, selection, actor, reason,
                  case when stopped_by is not null then 'stopped' when finished_at is not null then 'done'
                       when started_at is not null then 'running' else 'waiting' end as "state!",
                  covers, more, reached, done, asked, busy, gone, owes, created_at, started_at, finished_at, stopped_by
           from bulk
           where id >= coalesce($1, '00000000-0000-0000-0000-000000000000'::uuid)
             and id <= coalesce($1, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
             and id < coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
           order by id desc limit $3"#,
        id,
        after,
        limit
    )
    .fetch_all(db)
    .await
}

/// A page of the covered jobs in their order, with their outcomes; only those with `outcome`, if it
/// is given (`open`: not yet processed).
///
/// # Errors
/// The database's.
pub async fn items(
    db: impl PgExecutor<'_>,
    id: Uuid,
    outcome: Option<&str>,
    after: Option<i32>,
    limit: u16,
) -> Result<Page<Item>, sqlx::Error> {
    let mut items = sqlx::query_as!(
        Item,
        r#"select nr, job_id, tag, key, order_id, outcome,
                  case when exists(select from queue.job j where j.id = i.job_id) then 'live'
                       when exists(select from queue.dead_letter d where d.id = i.job_id) then 'dead'
                       else 'ended' end as "now!"
           from bulk_item i
           where bulk_id = $1 and nr > coalesce($2, 0)
             and ($3::text is null or outcome = $3 or ($3 = 'open' and outcome is null))
           order by nr limit $4"#,
        id,
        after,
        outcome,
        i64::from(limit) + 1
    )
    .fetch_all(db)
    .await?;
    let more = items.len() > usize::from(limit);
    items.truncate(limit.into());
    let next = items.last().filter(|_| more).map(|item| item.nr.to_string());
    Ok(Page { items, next })
}

/// Stores the jobs that an operation covers. A job that ended since it was selected has no tag any
/// more, and counts as gone.
async fn store_items(conn: &mut PgConnection, id: Uuid, jobs: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into bulk_item (bulk_id, nr, job_id, tag, key, order_id)
         select $1, c.nr, c.job_id, coalesce(j.tag, d.tag, '?'), coalesce(j.key, d.key, '?'),
                case when order_of(coalesce(j.payload, d.payload)) ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                     then order_of(coalesce(j.payload, d.payload))::uuid end
         from unnest($2::uuid[]) with ordinality as c (job_id, nr)
         left join queue.job j on j.id = c.job_id
         left join queue.dead_letter d on d.id = c.job_id",
        id,
        jobs
    )
    .execute(conn)
    .await
    .map(drop)
}
