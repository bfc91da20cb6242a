//! The queue for operators: look at jobs, try them again, call them off, pause their tags.

use super::{
    App,
    extract::{Change, OpsChange, Paging, Params, Viewer, job_id},
    problem::Problem,
};
use crate::{
    domain::{FieldError, Refusal},
    orders::{Page, micros},
};
use axum::{
    Json,
    extract::{Path, State},
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    MqTag,
    queue::admin::{self, Changed, JobFilter, JobView, QueueView},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

/// The states a job may be asked for.
const STATES: [&str; 6] = ["ready", "delayed", "running", "done", "dead", "cancelled"];
/// Longest reason, bytes.
const LONGEST_REASON: usize = 500;

/// A job in an answer.
#[derive(Serialize)]
pub(super) struct Job {
    id: Uuid,
    tag: String,
    key: String,
    state: String,
    attempt: i32,
    max_attempts: i32,
    #[serde(serialize_with = "micros")]
    run_at: DateTime<Utc>,
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
    let filter = JobFilter { tag: which.tag, state: which.state, key: which.key, after };
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
    job(&app, job_id(&id)?).await
}

/// Why an operator acts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    reason: Option<String>,
}

impl Why {
    /// The reason with who gives it, as it is kept.
    fn told(change: &Change<Self>) -> Result<String, Problem> {
        let reason = change.body.reason.as_deref().unwrap_or("no reason given");
        if reason.is_empty() || reason.len() > LONGEST_REASON {
            return Err(Problem::field(&FieldError::new("/reason", "1 to 500 characters, or left out")));
        }
        Ok(format!("{reason} (operator {})", change.caller.rider_id))
    }
}

pub(super) async fn retry(
    State(app): State<App>,
    Path(id): Path<String>,
    OpsChange(change): OpsChange<Why>,
) -> Result<Json<Job>, Problem> {
    let (id, why) = (job_id(&id)?, Why::told(&change)?);
    let mut tx = change.flow.pool.begin().await?;
    let changed = admin::retry(&mut tx, id).await?;
    acted(&app, tx, id, changed, "retried", &why).await
}

pub(super) async fn cancel(
    State(app): State<App>,
    Path(id): Path<String>,
    OpsChange(change): OpsChange<Why>,
) -> Result<Json<Job>, Problem> {
    let (id, why) = (job_id(&id)?, Why::told(&change)?);
    let mut tx = change.flow.pool.begin().await?;
    let changed = admin::cancel(&mut tx, id, &why).await?;
    acted(&app, tx, id, changed, "cancelled", &why).await
}

/// A tag's numbers in an answer.
#[derive(Serialize)]
pub(super) struct Queue {
    tag: String,
    ready: i64,
    delayed: i64,
    running: i64,
    dead: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_ready_secs: Option<f64>,
    paused: bool,
}

impl From<QueueView> for Queue {
    fn from(queue: QueueView) -> Self {
        let QueueView { tag, ready, delayed, running, dead, oldest_ready_secs, paused } = queue;
        Self { tag, ready, delayed, running, dead, oldest_ready_secs, paused }
    }
}

pub(super) async fn queues(State(app): State<App>, _: Viewer) -> Result<Json<Page<Queue>>, Problem> {
    let tags = MqTag::ALL.map(|tag| tag.wire().to_owned());
    let queues = admin::queues(&app.flow.pool, &tags).await?;
    Ok(Json(Page { items: queues.into_iter().map(Queue::from).collect(), next: None }))
}

pub(super) async fn pause(
    State(app): State<App>,
    Path(tag): Path<String>,
    OpsChange(change): OpsChange<Why>,
) -> Result<Json<Queue>, Problem> {
    let (tag, why) = (known_tag(&tag)?, Why::told(&change)?);
    admin::pause(&app.flow.pool, tag.wire(), &change.caller.rider_id.to_string(), &why).await?;
    queue(&app, tag).await
}

pub(super) async fn resume(
    State(app): State<App>,
    Path(tag): Path<String>,
    OpsChange(_): OpsChange<Why>,
) -> Result<Json<Queue>, Problem> {
    let tag = known_tag(&tag)?;
    admin::resume(&app.flow.pool, tag.wire()).await?;
    queue(&app, tag).await
}

/// Which dead letters of a tag, and why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Redrive {
    /// Only those given up for this reason.
    given_up: Option<String>,
}

/// How many came back to life.
#[derive(Serialize)]
pub(super) struct Redriven {
    redriven: u64,
}

pub(super) async fn redrive(
    Path(tag): Path<String>,
    OpsChange(change): OpsChange<Redrive>,
) -> Result<Json<Redriven>, Problem> {
    let tag = known_tag(&tag)?;
    let mut tx = change.flow.pool.begin().await?;
    let redriven = admin::redrive(&mut tx, tag.wire(), change.body.given_up.as_deref()).await?;
    tx.commit().await?;
    tracing::info!(%tag, redriven, by = %change.caller.rider_id, "dead letters redriven");
    Ok(Json(Redriven { redriven }))
}

/// Ends an operator's act on one job: commits it and shows the job, or says why nothing was changed.
async fn acted(
    app: &App,
    tx: Transaction<'static, Postgres>,
    id: Uuid,
    changed: Changed,
    what: &'static str,
    why: &str,
) -> Result<Json<Job>, Problem> {
    match changed {
        Changed::Yes => tx.commit().await?,
        Changed::Busy => return Err(Problem::busy_job()),
        Changed::Gone => return Err(Refusal::NotFound("waiting job").into()),
    }
    tracing::info!(job = %id, why, "job {what}");
    job(app, id).await
}

async fn job(app: &App, id: Uuid) -> Result<Json<Job>, Problem> {
    let job = admin::find(&app.flow.pool, id).await?;
    job.map(|job| Json(job.into())).ok_or_else(|| Refusal::NotFound("job").into())
}

async fn queue(app: &App, tag: MqTag) -> Result<Json<Queue>, Problem> {
    let queues = admin::queues(&app.flow.pool, &[tag.wire().to_owned()]).await?;
    queues.into_iter().next().map(|queue| Json(queue.into())).ok_or_else(|| Refusal::NotFound("tag").into())
}

fn known_tag(tag: &str) -> Result<MqTag, Problem> {
    tag.parse().map_err(|_| Refusal::NotFound("tag").into())
}
