//! Acts upon one job, and redriving dead letters by a filter in one go.

use super::By;
use crate::{
    audit::{Act, Subject},
    domain::{FieldError, OrderId, Refusal},
    flow::StepError,
};
use chrono::{DateTime, TimeDelta, Utc};
use farebox_jobs::{
    MqTag,
    queue::admin::{self, Changed, DeadFilter, JobFilter, JobView, Place, Which},
};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

/// How far ahead a job may be put off, days.
pub const LONGEST_SNOOZE_DAYS: i64 = 30;

/// Makes a waiting job due now, or brings a dead letter back to life.
///
/// # Errors
/// A job that runs ([`Refusal::JobBusy`]), has ended, or is unknown; the database's.
pub async fn retry(conn: &mut PgConnection, by: &By, id: Uuid) -> Result<JobView, StepError> {
    let before = found(conn, id).await?;
    changed(admin::retry(&mut *conn, id).await?)?;
    told(conn, by, Act::JobRetry, before, json!({})).await
}

/// Brings a dead letter back to life with fresh attempts.
///
/// # Errors
/// A job that is no dead letter, or whose key is taken by a live job; the database's.
pub async fn redrive(conn: &mut PgConnection, by: &By, id: Uuid) -> Result<JobView, StepError> {
    let before = found(conn, id).await?;
    if before.state != "dead" {
        return Err(Refusal::NotFound("dead letter").into());
    }
    let outcome = admin::many::redrive(&mut *conn, &[id]).await?;
    changed(outcome.first().copied().unwrap_or(Changed::Gone))?;
    told(conn, by, Act::JobRedrive, before, json!({})).await
}

/// Calls a live job off. One that still runs in the answer has been asked to end.
///
/// # Errors
/// A job that has ended or is unknown; the database's.
pub async fn cancel(conn: &mut PgConnection, by: &By, id: Uuid) -> Result<JobView, StepError> {
    let before = found(conn, id).await?;
    changed(admin::cancel(&mut *conn, Which::Id(id), &by.told()).await?)?;
    told(conn, by, Act::JobCancel, before, json!({})).await
}

/// [`cancel`] by tag and key.
///
/// # Errors
/// No live job has them; the database's.
pub async fn cancel_key(
    conn: &mut PgConnection,
    by: &By,
    tag: MqTag,
    key: &str,
) -> Result<JobView, StepError> {
    let filter = JobFilter {
        places: &[Place::Live],
        tags: vec![tag.wire().to_owned()],
        key: Some(key.to_owned()),
        ..JobFilter::default()
    };
    let live = admin::list(&mut *conn, &filter, 1).await?;
    let id = live.first().map(|job| job.id).ok_or(Refusal::NotFound("live job"))?;
    cancel(conn, by, id).await
}

/// Puts a waiting job off until then.
///
/// # Errors
/// A time that is past or too far ahead; a job that runs, has ended, or is unknown; the database's.
pub async fn snooze(
    conn: &mut PgConnection,
    by: &By,
    id: Uuid,
    until: DateTime<Utc>,
) -> Result<JobView, StepError> {
    let now = Utc::now();
    if until <= now || until > now + TimeDelta::days(LONGEST_SNOOZE_DAYS) {
        let rule = format!("a time ahead, at most {LONGEST_SNOOZE_DAYS} days");
        return Err(Refusal::Invalid(FieldError::new("/until", rule)).into());
    }
    let before = found(conn, id).await?;
    if before.state == "dead" {
        return Err(Refusal::NotFound("waiting job").into());
    }
    changed(admin::snooze(&mut *conn, id, until).await?)?;
    told(conn, by, Act::JobSnooze, before, json!({ "until": until })).await
}

/// Brings the dead letters of a filter back to life, [`admin::REDRIVE_MAX`] at the most; returns how many.
///
/// # Errors
/// The database's.
pub async fn redrive_all(conn: &mut PgConnection, by: &By, which: &DeadFilter) -> Result<u64, StepError> {
    let redriven = admin::redrive(&mut *conn, which).await?;
    let subject = Subject::of("dead_letters", &which.tag.as_deref().unwrap_or("all"));
    let detail = json!({
        "given_up": which.reason, "error": which.error, "since": which.since, "before": which.before,
        "redriven": redriven,
    });
    by.write(conn, Act::DeadLettersRedrive, &subject, &detail).await?;
    Ok(redriven)
}

/// The order a job is about, wherever its kind keeps it.
pub fn order_of(payload: &Value) -> Option<OrderId> {
    let paths = ["/booking/order_id", "/paying/order_id", "/order_id"];
    let text = paths.iter().find_map(|path| payload.pointer(path)?.as_str())?;
    text.parse().ok().map(OrderId)
}

async fn told(
    conn: &mut PgConnection,
    by: &By,
    act: Act,
    before: JobView,
    mut detail: Value,
) -> Result<JobView, StepError> {
    detail["tag"] = json!(before.tag);
    detail["key"] = json!(before.key);
    detail["was"] = json!(before.state);
    let subject = Subject { kind: "job", id: before.id.to_string(), order: order_of(&before.payload) };
    by.write(&mut *conn, act, &subject, &detail).await?;
    tracing::info!(job = %before.id, act = act.as_str(), why = by.told(), "an operator acted");
    found(conn, before.id).await
}

async fn found(conn: &mut PgConnection, id: Uuid) -> Result<JobView, StepError> {
    admin::find(&mut *conn, id).await?.ok_or_else(|| Refusal::NotFound("job").into())
}

/// Why nothing was changed, if nothing was.
fn changed(changed: Changed) -> Result<(), Refusal> {
    match changed {
        Changed::Yes | Changed::Asked => Ok(()),
        Changed::Busy => Err(Refusal::JobBusy),
        Changed::Gone => Err(Refusal::NotFound("waiting job")),
    }
}
