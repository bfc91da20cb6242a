//! Jobs for operators: list and show, retry, cancel, snooze; errors grouped; the impact of a run.

use super::by;
use crate::http::{
    App,
    extract::{
        OpsChange, Paging, Params, Path, Viewer, job_id,
        reason::{OptionalReason, known_tag},
    },
    idempotent::{IdempotentChange, Reply},
    paged::Paged,
    problem::Problem,
};
use crate::{
    domain::{
        Id, Instant, Label, OrderId, Page, Refusal, RiderId, TripId,
        json::{micros, some_micros},
    },
    ops::{
        impact::{self, Impact},
        jobs::{self, Until},
        search::{self, ErrorGroup, JobQuery, MAX_GROUPS},
    },
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, Utc};
use farebox_jobs::queue::admin::{self, ErrorCursor, JobView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

/// A job in a response.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Job {
    /// Its id.
    id: Uuid,
    /// Its tag: what it does.
    tag: String,
    /// Its key: of the live jobs of a tag at most one has it.
    key: String,
    /// `ready`, `delayed`, `retrying` (its last attempt failed, and it waits for the next),
    /// `running`, `done`, `dead` or `cancelled`.
    #[schemars(with = "crate::domain::words::JobStateWord")]
    state: String,
    /// Attempts begun.
    attempt: i32,
    /// Attempts before it is given up; of a job that has ended, those it took.
    max_attempts: i32,
    /// How many attempts have failed since it was enqueued or redriven.
    failures: i32,
    /// When it is or was due.
    #[serde(serialize_with = "micros")]
    run_at: DateTime<Utc>,
    /// Of a job that failed: when its next attempt is due.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_micros")]
    next_attempt_at: Option<DateTime<Utc>>,
    /// When it first fell due, if `run_at` is that of a later attempt.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_micros")]
    first_due_at: Option<DateTime<Utc>>,
    /// When it was enqueued.
    #[serde(serialize_with = "micros")]
    created_at: DateTime<Utc>,
    /// When its attempt began; of a job that has ended, its last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<DateTime<Utc>>,
    /// Of a running job: when its lease ends, unless its worker renews it.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_until: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<DateTime<Utc>>,
    /// Of a live job: its serial key. Of the jobs with the same one, one runs at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    /// The trace of the request that enqueued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    /// The order it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<String>,
    /// What its last failed attempt said.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    /// The fingerprint of the last error: equal errors about different orders, numbers or times
    /// have the same one.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// How it ended, or why it was given up; of a running job, why it is to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// The worker that runs it, or ran it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    /// The failed attempts, the oldest first.
    #[schemars(with = "Vec<FailedAttempt>")]
    attempts: Value,
}

impl From<JobView> for Job {
    fn from(job: JobView) -> Self {
        Self {
            order_id: jobs::order_of(&job.payload).map(|order| order.to_string()),
            last_error: job.last_error().map(str::to_owned),
            failures: job.failures(),
            next_attempt_at: job.next_attempt_at(),
            first_due_at: job.first_due_at,
            error: job.fingerprint,
            id: job.id,
            tag: job.tag,
            key: job.key,
            state: job.state,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            run_at: job.run_at,
            created_at: job.created_at,
            started_at: job.started_at,
            lease_until: job.lease_until,
            ended_at: job.ended_at,
            serial: job.concurrency_key,
            trace_id: job.payload["trace"].as_str().map(str::to_owned),
            note: job.note,
            worker: job.worker,
            attempts: job.attempts,
        }
    }
}

/// A failed attempt at a job.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "it is the schema of a stored value")]
struct FailedAttempt {
    /// Its number, from 1.
    attempt: i32,
    /// The worker that ran it.
    worker: Option<String>,
    /// When it began.
    started_at: Option<DateTime<Utc>>,
    /// When it ended.
    ended_at: Option<DateTime<Utc>>,
    /// The trace that it belongs to.
    trace_id: Option<String>,
    /// What went wrong.
    error: String,
}

/// The filter of the query string.
#[derive(Deserialize)]
pub(crate) struct JobFilter {
    tag: Option<String>,
    state: Option<String>,
    key: Option<String>,
    serial: Option<String>,
    error: Option<String>,
    order: Option<OrderId>,
    rider: Option<RiderId>,
    trip: Option<TripId>,
    since: Option<Instant>,
    before: Option<Instant>,
    failures: Option<i32>,
}

impl TryFrom<JobFilter> for JobQuery {
    type Error = Problem;

    fn try_from(filter: JobFilter) -> Result<Self, Problem> {
        let JobFilter { tag, state, key, serial, error, order, rider, trip, since, before, failures } =
            filter;
        tag.as_deref().map(known_tag).transpose()?;
        let wanted = Self { tag, state, key, serial, error, order, rider, trip, since, before, failures };
        wanted.check().map_err(|error| Problem::field(&error))?;
        Ok(wanted)
    }
}

pub(crate) async fn list(
    State(app): State<App>,
    _: Viewer,
    Params(filter): Params<JobFilter>,
    Params(paging): Params<Paging>,
) -> Result<Paged<Job>, Problem> {
    let after = paging.cursor::<Id>()?.map(|Id(id)| id);
    let page = search::list(&app.saga.pool, &filter.try_into()?, after, paging.limit()?).await?;
    Ok(Paged(Page { items: page.items.into_iter().map(Job::from).collect(), next: page.next }))
}

/// Only errors of this tag.
#[derive(Deserialize)]
pub(crate) struct ErrorFilter {
    tag: Option<String>,
}

pub(crate) async fn errors(
    State(app): State<App>,
    _: Viewer,
    Params(filter): Params<ErrorFilter>,
    Params(paging): Params<Paging>,
) -> Result<Paged<ErrorGroup>, Problem> {
    filter.tag.as_deref().map(known_tag).transpose()?;
    let (after, limit) = (paging.cursor::<ErrorCursor>()?, paging.limit_of(MAX_GROUPS, MAX_GROUPS)?);
    Ok(Paged(search::errors(&app.saga.pool, filter.tag.as_deref(), after.as_ref(), limit).await?))
}

/// What a run of the job would change now.
pub(crate) async fn impact(
    State(app): State<App>,
    _: Viewer,
    Path(id): Path<String>,
) -> Result<Json<Impact>, Problem> {
    let job = admin::find(&app.saga.pool, job_id(&id)?).await?.ok_or(Refusal::NotFound("job"))?;
    Ok(Json(impact::impact(&app.saga.pool, &job).await?))
}

pub(crate) async fn show(
    State(app): State<App>,
    _: Viewer,
    Path(id): Path<String>,
) -> Result<Json<Job>, Problem> {
    job(&app.saga.pool, job_id(&id)?).await.map(Json)
}

pub(crate) async fn retry(
    Path(id): Path<String>,
    OpsChange(change): OpsChange<OptionalReason>,
) -> Result<Response, Reply> {
    let (id, by) = (job_id(&id)?, by(&change.caller, change.body.reason.as_deref())?);
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = jobs::retry(act.conn(), &by, id).await.map(Job::from);
    act.end(StatusCode::OK, done).await
}

/// 200: the job is cancelled. 202: it runs, and its attempt is asked to end.
pub(crate) async fn cancel(
    Path(id): Path<String>,
    OpsChange(change): OpsChange<OptionalReason>,
) -> Result<Response, Reply> {
    let (id, by) = (job_id(&id)?, by(&change.caller, change.body.reason.as_deref())?);
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = jobs::cancel(act.conn(), &by, id).await.map(Job::from);
    act.end(status_of(&done), done).await
}

/// A running job is only asked to end.
fn status_of<E>(done: &Result<Job, E>) -> StatusCode {
    match done {
        Ok(job) if job.state == "running" => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    }
}

/// Ends a dead letter for good.
pub(crate) async fn discard(
    Path(id): Path<String>,
    OpsChange(change): OpsChange<OptionalReason>,
) -> Result<Response, Reply> {
    let (id, by) = (job_id(&id)?, by(&change.caller, change.body.reason.as_deref())?);
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = jobs::discard(act.conn(), &by, id).await.map(Job::from);
    act.end(StatusCode::OK, done).await
}

/// Until when a job is snoozed, and why.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Snooze {
    until: Instant,
    #[schemars(with = "Option<crate::domain::Reason>")]
    reason: Option<String>,
}

pub(crate) async fn snooze(
    Path(id): Path<String>,
    OpsChange(change): OpsChange<Snooze>,
) -> Result<Response, Reply> {
    let (id, by) = (job_id(&id)?, by(&change.caller, change.body.reason.as_deref())?);
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = jobs::snooze(act.conn(), &by, id, Until::At(change.body.until.utc())).await.map(Job::from);
    act.end(StatusCode::OK, done).await
}

/// A live job of a tag by its key, with the reason.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ByKey {
    /// The job's key.
    key: Label,
    #[schemars(with = "Option<crate::domain::Reason>")]
    reason: Option<String>,
}

/// As [`cancel`].
pub(crate) async fn cancel_key(
    Path(tag): Path<String>,
    OpsChange(change): OpsChange<ByKey>,
) -> Result<Response, Reply> {
    let (tag, by) = (known_tag(&tag)?, by(&change.caller, change.body.reason.as_deref())?);
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = jobs::cancel_key(act.conn(), &by, tag, change.body.key.as_str()).await.map(Job::from);
    act.end(status_of(&done), done).await
}

async fn job(db: impl PgExecutor<'_>, id: Uuid) -> Result<Job, Problem> {
    admin::find(db, id).await?.map(Job::from).ok_or_else(|| Refusal::NotFound("job").into())
}
