//! The queue for operators: look at jobs, try them again, call them off, pause their tags.

use super::{
    App,
    extract::{Change, OpsChange, Paging, Params, Path, Viewer, job_id},
    once::{Act, Ended},
    problem::Problem,
};
use crate::{
    domain::{FieldError, Refusal},
    orders::{Page, micros},
    riders::Caller,
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    MqTag,
    queue::{
        BOUNDS,
        admin::{
            self, Changed, DeadFilter, JobFilter, JobView, Minute, QueueView, Which as Called, WorkerView,
        },
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use std::time::Duration;
use uuid::Uuid;

/// The states a job may be asked for.
pub(super) const STATES: [&str; 6] = ["ready", "delayed", "running", "done", "dead", "cancelled"];
/// Longest reason, bytes.
const LONGEST_REASON: usize = 500;
/// The longest an answer waits for a tag to drain, seconds; shorter than a request may take.
const LONGEST_DRAIN: u64 = 15;
/// How far back the roll-ups are shown, minutes.
const LONGEST_BACK: u32 = 1_440;

/// A job in an answer.
#[derive(Serialize, JsonSchema)]
pub(super) struct Job {
    id: Uuid,
    tag: String,
    key: String,
    state: String,
    attempt: i32,
    max_attempts: i32,
    #[serde(serialize_with = "micros")]
    run_at: DateTime<Utc>,
    #[serde(serialize_with = "micros")]
    created_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<DateTime<Utc>>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    attempts: Value,
}

impl From<JobView> for Job {
    fn from(job: JobView) -> Self {
        let order = ["/booking/order_id", "/paying/order_id", "/order_id"];
        let order = order.iter().find_map(|path| job.payload.pointer(path)?.as_str());
        let last = job.attempts.as_array().and_then(|attempts| attempts.last()?.get("error")?.as_str());
        Self {
            order_id: order.map(str::to_owned),
            last_error: last.map(str::to_owned),
            id: job.id,
            tag: job.tag,
            key: job.key,
            state: job.state,
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            run_at: job.run_at,
            created_at: job.created_at,
            started_at: job.started_at,
            ended_at: job.ended_at,
            serial: job.serial,
            trace_id: job.payload["trace"].as_str().map(str::to_owned),
            note: job.note,
            worker: job.worker,
            attempts: job.attempts,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Which {
    tag: Option<String>,
    state: Option<String>,
    key: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    _: Viewer,
    Params(which): Params<Which>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<Job>>, Problem> {
    if let Some(tag) = &which.tag {
        known_tag(tag)?;
    }
    if which.state.as_ref().is_some_and(|state| !STATES.contains(&state.as_str())) {
        return Err(Problem::field(&FieldError::new("state", format!("one of {}", STATES.join(", ")))));
    }
    let after = paging.after.as_deref().map(job_id).transpose()?;
    let limit = paging.limit()?;
    let filter = JobFilter { tag: which.tag, state: which.state, key: which.key, holds: None, after };
    let mut jobs = admin::list(&app.flow.pool, &filter, i64::from(limit) + 1).await?;
    let more = jobs.len() > usize::from(limit);
    jobs.truncate(limit.into());
    let next = jobs.last().filter(|_| more).map(|job| job.id.to_string());
    Ok(Json(Page { items: jobs.into_iter().map(Job::from).collect(), next }))
}

pub(super) async fn show(
    State(app): State<App>,
    _: Viewer,
    Path(id): Path<String>,
) -> Result<Json<Job>, Problem> {
    job(&app.flow.pool, job_id(&id)?).await.map(Json)
}

/// Why an operator acts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    #[schemars(length(min = 1, max = 500))]
    reason: Option<String>,
}

impl Why {
    fn told(change: &Change<Self>) -> Result<String, Problem> {
        told(change.body.reason.as_deref(), &change.caller)
    }
}

/// The reason with who gives it, as it is kept.
fn told(reason: Option<&str>, by: &Caller) -> Result<String, Problem> {
    let reason = reason.unwrap_or("no reason given");
    if reason.is_empty() || reason.len() > LONGEST_REASON {
        return Err(Problem::field(&FieldError::new("/reason", "1 to 500 characters, or left out")));
    }
    Ok(format!("{reason} (operator {})", by.rider_id))
}

pub(super) async fn retry(
    Path(id): Path<String>,
    OpsChange(change): OpsChange<Why>,
) -> Result<Response, Ended> {
    let (id, why) = (job_id(&id)?, Why::told(&change)?);
    let mut act = Act::begin(&change.flow.pool, change.key.as_ref()).await?;
    let done = retried(act.conn(), id).await;
    let answer = act.end(StatusCode::OK, done).await?;
    tracing::info!(job = %id, why, "job retried");
    Ok(answer)
}

async fn retried(conn: &mut PgConnection, id: Uuid) -> Result<Job, Problem> {
    changed(admin::retry(&mut *conn, id).await?)?;
    job(conn, id).await
}

/// 200: it is called off. 202: it runs and has been asked to end.
pub(super) async fn cancel(
    Path(id): Path<String>,
    OpsChange(change): OpsChange<Why>,
) -> Result<Response, Ended> {
    let (id, why) = (job_id(&id)?, Why::told(&change)?);
    let mut act = Act::begin(&change.flow.pool, change.key.as_ref()).await?;
    let done = called_off(act.conn(), id, &why).await;
    let answer = act.end(status_of(&done), done).await?;
    tracing::info!(job = %id, why, "job cancelled");
    Ok(answer)
}

async fn called_off(conn: &mut PgConnection, id: Uuid, why: &str) -> Result<Job, Problem> {
    changed(admin::cancel(&mut *conn, Called::Id(id), why).await?)?;
    job(conn, id).await
}

/// A job that runs on was only asked to end.
fn status_of(done: &Result<Job, Problem>) -> StatusCode {
    match done {
        Ok(job) if job.state == "running" => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    }
}

/// A live job of a tag by its key, and why.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ByKey {
    key: String,
    #[schemars(length(min = 1, max = 500))]
    reason: Option<String>,
}

/// As [`cancel`].
pub(super) async fn cancel_key(
    Path(tag): Path<String>,
    OpsChange(change): OpsChange<ByKey>,
) -> Result<Response, Ended> {
    let tag = known_tag(&tag)?;
    let why = told(change.body.reason.as_deref(), &change.caller)?;
    let mut act = Act::begin(&change.flow.pool, change.key.as_ref()).await?;
    let done = called_off_by_key(act.conn(), tag, change.body.key, &why).await;
    let answer = act.end(status_of(&done), done).await?;
    tracing::info!(tag = tag.wire(), why, "job cancelled by its key");
    Ok(answer)
}

async fn called_off_by_key(
    conn: &mut PgConnection,
    tag: MqTag,
    key: String,
    why: &str,
) -> Result<Job, Problem> {
    let filter = JobFilter { tag: Some(tag.wire().to_owned()), key: Some(key), ..JobFilter::default() };
    let live = admin::list(&mut *conn, &filter, 1).await?;
    let id = live.first().map(|job| job.id).ok_or(Refusal::NotFound("live job"))?;
    called_off(conn, id, why).await
}

/// A tag's numbers in an answer.
#[derive(Serialize, JsonSchema)]
pub(super) struct Queue {
    tag: String,
    ready: i64,
    delayed: i64,
    running: i64,
    dead: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_ready_secs: Option<f64>,
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
        let QueueView { tag, ready, delayed, running, dead, oldest_ready_secs, paused, .. } = queue;
        let QueueView { done_last_hour, failed_last_hour, .. } = queue;
        Self {
            tag,
            ready,
            delayed,
            running,
            dead,
            oldest_ready_secs,
            paused,
            state,
            done_last_hour,
            failed_last_hour,
        }
    }
}

pub(super) async fn queues(State(app): State<App>, _: Viewer) -> Result<Json<Page<Queue>>, Problem> {
    let tags = MqTag::ALL.map(|tag| tag.wire().to_owned());
    let queues = admin::queues(&app.flow.pool, &tags).await?;
    Ok(Json(Page { items: queues.into_iter().map(Queue::from).collect(), next: None }))
}

pub(super) async fn pause(
    Path(tag): Path<String>,
    OpsChange(change): OpsChange<Why>,
) -> Result<Response, Ended> {
    let (tag, why) = (known_tag(&tag)?, Why::told(&change)?);
    let mut act = Act::begin(&change.flow.pool, change.key.as_ref()).await?;
    admin::pause(act.conn(), tag.wire(), &change.caller.rider_id.to_string(), &why).await?;
    let done = queue(act.conn(), tag).await;
    act.end(StatusCode::OK, done).await
}

pub(super) async fn resume(
    Path(tag): Path<String>,
    OpsChange(change): OpsChange<Why>,
) -> Result<Response, Ended> {
    let (tag, why) = (known_tag(&tag)?, Why::told(&change)?);
    let mut act = Act::begin(&change.flow.pool, change.key.as_ref()).await?;
    admin::resume(act.conn(), tag.wire()).await?;
    tracing::info!(%tag, why, "tag resumed");
    let done = queue(act.conn(), tag).await;
    act.end(StatusCode::OK, done).await
}

/// Why a tag is drained, and how long the answer may wait for the last attempt to end, seconds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Drain {
    #[schemars(length(min = 1, max = 500))]
    reason: Option<String>,
    #[schemars(range(max = 15))]
    wait_secs: Option<u64>,
}

/// Pauses a tag and waits for its running attempts to end; the answer's state tells whether they have. Nobody waits in the
/// pause's transaction: workers have to see it first.
pub(super) async fn drain(
    State(app): State<App>,
    Path(tag): Path<String>,
    OpsChange(change): OpsChange<Drain>,
) -> Result<Response, Ended> {
    let tag = known_tag(&tag)?;
    let why = told(change.body.reason.as_deref(), &change.caller)?;
    let wait = change.body.wait_secs.unwrap_or(0);
    if wait > LONGEST_DRAIN {
        return Err(Problem::field(&FieldError::new("/wait_secs", format!("0 to {LONGEST_DRAIN}"))).into());
    }
    let by = change.caller.rider_id.to_string();
    let mut act = Act::begin(&app.flow.pool, change.key.as_ref()).await?;
    admin::pause(act.conn(), tag.wire(), &by, &why).await?;
    let later = act.commit().await?;
    let mut conn = app.flow.pool.acquire().await?;
    admin::drain(&mut conn, tag.wire(), &by, &why, Duration::from_secs(wait)).await?;
    let done = queue(&mut *conn, tag).await;
    drop(conn);
    later.end(StatusCode::OK, done).await
}

/// Which dead letters of a tag.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Redrive {
    /// Only of this tag.
    tag: Option<String>,
    /// Only those given up for this reason.
    given_up: Option<String>,
    /// Only those whose last error contains this.
    error: Option<String>,
    /// Only those given up since then.
    since: Option<DateTime<Utc>>,
    /// Only those given up before then.
    before: Option<DateTime<Utc>>,
}

/// How many came back to life.
#[derive(Serialize, JsonSchema)]
pub(super) struct Redriven {
    redriven: u64,
}

pub(super) async fn redrive_tag(
    Path(tag): Path<String>,
    OpsChange(mut change): OpsChange<Redrive>,
) -> Result<Response, Ended> {
    if change.body.tag.as_ref().is_some_and(|other| *other != tag) {
        return Err(Problem::field(&FieldError::new("/tag", "left out, or the address's")).into());
    }
    change.body.tag = Some(tag);
    redrive(OpsChange(change)).await
}

pub(super) async fn redrive(OpsChange(change): OpsChange<Redrive>) -> Result<Response, Ended> {
    let Redrive { tag, given_up: reason, error, since, before } = change.body;
    if let Some(tag) = &tag {
        known_tag(tag)?;
    }
    let which = DeadFilter { tag, reason, error, since, before };
    let mut act = Act::begin(&change.flow.pool, change.key.as_ref()).await?;
    let done = admin::redrive(act.conn(), &which).await.map(|redriven| Redriven { redriven });
    let redriven = done.as_ref().map_or(0, |done| done.redriven);
    let answer = act.end(StatusCode::OK, done).await?;
    tracing::info!(?which, redriven, by = %change.caller.rider_id, "dead letters redriven");
    Ok(answer)
}

/// A worker in an answer.
#[derive(Serialize, JsonSchema)]
pub(super) struct Worker {
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

pub(super) async fn workers(State(app): State<App>, _: Viewer) -> Result<Json<Page<Worker>>, Problem> {
    let workers = admin::workers(&app.flow.pool).await?;
    Ok(Json(Page { items: workers.into_iter().map(Worker::from).collect(), next: None }))
}

/// How far back.
#[derive(Deserialize)]
pub(super) struct Back {
    minutes: Option<u32>,
}

/// What ended in each minute; `pickup`, `lateness` and `run` count by the upper bounds in `bounds_secs`, and beyond.
#[derive(Serialize, JsonSchema)]
pub(super) struct Minutes {
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

pub(super) async fn minutes(
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
    let mut conn = app.flow.pool.acquire().await?;
    let minutes = admin::minutes(&mut conn, tag.wire(), since).await?;
    let items = minutes.into_iter().map(|minute| {
        let Minute { minute, done, failed, dead, cancelled, rescued, lost, run_secs, pickup, lateness, run } =
            minute;
        OneMinute { minute, done, failed, dead, cancelled, rescued, lost, run_secs, pickup, lateness, run }
    });
    Ok(Json(Minutes { bounds_secs: BOUNDS, items: items.collect() }))
}

/// Why nothing was changed, if nothing was.
fn changed(changed: Changed) -> Result<(), Problem> {
    match changed {
        Changed::Yes | Changed::Asked => Ok(()),
        Changed::Busy => Err(Problem::busy_job()),
        Changed::Gone => Err(Refusal::NotFound("waiting job").into()),
    }
}

async fn job(db: impl PgExecutor<'_>, id: Uuid) -> Result<Job, Problem> {
    admin::find(db, id).await?.map(Job::from).ok_or_else(|| Refusal::NotFound("job").into())
}

async fn queue(db: impl PgExecutor<'_>, tag: MqTag) -> Result<Queue, Problem> {
    let queues = admin::queues(db, &[tag.wire().to_owned()]).await?;
    queues.into_iter().next().map(Queue::from).ok_or_else(|| Refusal::NotFound("tag").into())
}

fn known_tag(tag: &str) -> Result<MqTag, Problem> {
    tag.parse().map_err(|_| Refusal::NotFound("tag").into())
}
