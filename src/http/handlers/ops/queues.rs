//! Queues and workers for operators: the numbers of each tag, pause, resume, drain, redrive, and
//! the minute roll-ups.

use super::by;
use crate::http::{
    App,
    extract::{
        OpsChange, Paging, Params, Path, Viewer,
        reason::{OptionalReason, known_tag},
    },
    idempotent::{IdempotentChange, Reply},
    paged::Paged,
    problem::Problem,
};
use crate::{
    domain::{FieldError, Instant, Label, Page, json::micros},
    ops::{jobs, queues},
    storage::again,
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    MqTag,
    queue::{
        BOUNDS,
        admin::{self, DeadFilter, Minute, QueueView, WorkerCursor, WorkerView},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a response may wait for a tag to drain, seconds; shorter than the limit of a request.
const MAX_DRAIN_SECS: u64 = 15;
/// Most workers of a page, also when the client names no limit.
pub(crate) const MAX_WORKERS: u16 = 1_000;
/// How far back roll-ups are available, minutes.
const MAX_BACK_MINUTES: u32 = 1_440;

/// The numbers of a tag in a response.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Queue {
    /// The tag.
    tag: String,
    /// Due jobs that wait for a worker, but for those that failed.
    ready: i64,
    /// Jobs that are not due yet, but for those that failed.
    delayed: i64,
    /// Failed, and waiting for their next attempt.
    retrying: i64,
    /// Jobs of which an attempt runs.
    running: i64,
    /// Dead letters.
    dead: i64,
    /// The most failed attempts of one live job.
    most_failures: i32,
    /// How long the job that is due longest has waited, seconds; absent if none is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_ready_secs: Option<f64>,
    /// Of a tag whose jobs owe seats or money: for how long the oldest pending one is due, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_debt_secs: Option<f64>,
    /// Whether it is paused: no job of it is claimed.
    paused: bool,
    /// `open`; `draining`: paused while attempts still run; `paused`.
    #[schemars(with = "crate::domain::words::QueueState")]
    state: &'static str,
    /// Jobs done in the last hour.
    done_last_hour: i64,
    /// Attempts that failed in the last hour.
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

/// Lists all tags on one page.
pub(crate) async fn queues(State(app): State<App>, _: Viewer) -> Result<Json<Page<Queue>>, Problem> {
    let tags = MqTag::ALL.map(|tag| tag.wire().to_owned());
    let queues = admin::queues(&app.saga.pool, &tags).await?;
    Ok(Json(Page { items: queues.into_iter().map(Queue::from).collect(), next: None }))
}

pub(crate) async fn pause(
    Path(tag): Path<String>,
    OpsChange(change): OpsChange<OptionalReason>,
) -> Result<Response, Reply> {
    let (tag, by) = (known_tag(&tag)?, by(&change.caller, change.body.reason.as_deref())?);
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = queues::pause(act.conn(), &by, tag).await.map(Queue::from);
    act.end(StatusCode::OK, done).await
}

pub(crate) async fn resume(
    Path(tag): Path<String>,
    OpsChange(change): OpsChange<OptionalReason>,
) -> Result<Response, Reply> {
    let (tag, by) = (known_tag(&tag)?, by(&change.caller, change.body.reason.as_deref())?);
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = queues::resume(act.conn(), &by, tag).await.map(Queue::from);
    act.end(StatusCode::OK, done).await
}

/// Why a tag is drained, and how long the response may wait for that.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drain {
    #[schemars(with = "Option<crate::domain::Reason>")]
    reason: Option<String>,
    /// How long the response may wait for the last attempt, seconds; 0 if left out.
    #[schemars(range(max = 15))]
    wait_secs: Option<u64>,
}

/// Pauses a tag and waits for its running attempts; the `state` of the response says whether they
/// ended. The wait is outside of the transaction, because workers must see the pause first.
pub(crate) async fn drain(
    State(app): State<App>,
    Path(tag): Path<String>,
    OpsChange(change): OpsChange<Drain>,
) -> Result<Response, Reply> {
    let (tag, by) = (known_tag(&tag)?, by(&change.caller, change.body.reason.as_deref())?);
    let wait = change.body.wait_secs.unwrap_or(0);
    if wait > MAX_DRAIN_SECS {
        return Err(Problem::field(&FieldError::new("/wait_secs", format!("0 to {MAX_DRAIN_SECS}"))).into());
    }
    let mut act = IdempotentChange::begin(&app.saga.pool, change.key.as_ref()).await?;
    queues::drain(act.conn(), &by, tag).await?;
    let later = act.commit().await?;
    let wait = Duration::from_secs(wait);
    // Safe to drop: the tag stays paused, and draining it again changes nothing.
    let done = again(|| queues::drained(&app.saga.pool, tag, wait)).await.map(Queue::from);
    later.end(StatusCode::OK, done).await
}

/// Which dead letters are redriven.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redrive {
    /// Only of this tag.
    tag: Option<String>,
    /// Only those dead for this reason.
    given_up: Option<Label>,
    /// Only those whose last error contains this.
    error: Option<Label>,
    /// Only those dead since then.
    since: Option<Instant>,
    /// Only those dead before then.
    before: Option<Instant>,
    /// Why they are redriven.
    #[schemars(with = "Option<crate::domain::Reason>")]
    reason: Option<String>,
}

/// How many dead letters were redriven.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Redriven {
    /// How many.
    redriven: u64,
}

pub(crate) async fn redrive_tag(
    Path(tag): Path<String>,
    OpsChange(mut change): OpsChange<Redrive>,
) -> Result<Response, Reply> {
    if change.body.tag.as_ref().is_some_and(|other| *other != tag) {
        return Err(Problem::field(&FieldError::new("/tag", "left out, or the address's")).into());
    }
    change.body.tag = Some(tag);
    redrive(OpsChange(change)).await
}

pub(crate) async fn redrive(OpsChange(change): OpsChange<Redrive>) -> Result<Response, Reply> {
    let by = by(&change.caller, change.body.reason.as_deref())?;
    let Redrive { tag, given_up, error, since, before, .. } = change.body;
    tag.as_deref().map(known_tag).transpose()?;
    let (text, at) =
        (|label: Option<Label>| label.map(Label::into_string), |at: Option<Instant>| at.map(Instant::utc));
    let which =
        DeadFilter { tag, reason: text(given_up), error: text(error), since: at(since), before: at(before) };
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = jobs::redrive_all(act.conn(), &by, &which).await.map(|redriven| Redriven { redriven });
    act.end(StatusCode::OK, done).await
}

/// A worker in a response.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Worker {
    /// Its id, another one after each start.
    id: String,
    /// What people call it.
    name: String,
    /// The machine that it runs on.
    host: String,
    /// Its process there.
    pid: i32,
    /// Its build.
    build: String,
    /// The tags whose jobs it runs.
    tags: Vec<String>,
    /// Attempts that it runs at a time, at most.
    slots: i32,
    /// Jobs that it held when it last reported.
    held: i32,
    /// Whether it claims jobs.
    #[schemars(with = "crate::domain::words::WorkerState")]
    state: String,
    /// When it began.
    #[serde(serialize_with = "micros")]
    started_at: DateTime<Utc>,
    /// When it last reported.
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
) -> Result<Paged<Worker>, Problem> {
    let (after, limit) = (paging.cursor::<WorkerCursor>()?, paging.limit_of(MAX_WORKERS, MAX_WORKERS)?);
    let mut workers = admin::workers(&app.saga.pool, after.as_ref(), i64::from(limit) + 1).await?;
    let more = workers.len() > usize::from(limit);
    workers.truncate(limit.into());
    let next = workers.last().filter(|_| more).map(|last| WorkerCursor::from(last).to_string());
    Ok(Paged(Page { items: workers.into_iter().map(Worker::from).collect(), next }))
}

/// How far back the roll-ups go.
#[derive(Deserialize)]
pub(crate) struct Back {
    minutes: Option<u32>,
}

/// The attempts that ended in each minute. `pickup`, `lateness` and `run` count jobs by bucket: by the
/// upper bounds `bounds_secs`, and one bucket beyond.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Minutes {
    /// The upper bounds of the buckets, seconds.
    bounds_secs: [f64; BOUNDS.len()],
    /// The minutes in which an attempt ended, the oldest first.
    items: Vec<OneMinute>,
}

/// What ended in a minute.
#[derive(Serialize, JsonSchema)]
struct OneMinute {
    /// Its beginning.
    #[serde(serialize_with = "micros")]
    minute: DateTime<Utc>,
    /// Jobs done.
    done: i64,
    /// Attempts that failed and are made again.
    failed: i64,
    /// Jobs given up.
    dead: i64,
    /// Jobs cancelled while they ran.
    cancelled: i64,
    /// Claims of jobs whose worker was gone.
    rescued: i64,
    /// Attempts that lost their lease.
    lost: i64,
    /// How long all attempts took together, seconds.
    run_secs: f64,
    /// How long jobs that were due at once waited for a worker, by bucket.
    pickup: Vec<i64>,
    /// How long delayed jobs waited for a worker once they were due, by bucket.
    lateness: Vec<i64>,
    /// How long attempts took, by bucket.
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
    if !(1..=MAX_BACK_MINUTES).contains(&back) {
        return Err(Problem::field(&FieldError::new("minutes", format!("1 to {MAX_BACK_MINUTES}"))));
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
