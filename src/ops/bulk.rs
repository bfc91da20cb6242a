//! One act upon many jobs: previewed, written down with what it covers, and run by a job of its own.
//!
//! What it covers is fixed when it starts. Its job goes through that in chunks. Each chunk is one transaction that locks
//! the operation's row, acts, writes down what became of each job, and moves on; so whoever dies, and however often,
//! the next attempt goes on with the next chunk and nothing is done twice, be it dropped in the midst of one. Stopping locks the same row.

use super::{
    By,
    impact::{self, Moves, Words},
    search::Wanted,
};
use crate::{
    domain::{Error, FieldError, Money, Page, Refusal},
    ops::audit::{Act, Subject},
    saga::JobContext,
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    Bulk as Job, MqTag,
    queue::{
        self, Delivery, Due, JobError, NewJob, Outcome,
        admin::{self, AdminOutcome, JobFilter, JobTable, bulk},
    },
};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{PgConnection, PgExecutor, PgPool};
use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};
use uuid::Uuid;

/// Jobs that one operation covers at the most: the oldest. What is beyond is for another one.
pub const MOST: i64 = 100_000;
/// Jobs that are chosen by hand at the most.
pub const MOST_IDS: usize = 1_000;
/// Jobs whose orders, seats and money a preview looks at, at the most.
pub const MOST_LOOKED_AT: usize = 10_000;
/// The same of a page, which is to come at once.
pub const PAGE_LOOKS_AT: usize = 250;
/// Orders that a preview names at the most.
pub const MOST_NAMED: usize = 100;
/// Jobs that one transaction acts upon.
const CHUNK: i32 = 100;
/// Chunks of one attempt at the operation's job; then it makes room for others.
const CHUNKS: usize = 50;
/// Jobs whose stakes are read in one statement.
const LOOK: usize = 500;

/// What is done to each job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "BulkAct")]
pub enum What {
    /// Waiting jobs are made due now, dead letters brought back to life.
    Retry,
    /// Live jobs are called off.
    Cancel,
    /// Dead letters are brought back to life.
    Redrive,
}

impl What {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Redrive => "redrive",
        }
    }

    /// Where the jobs are that it can be done to.
    fn tables(self) -> &'static [JobTable] {
        match self {
            Self::Retry => &[JobTable::Live, JobTable::Dead],
            Self::Cancel => &[JobTable::Live],
            Self::Redrive => &[JobTable::Dead],
        }
    }
}

impl FromStr for What {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let all = [Self::Retry, Self::Cancel, Self::Redrive];
        let rule = || FieldError::new("act", "retry, cancel or redrive");
        all.into_iter().find(|what| what.as_str() == text).ok_or_else(rule)
    }
}

/// Upon which jobs. Those of bulk operations are never among them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// These, [`MOST_IDS`] at the most.
    Ids(Vec<Uuid>),
    /// Whatever fits now.
    Filter(Wanted),
}

/// What an operation would do.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "BulkPreview")]
pub struct Preview {
    /// How many jobs it would cover.
    pub covers: i64,
    /// Whether there are more than one operation may cover.
    pub more: bool,
    /// How many of them were looked at for what follows.
    pub looked_at: i64,
    /// How many of each tag.
    pub by_tag: BTreeMap<String, i64>,
    /// How many orders they are about.
    pub orders: i64,
    /// The first of those.
    pub order_ids: Vec<Uuid>,
    /// How many riders' orders those are.
    pub riders: i64,
    /// Seats that running them would free (or that stay taken, if they are called off).
    pub seats: i64,
    /// Money that running them would give back (or that stays away, if they are called off).
    pub amount: Money,
    /// Which of them would not stay called off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comes_back: Vec<Words>,
}

/// An operation and how far it is.
#[derive(Clone, Debug, Serialize, JsonSchema, sqlx::FromRow)]
pub struct Bulk {
    /// Its id.
    pub id: Uuid,
    /// `retry`, `cancel` or `redrive`.
    pub act: String,
    /// Upon what.
    pub selection: serde_json::Value,
    /// Who started it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// `waiting`, `running`, `done` or `stopped`.
    pub state: String,
    /// How many jobs it covers.
    pub covers: i32,
    /// Whether there were more than one operation may cover.
    pub more: bool,
    /// How many it has been at.
    pub reached: i32,
    /// Done.
    pub done: i32,
    /// Called off while they ran: asked to end.
    pub asked: i32,
    /// Left alone: running, locked, or with a key that a live job had.
    pub busy: i32,
    /// Left alone: ended meanwhile.
    pub gone: i32,
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
    /// `done`, `asked`, `busy`, `gone`; nothing while the operation has not been at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Where the job is by now: `live`, `dead` or `ended`.
    pub now: String,
}

/// What an operation would do now.
///
/// # Errors
/// A selection that breaks a rule; the database's.
pub async fn preview(
    pool: &PgPool,
    what: What,
    selection: &Selection,
    most: usize,
) -> Result<Preview, Error> {
    let mut conn = pool.acquire().await?;
    let (ids, more) = covered(&mut conn, what, selection).await?;
    let mut preview = Preview {
        covers: count(ids.len()),
        more,
        looked_at: 0,
        by_tag: BTreeMap::new(),
        orders: 0,
        order_ids: Vec::new(),
        riders: 0,
        seats: 0,
        amount: Money::from_database(Decimal::ZERO),
        comes_back: Vec::new(),
    };
    let (mut orders, mut riders, mut amount) = (BTreeSet::new(), BTreeSet::new(), Decimal::ZERO);
    let looked_at = &ids[..ids.len().min(most)];
    for chunk in looked_at.chunks(LOOK) {
        let key_filter = admin::KeyFilter { keys: Vec::new(), ids: chunk.to_vec() };
        let filter = JobFilter {
            tables: what.tables(),
            key_filter: Some(key_filter),
            brief: true,
            ..JobFilter::default()
        };
        let jobs = admin::list(&mut *conn, &filter, count(chunk.len())).await?;
        let facts = impact::facts(&mut *conn, &jobs).await?;
        preview.looked_at += count(jobs.len());
        for (job, facts) in jobs.iter().zip(facts) {
            let Moves { seats, amount: back, .. } = impact::moves(&job.tag, &facts);
            *preview.by_tag.entry(job.tag.clone()).or_default() += 1;
            orders.extend(facts.order_id);
            riders.extend(facts.rider_id);
            preview.seats += count(seats.len());
            amount += back.map_or(Decimal::ZERO, Money::decimal);
        }
    }
    preview.orders = count(orders.len());
    preview.riders = count(riders.len());
    preview.order_ids = orders.into_iter().take(MOST_NAMED).collect();
    preview.amount = Money::from_database(amount);
    if what == What::Cancel {
        let many = preview.by_tag.iter();
        preview.comes_back = many.filter_map(|(tag, many)| impact::comes_back(tag, *many)).collect();
    }
    Ok(preview)
}

/// Writes an operation down with what it covers, and enqueues its job; all in the caller's transaction. `id` is fresh, or
/// comes from a form: a second start of one id starts nothing and tells the first. With `expected`, it must cover as
/// many jobs as the preview said.
///
/// # Errors
/// A selection that breaks a rule or holds no job, another number than expected, no reason; the database's.
pub async fn start(
    conn: &mut PgConnection,
    by: &By,
    id: Uuid,
    what: What,
    selection: &Selection,
    expected: Option<i64>,
) -> Result<Bulk, Error> {
    if let Some(before) = show(&mut *conn, id).await? {
        return Ok(before);
    }
    let reason = by.reason()?;
    let (ids, more) = covered(&mut *conn, what, selection).await?;
    let covers = count(ids.len());
    if expected.is_some_and(|expected| expected != covers) {
        return Err(Refusal::BulkChanged { covers }.into());
    }
    if ids.is_empty() {
        return Err(Refusal::Invalid(FieldError::new(
            "/filter",
            "no job fits it that this could be done to",
        ))
        .into());
    }
    let chosen = serde_json::to_value(selection).unwrap_or_default();
    let fresh = sqlx::query!(
        "insert into bulk (id, act, selection, actor_id, actor, reason, covers, more)
         values ($1, $2, $3, $4, coalesce($5, (select user_name from rider where id = $4), 'unknown'), $6, $7, $8)
         on conflict (id) do nothing",
        id,
        what.as_str(),
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
        cover(&mut *conn, id, &ids).await?;
        queue::enqueue(&mut *conn, &[NewJob::of(&Job::new(id))], Due::Now).await?;
        let detail = json!({ "act": what.as_str(), "selection": chosen, "covers": covers, "more": more });
        by.write(&mut *conn, Act::BulkStart, &Subject::of("bulk", &id), &detail).await?;
    }
    show(conn, id).await?.ok_or_else(|| Refusal::NotFound("operation").into())
}

/// Stops an operation where it is; what was done stays done.
///
/// # Errors
/// [`Refusal::BulkOver`] if it has ended; an unknown one; the database's.
pub async fn stop(conn: &mut PgConnection, by: &By, id: Uuid) -> Result<Bulk, Error> {
    let stopped = end(&mut *conn, by, id).await?;
    let bulk = show(&mut *conn, id).await?.ok_or(Refusal::NotFound("operation"))?;
    if !stopped {
        return Err(Refusal::BulkOver.into());
    }
    queue::remove(&mut *conn, &[(MqTag::Bulk.wire(), id.to_string())]).await?;
    let detail = json!({ "reached": bulk.reached, "covers": bulk.covers });
    by.write(conn, Act::BulkStop, &Subject::of("bulk", &id), &detail).await?;
    Ok(bulk)
}

/// Ends an operation where it is, and says whether it had not ended. Waits for the chunk that is being done, and nobody begins
/// another. Whoever calls its job off does this before: nothing would carry it on. The operation's row is locked before the
/// job's own, as the chunks do.
///
/// # Errors
/// The database's.
pub(super) async fn end(conn: &mut PgConnection, by: &By, id: Uuid) -> Result<bool, sqlx::Error> {
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
                  covers, more, reached, done, asked, busy, gone, created_at, started_at, finished_at, stopped_by
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

/// A page of the jobs it covers, in their order, with what became of them; of one outcome, if it is given (`open`: not
/// reached).
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

/// The job: some chunks, then the end, or another turn.
///
/// # Errors
/// What may be tried again.
pub async fn run(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let id = delivery.decode::<Job>()?.bulk_id();
    for _ in 0..CHUNKS {
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

/// Does the next chunk; whether there may be another.
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
    let what: What = bulk.act.parse().map_err(|error: FieldError| JobError::fatal(error.rule))?;
    let outcomes = match what {
        What::Retry => bulk::retry(&mut tx, &jobs).await?,
        What::Redrive => bulk::redrive(&mut tx, &jobs).await?,
        What::Cancel => {
            let note = format!("{} ({}, bulk operation {id})", bulk.reason, bulk.actor);
            bulk::cancel(&mut tx, &jobs, &note).await?
        }
    };
    let words: Vec<String> = outcomes.into_iter().map(|outcome| word(outcome).to_owned()).collect();
    sqlx::query!(
        "with became as (
             select job_id, outcome from unnest($2::uuid[], $3::text[]) as b (job_id, outcome)
         ), told as (
             update bulk_item i set outcome = b.outcome from became b where i.bulk_id = $1 and i.job_id = b.job_id
         )
         update bulk set reached = $4, started_at = coalesce(started_at, clock_timestamp()),
                done = done + (select count(*) from became where outcome = 'done'),
                asked = asked + (select count(*) from became where outcome = 'asked'),
                busy = busy + (select count(*) from became where outcome = 'busy'),
                gone = gone + (select count(*) from became where outcome = 'gone'),
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

fn word(changed: AdminOutcome) -> &'static str {
    match changed {
        AdminOutcome::Changed => "done",
        AdminOutcome::CancelRequested => "asked",
        AdminOutcome::Busy => "busy",
        AdminOutcome::Gone => "gone",
    }
}

/// The jobs that a selection covers now, oldest first, and whether there are more.
async fn covered(
    conn: &mut PgConnection,
    what: What,
    selection: &Selection,
) -> Result<(Vec<Uuid>, bool), Error> {
    let mut filter = match selection {
        Selection::Ids(ids) if ids.is_empty() || ids.len() > MOST_IDS => {
            return Err(Refusal::Invalid(FieldError::new("/ids", format!("1 to {MOST_IDS} ids"))).into());
        }
        Selection::Ids(ids) => JobFilter {
            tables: what.tables(),
            key_filter: Some(admin::KeyFilter { keys: Vec::new(), ids: ids.clone() }),
            ..JobFilter::default()
        },
        Selection::Filter(wanted) => {
            if wanted == &Wanted::default() {
                let rule = "at least one condition: not everything there is";
                return Err(Refusal::Invalid(FieldError::new("/filter", rule)).into());
            }
            wanted.filter(&mut *conn, what.tables()).await?
        }
    };
    let others = || MqTag::ALL.into_iter().filter(|tag| *tag != MqTag::Bulk).map(|tag| tag.wire().to_owned());
    if filter.tags.is_empty() {
        filter.tags = others().collect();
    }
    filter.tags.retain(|tag| tag != MqTag::Bulk.wire());
    if filter.tags.is_empty() {
        let rule = "an operation upon many jobs is stopped, not acted upon";
        return Err(Refusal::Invalid(FieldError::new("/filter/tag", rule)).into());
    }
    let mut ids = admin::ids(conn, &filter, MOST + 1).await?;
    let more = count(ids.len()) > MOST;
    ids.truncate(usize::try_from(MOST).unwrap_or(usize::MAX));
    Ok((ids, more))
}

/// Writes down what it covers. A job that ended since it was chosen has no tag any more and is told as gone.
async fn cover(conn: &mut PgConnection, id: Uuid, jobs: &[Uuid]) -> Result<(), sqlx::Error> {
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

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
