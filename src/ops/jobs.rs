//! Actions upon one job, and redriving dead letters by a filter.

pub use crate::orders::jobs::order_of;

use super::{Attribution, bulk, impact};
use crate::{
    domain::{Effects, Error, FieldError, JobState, Localized, Refusal},
    ops::audit::{Action, Subject},
};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use farebox_jobs::{
    MqTag,
    queue::admin::{self, AdminOutcome, DeadFilter, JobFilter, JobRef, JobTable, JobView},
};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

/// How long a job may be snoozed, days.
pub const MAX_SNOOZE_DAYS: i64 = 30;
/// How long a recurring job may be snoozed, hours: its next run is due within a day.
const MAX_SNOOZE_OF_RECURRING_HOURS: i64 = 24;
/// How long a job that owes seats or money may be snoozed, hours.
const MAX_SNOOZE_OF_UNDO_HOURS: i64 = 4;

/// Makes a waiting job due now, or redrives a dead letter.
///
/// # Errors
/// A job that runs ([`Refusal::JobBusy`]), has ended, or is unknown; the database's.
pub async fn retry(conn: &mut PgConnection, by: &Attribution, id: Uuid) -> Result<JobView, Error> {
    let before = load(conn, id).await?;
    check(admin::retry(&mut *conn, id).await?)?;
    record(conn, by, Action::JobRetry, before, json!({})).await
}

/// Redrives a dead letter, with fresh attempts.
///
/// # Errors
/// A job that is no dead letter, or whose key is taken by a live job; the database's.
pub async fn redrive(conn: &mut PgConnection, by: &Attribution, id: Uuid) -> Result<JobView, Error> {
    let before = load(conn, id).await?;
    if state_of(&before) != Some(JobState::Dead) {
        return Err(Refusal::NotFound("dead letter").into());
    }
    let outcome = admin::bulk::redrive(&mut *conn, &[id]).await?;
    check(outcome.first().copied().unwrap_or(AdminOutcome::Gone))?;
    record(conn, by, Action::JobRedrive, before, json!({})).await
}

/// Discards a dead letter: it ends as cancelled, and nobody redrives it any more. Only one that owes
/// nothing, or whose payload no build can read: the invariants go on showing what its order lacks.
///
/// # Errors
/// A job that is no dead letter; one that still owes seats or money ([`Refusal::StillOwed`]); the
/// database's.
pub async fn discard(conn: &mut PgConnection, by: &Attribution, id: Uuid) -> Result<JobView, Error> {
    let before = load(conn, id).await?;
    if state_of(&before) != Some(JobState::Dead) {
        return Err(Refusal::NotFound("dead letter").into());
    }
    if may_owe(conn, &before).await? {
        return Err(Refusal::StillOwed.into());
    }
    check(admin::discard(&mut *conn, id, &by.note()).await?)?;
    record(conn, by, Action::JobDiscard, before, json!({})).await
}

/// Whether a job that never runs again would leave seats or money owed, now or at its order's
/// deadline.
///
/// # Errors
/// The database's.
pub async fn may_owe(conn: &mut PgConnection, job: &JobView) -> Result<bool, sqlx::Error> {
    let is_timer = matches!(job.tag.parse(), Ok(MqTag::OrderUnpaid));
    if is_timer && deadline(&mut *conn, job).await?.1.is_some() {
        return Ok(true);
    }
    owes(conn, job).await
}

/// Cancels a live job. One that is still running in the response was asked to end.
///
/// # Errors
/// A job that has ended or is unknown; the database's.
pub async fn cancel(conn: &mut PgConnection, by: &Attribution, id: Uuid) -> Result<JobView, Error> {
    let before = load(conn, id).await?;
    if let (Ok(MqTag::Bulk), Ok(operation)) = (before.tag.parse(), before.key.parse()) {
        bulk::finish(&mut *conn, by, operation).await?;
    }
    check(admin::cancel(&mut *conn, JobRef::Id(id), &by.note()).await?)?;
    record(conn, by, Action::JobCancel, before, json!({})).await
}

/// [`cancel`] by tag and key.
///
/// # Errors
/// No live job has them; the database's.
pub async fn cancel_key(
    conn: &mut PgConnection,
    by: &Attribution,
    tag: MqTag,
    key: &str,
) -> Result<JobView, Error> {
    let filter = JobFilter {
        tables: &[JobTable::Live],
        tags: vec![tag.wire().to_owned()],
        key: Some(key.to_owned()),
        ..JobFilter::default()
    };
    let live = admin::list(&mut *conn, &filter, 1).await?;
    let id = live.first().map(|job| job.id).ok_or(Refusal::NotFound("live job"))?;
    cancel(conn, by, id).await
}

/// Until when a job is snoozed.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// Until this time.
    At(DateTime<Utc>),
    /// For this long, from the database's clock.
    After(TimeDelta),
}

/// Snoozes a waiting job, at most for as long as [`latest_snooze`] allows.
///
/// # Errors
/// A time in the past, or later than that; a job that runs, has ended, or is unknown; the
/// database's.
pub async fn snooze(
    conn: &mut PgConnection,
    by: &Attribution,
    id: Uuid,
    until: Until,
) -> Result<JobView, Error> {
    let before = load(conn, id).await?;
    if state_of(&before) == Some(JobState::Dead) {
        return Err(Refusal::NotFound("waiting job").into());
    }
    let SnoozeLimit { now, at, why } = latest_snooze(conn, &before).await?;
    let until = match until {
        Until::At(until) => until,
        // Beyond the calendar is too late.
        Until::After(wait) => now.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC),
    };
    if until <= now || until > at {
        let rule = if at <= now {
            format!("it cannot be put off: {}", why.en)
        } else {
            let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
            format!("a time ahead, {at} at the latest: {}", why.en)
        };
        return Err(Refusal::Invalid(FieldError::new("/until", rule)).into());
    }
    check(admin::snooze(&mut *conn, id, until).await?)?;
    record(conn, by, Action::JobSnooze, before, json!({ "until": until })).await
}

/// Until when a job may be snoozed, by the database's clock.
#[derive(Clone, Debug)]
pub struct SnoozeLimit {
    /// Now.
    pub now: DateTime<Utc>,
    /// The latest time; a job may not be snoozed at all if that has passed.
    pub at: DateTime<Utc>,
    /// Why not longer, as the end of a sentence.
    pub why: Localized,
}

/// Until when a job may be snoozed without breaking a promise. The timer of an unpaid order, or of
/// a claim without an order: until its deadline. A job that owes seats or money: some hours. A
/// recurring job: until its next run would be due. Any other: some weeks.
///
/// # Errors
/// The database's.
pub async fn latest_snooze(conn: &mut PgConnection, job: &JobView) -> Result<SnoozeLimit, sqlx::Error> {
    let (now, deadline) = deadline(&mut *conn, job).await?;
    let tag = job.tag.parse::<MqTag>().ok();
    if let (Some(MqTag::OrderUnpaid), Some(at)) = (tag, deadline) {
        let deadline = at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let why = Localized::new(
            format!("the order's deadline is {deadline}, and this job gives its seats back then"),
            format!("订单的截止时间是 {deadline}，届时由此任务释放座位"),
        );
        return Ok(SnoozeLimit { now, at, why });
    }
    let (most, why) = if owes(&mut *conn, job).await? {
        let hours = MAX_SNOOZE_OF_UNDO_HOURS;
        let why = Localized::new(
            format!("somebody waits for seats or money, so {hours} hours"),
            format!("有人在等待座位或款项，最多 {hours} 小时"),
        );
        (TimeDelta::hours(hours), why)
    } else if tag.is_some_and(|tag| tag.recurring().is_some()) {
        let hours = MAX_SNOOZE_OF_RECURRING_HOURS;
        let why = Localized::new(
            format!("the next run would be due by then, so {hours} hours"),
            format!("届时下一次运行已到期，最多 {hours} 小时"),
        );
        (TimeDelta::hours(hours), why)
    } else {
        let why = Localized::new(format!("{MAX_SNOOZE_DAYS} days"), format!("{MAX_SNOOZE_DAYS} 天"));
        (TimeDelta::days(MAX_SNOOZE_DAYS), why)
    };
    Ok(SnoozeLimit { now, at: now + most, why })
}

/// The database's clock, and the deadline of the job's unpaid order or of its claim without an order.
async fn deadline(
    conn: &mut PgConnection,
    job: &JobView,
) -> Result<(DateTime<Utc>, Option<DateTime<Utc>>), sqlx::Error> {
    let order = order_of(&job.payload).map(|order| order.0);
    let trip: Option<Uuid> =
        job.payload.pointer("/booking/trip_id").and_then(Value::as_str).and_then(|id| id.parse().ok());
    let row = sqlx::query!(
        r#"select now() as "now!",
                  coalesce((select o.expires_at from orders o where o.id = $1 and o.status = 'unpaid'),
                           (select max(s.held_until) from seat s
                            where s.trip_id = $2 and s.order_id = $1
                              and not exists(select from orders o where o.id = $1))) as deadline"#,
        order,
        trip
    )
    .fetch_one(conn)
    .await?;
    Ok((row.now, row.deadline))
}

/// Whether a run of the job now would free seats or move money.
async fn owes(conn: &mut PgConnection, job: &JobView) -> Result<bool, sqlx::Error> {
    if let Ok(MqTag::TripCancel | MqTag::NetworkImport) = job.tag.parse() {
        return Ok(true);
    }
    let facts = impact::facts(conn, std::slice::from_ref(job)).await?.pop().unwrap_or_default();
    let Effects { seats, amount, marks_paid, .. } = impact::effects(&job.tag, &facts.undo);
    Ok(marks_paid || amount.is_some() || !seats.is_empty())
}

/// Redrives the dead letters of a filter, at most [`admin::REDRIVE_MAX`]; returns how many.
///
/// # Errors
/// The database's.
pub async fn redrive_all(
    conn: &mut PgConnection,
    by: &Attribution,
    which: &DeadFilter,
) -> Result<u64, Error> {
    let redriven = admin::redrive(&mut *conn, which).await?;
    let subject = Subject::of("dead_letters", &which.tag.as_deref().unwrap_or("all"));
    let detail = json!({
        "given_up": which.reason, "error": which.error, "since": which.since, "before": which.before,
        "redriven": redriven,
    });
    if redriven > 0 {
        by.record(conn, Action::DeadLettersRedrive, &subject, &detail).await?;
    }
    Ok(redriven)
}

async fn record(
    conn: &mut PgConnection,
    by: &Attribution,
    action: Action,
    before: JobView,
    mut detail: Value,
) -> Result<JobView, Error> {
    detail["tag"] = json!(before.tag);
    detail["key"] = json!(before.key);
    detail["was"] = json!(before.state);
    let subject = Subject { kind: "job", id: before.id.to_string(), order: order_of(&before.payload) };
    by.record(&mut *conn, action, &subject, &detail).await?;
    tracing::info!(job = %before.id, act = action.as_str(), why = by.note(), "an operator acted");
    load(conn, before.id).await
}

async fn load(conn: &mut PgConnection, id: Uuid) -> Result<JobView, Error> {
    admin::find(&mut *conn, id).await?.ok_or_else(|| Refusal::NotFound("job").into())
}

/// Refuses if nothing was changed.
fn check(changed: AdminOutcome) -> Result<(), Refusal> {
    match changed {
        AdminOutcome::Changed | AdminOutcome::CancelRequested => Ok(()),
        AdminOutcome::Busy => Err(Refusal::JobBusy),
        AdminOutcome::Gone => Err(Refusal::NotFound("waiting job")),
    }
}

/// The job's state; `None` for one that only another build knows.
fn state_of(job: &JobView) -> Option<JobState> {
    job.state.parse().ok()
}
