//! The queue for operators: look at jobs, try them again, call them off, pause their tags.

use super::by;
use crate::http::{
    App,
    extract::{OpsChange, Paging, Params, Path, Viewer, job_id},
    idempotent::{Act, Ended},
    problem::Problem,
};
use crate::{
    domain::{
        FieldError, Id, Instant, Label, OrderId, Page, Refusal, RiderId, TripId,
        json::{micros, some_micros},
    },
    ops::{
        impact::{self, Stakes},
        jobs::{self, Until},
        queues,
        search::{self, ErrorGroup, JobQuery, MAX_GROUPS},
    },
    storage::again,
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    MqTag,
    queue::{
        BOUNDS,
        admin::{self, DeadFilter, ErrorCursor, JobView, Minute, QueueView, WorkerCursor, WorkerView},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgExecutor;
use std::time::Duration;
use uuid::Uuid;

/// The longest an answer waits for a tag to drain, seconds; shorter than a request may take.
const LONGEST_DRAIN: u64 = 15;
/// Workers of a page when the client names no limit, and at the most.
pub(crate) const MOST_WORKERS: u16 = 1_000;
/// How far back the roll-ups are shown, minutes.
const LONGEST_BACK: u32 = 1_440;

/// A job in an answer.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Job {
    id: Uuid,
    tag: String,
    key: String,
    /// `ready`, `delayed`, `retrying` (its last attempt failed, and it waits for the next), `running`, `done`, `dead` or
    /// `cancelled`.
    state: String,
    attempt: i32,
    max_attempts: i32,
    /// How many attempts have failed since it was enqueued or redriven.
    failures: i32,
    /// When it is due, or was.
    #[serde(serialize_with = "micros")]
    run_at: DateTime<Utc>,
    /// Of a job that failed: when it is tried again.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_micros")]
    next_attempt_at: Option<DateTime<Utc>>,
    /// When it first fell due, if `run_at` is that of a later attempt.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_micros")]
    first_due_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "micros")]
    created_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<DateTime<Utc>>,
    /// Of a running job: when its lease ends, unless its worker renews it.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_until: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    /// A short name for the last error, the same whatever order, number or time it speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
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
            serial: job.serial,
            trace_id: job.payload["trace"].as_str().map(str::to_owned),
            note: job.note,
            worker: job.worker,
            attempts: job.attempts,
        }
    }
}

/// Which jobs, as the query string says it.
#[derive(Deserialize)]
pub(crate) struct Which {
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
}

impl TryFrom<Which> for JobQuery {
    type Error = Problem;

    fn try_from(which: Which) -> Result<Self, Problem> {
        let Which { tag, state, key, serial, error, order, rider, trip, since, before } = which;
        tag.as_deref().map(known_tag).transpose()?;
        let wanted = Self { tag, state, key, serial, error, order, rider, trip, since, before };
        wanted.check().map_err(|error| Problem::field(&error))?;
        Ok(wanted)
    }
}

pub(crate) async fn list(
    State(app): State<App>,
    _: Viewer,
    Params(which): Params<Which>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<Job>>, Problem> {
    let after = paging.cursor::<Id>()?.map(|Id(id)| id);
    let page = search::list(&app.saga.pool, &which.try_into()?, after, paging.limit()?).await?;
    Ok(Json(Page { items: page.items.into_iter().map(Job::from).collect(), next: page.next }))
}

/// Of which tag.
#[derive(Deserialize)]
pub(crate) struct OfTag {
    tag: Option<String>,
}

pub(crate) async fn errors(
    State(app): State<App>,
    _: Viewer,
    Params(of): Params<OfTag>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<ErrorGroup>>, Problem> {
    of.tag.as_deref().map(known_tag).transpose()?;
    let (after, limit) = (paging.cursor::<ErrorCursor>()?, paging.limit_of(MAX_GROUPS, MAX_GROUPS)?);
    Ok(Json(search::errors(&app.saga.pool, of.tag.as_deref(), after.as_ref(), limit).await?))
}

pub(crate) async fn stakes(
    State(app): State<App>,
    _: Viewer,
    Path(id): Path<String>,
) -> Result<Json<Stakes>, Problem> {
    let job = admin::find(&app.saga.pool, job_id(&id)?).await?.ok_or(Refusal::NotFound("job"))?;
    Ok(Json(impact::stakes(&app.saga.pool, &job).await?))
}

pub(crate) async fn show(
    State(app): State<App>,
    _: Viewer,
    Path(id): Path<String>,
) -> Result<Json<Job>, Problem> {
    job(&app.saga.pool, job_id(&id)?).await.map(Json)
}

/// Why an operator acts.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Why {
    #[schemars(with = "Option<crate::domain::Reason>")]
    reason: Option<String>,
}

pub(crate) async fn retry(
    Path(id): Path<String>,
    OpsChange(change): OpsChange<Why>,
) -> Result<Response, Ended> {
    let (id, by) = (job_id(&id)?, by(&change.caller, change.body.reason.as_deref())?);
    let mut act = Act::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = jobs::retry(act.conn(), &by, id).await.map(Job::from);
    act.end(StatusCode::OK, done).await
}

/// 200: it is called off. 202: it runs and has been asked to end.
pub(crate) async fn cancel(
    Path(id): Path<String>,
    OpsChange(change): OpsChange<Why>,
) -> Result<Response, Ended> {
    let (id, by) = (job_id(&id)?, by(&change.caller, change.body.reason.as_deref())?);
    let mut act = Act::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = jobs::cancel(act.conn(), &by, id).await.map(Job::from);
    act.end(status_of(&done), done).await
}

/// A job that runs on was only asked to end.
fn status_of<E>(done: &Result<Job, E>) -> StatusCode {
    match done {
        Ok(job) if job.state == "running" => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    }
}

/// Until when a job is put off, and why.
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
) -> Result<Response, Ended> {
    let (id, by) = (job_id(&id)?, by(&change.caller, change.body.reason.as_deref())?);
    let mut act = Act::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = jobs::snooze(act.conn(), &by, id, Until::At(change.body.until.utc())).await.map(Job::from);
    act.end(StatusCode::OK, done).await
}

/// A live job of a tag by its key, and why.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ByKey {
    key: Label,
    #[schemars(with = "Option<crate::domain::Reason>")]
    reason: Option<String>,
}

/// As [`cancel`].
pub(crate) async fn cancel_key(
    Path(tag): Path<String>,
    OpsChange(change): OpsChange<ByKey>,
) -> Result<Response, Ended> {
    let (tag, by) = (known_tag(&tag)?, by(&change.caller, change.body.reason.as_deref())?);
    let mut act = Act::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = jobs::cancel_key(act.conn(), &by, tag, change.body.key.as_str()).await.map(Job::from);
    act.end(status_of(&done), done).await
}

/// A tag's numbers in an answer.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Queue {
    tag: String,
    ready: i64,
    delayed: i64,
    /// Failed, and waiting for their next attempt.
    retrying: i64,
    running: i64,
    dead: i64,
    /// The most failed attempts of one live job.
    most_failures: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_ready_secs: Option<f64>,
    /// Of a tag whose jobs owe seats or money: how long ago the oldest one fell due that is not done, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_debt_secs: Option<f64>,
    paused: bool,
    /// `open`; `draining`: paused while attempts still run; `paused`.
    state: &'static str,
    done_last_hour: i64,
    failed_last_hour: i64,
}

impl From<QueueView> for Queue {
    fn from(queue: QueueView) -> Self {
        let state = match (queue.paused, queue.running) {
            (false, _) => "open",
            (true, 0) => "paused",
            (true, _) => "draining",
        };
        let oldest_debt_secs = queues::oldest_undo_secs(&queue);
        let QueueView { tag, ready, delayed, retrying, running, dead, most_failures, .. } = queue;
        let QueueView { oldest_ready_secs, paused, .. } = queue;
        let QueueView { done_last_hour, failed_last_hour, .. } = queue;
        Self {
            tag,
            ready,
            delayed,
            retrying,
            running,
            dead,
            most_failures,
            oldest_ready_secs,
            oldest_debt_secs,
            paused,
            state,
            done_last_hour,
            failed_last_hour,
        }
    }
}

/// Every tag has one item, and all of them are on the one page.
pub(crate) async fn queues(State(app): State<App>, _: Viewer) -> Result<Json<Page<Queue>>, Problem> {
    let tags = MqTag::ALL.map(|tag| tag.wire().to_owned());
    let queues = admin::queues(&app.saga.pool, &tags).await?;
    Ok(Json(Page { items: queues.into_iter().map(Queue::from).collect(), next: None }))
}

pub(crate) async fn pause(
    Path(tag): Path<String>,
    OpsChange(change): OpsChange<Why>,
) -> Result<Response, Ended> {
    let (tag, by) = (known_tag(&tag)?, by(&change.caller, change.body.reason.as_deref())?);
    let mut act = Act::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = queues::pause(act.conn(), &by, tag).await.map(Queue::from);
    act.end(StatusCode::OK, done).await
}

pub(crate) async fn resume(
    Path(tag): Path<String>,
    OpsChange(change): OpsChange<Why>,
) -> Result<Response, Ended> {
    let (tag, by) = (known_tag(&tag)?, by(&change.caller, change.body.reason.as_deref())?);
    let mut act = Act::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = queues::resume(act.conn(), &by, tag).await.map(Queue::from);
    act.end(StatusCode::OK, done).await
}

/// Why a tag is drained, and how long the answer may wait for the last attempt to end, seconds.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drain {
    #[schemars(with = "Option<crate::domain::Reason>")]
    reason: Option<String>,
    #[schemars(range(max = 15))]
    wait_secs: Option<u64>,
}

/// Pauses a tag and waits for its running attempts to end; the answer's state tells whether they have. Nobody waits in the
/// pause's transaction: workers have to see it first.
pub(crate) async fn drain(
    State(app): State<App>,
    Path(tag): Path<String>,
    OpsChange(change): OpsChange<Drain>,
) -> Result<Response, Ended> {
    let (tag, by) = (known_tag(&tag)?, by(&change.caller, change.body.reason.as_deref())?);
    let wait = change.body.wait_secs.unwrap_or(0);
    if wait > LONGEST_DRAIN {
        return Err(Problem::field(&FieldError::new("/wait_secs", format!("0 to {LONGEST_DRAIN}"))).into());
    }
    let mut act = Act::begin(&app.saga.pool, change.key.as_ref()).await?;
    queues::drain(act.conn(), &by, tag).await?;
    let later = act.commit().await?;
    let wait = Duration::from_secs(wait);
    // Safe to drop, as the tag stays paused: draining it again is no other change.
    let done = again(|| queues::drained(&app.saga.pool, tag, wait)).await.map(Queue::from);
    later.end(StatusCode::OK, done).await
}

/// Which dead letters of a tag.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redrive {
    /// Only of this tag.
    tag: Option<String>,
    /// Only those given up for this reason.
    given_up: Option<Label>,
    /// Only those whose last error contains this.
    error: Option<Label>,
    /// Only those given up since then.
    since: Option<Instant>,
    /// Only those given up before then.
    before: Option<Instant>,
    /// Why they are brought back.
    #[schemars(with = "Option<crate::domain::Reason>")]
    reason: Option<String>,
}

/// How many came back to life.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Redriven {
    redriven: u64,
}

pub(crate) async fn redrive_tag(
    Path(tag): Path<String>,
    OpsChange(mut change): OpsChange<Redrive>,
) -> Result<Response, Ended> {
    if change.body.tag.as_ref().is_some_and(|other| *other != tag) {
        return Err(Problem::field(&FieldError::new("/tag", "left out, or the address's")).into());
    }
    change.body.tag = Some(tag);
    redrive(OpsChange(change)).await
}

pub(crate) async fn redrive(OpsChange(change): OpsChange<Redrive>) -> Result<Response, Ended> {
    let by = by(&change.caller, change.body.reason.as_deref())?;
    let Redrive { tag, given_up, error, since, before, .. } = change.body;
    tag.as_deref().map(known_tag).transpose()?;
    let (text, at) =
        (|label: Option<Label>| label.map(Label::into_string), |at: Option<Instant>| at.map(Instant::utc));
    let which =
        DeadFilter { tag, reason: text(given_up), error: text(error), since: at(since), before: at(before) };
    let mut act = Act::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = jobs::redrive_all(act.conn(), &by, &which).await.map(|redriven| Redriven { redriven });
    act.end(StatusCode::OK, done).await
}

/// A worker in an answer.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Worker {
    id: String,
    name: String,
    host: String,
    pid: i32,
    build: String,
    tags: Vec<String>,
    slots: i32,
    held: i32,
    state: String,
    #[serde(serialize_with = "micros")]
    started_at: DateTime<Utc>,
    #[serde(serialize_with = "micros")]
    last_seen_at: DateTime<Utc>,
}

impl From<WorkerView> for Worker {
    fn from(worker: WorkerView) -> Self {
        let WorkerView { id, name, host, pid, build, tags, slots, held, state, started_at, last_seen_at } =
            worker;
        Self { id, name, host, pid, build, tags, slots, held, state, started_at, last_seen_at }
    }
}

pub(crate) async fn workers(
    State(app): State<App>,
    _: Viewer,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<Worker>>, Problem> {
    let (after, limit) = (paging.cursor::<WorkerCursor>()?, paging.limit_of(MOST_WORKERS, MOST_WORKERS)?);
    let mut workers = admin::workers(&app.saga.pool, after.as_ref(), i64::from(limit) + 1).await?;
    let more = workers.len() > usize::from(limit);
    workers.truncate(limit.into());
    let next = workers.last().filter(|_| more).map(|last| WorkerCursor::from(last).to_string());
    Ok(Json(Page { items: workers.into_iter().map(Worker::from).collect(), next }))
}

/// How far back.
#[derive(Deserialize)]
pub(crate) struct Back {
    minutes: Option<u32>,
}

/// What ended in each minute; `pickup`, `lateness` and `run` count by the upper bounds in `bounds_secs`, and beyond.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Minutes {
    bounds_secs: [f64; BOUNDS.len()],
    items: Vec<OneMinute>,
}

#[derive(Serialize, JsonSchema)]
struct OneMinute {
    #[serde(serialize_with = "micros")]
    minute: DateTime<Utc>,
    done: i64,
    failed: i64,
    dead: i64,
    cancelled: i64,
    rescued: i64,
    lost: i64,
    run_secs: f64,
    pickup: Vec<i64>,
    lateness: Vec<i64>,
    run: Vec<i64>,
}

pub(crate) async fn minutes(
    State(app): State<App>,
    _: Viewer,
    Path(tag): Path<String>,
    Params(back): Params<Back>,
) -> Result<Json<Minutes>, Problem> {
    let tag = known_tag(&tag)?;
    let back = back.minutes.unwrap_or(60);
    if !(1..=LONGEST_BACK).contains(&back) {
        return Err(Problem::field(&FieldError::new("minutes", format!("1 to {LONGEST_BACK}"))));
    }
    let since = Utc::now() - chrono::Duration::minutes(back.into());
    let mut conn = app.saga.pool.acquire().await?;
    let minutes = admin::minutes(&mut conn, tag.wire(), since).await?;
    let items = minutes.into_iter().map(|minute| {
        let Minute { minute, done, failed, dead, cancelled, rescued, lost, run_secs, pickup, lateness, run } =
            minute;
        OneMinute { minute, done, failed, dead, cancelled, rescued, lost, run_secs, pickup, lateness, run }
    });
    Ok(Json(Minutes { bounds_secs: BOUNDS, items: items.collect() }))
}

async fn job(db: impl PgExecutor<'_>, id: Uuid) -> Result<Job, Problem> {
    admin::find(db, id).await?.map(Job::from).ok_or_else(|| Refusal::NotFound("job").into())
}

pub(crate) fn known_tag(tag: &str) -> Result<MqTag, Problem> {
    tag.parse().map_err(|_| Refusal::NotFound("tag").into())
}
