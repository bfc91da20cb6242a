//! Acts upon one job, and redriving dead letters by a filter in one go.

use super::{
    By, bulk,
    impact::{self, Moves, Words},
};
use crate::{
    domain::{Error, FieldError, OrderId, Refusal},
    ops::audit::{Act, Subject},
};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use farebox_jobs::{
    MqTag,
    queue::admin::{self, Changed, DeadFilter, JobFilter, JobView, Place, Which},
};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

/// How far ahead a job may be put off, days.
pub const LONGEST_SNOOZE_DAYS: i64 = 30;
/// The same of a recurring job, hours: the next one comes a day later at the most.
const LONGEST_SNOOZE_OF_RECURRING_HOURS: i64 = 24;
/// The same of a job that owes somebody seats or money, hours.
const LONGEST_SNOOZE_OF_A_DEBT_HOURS: i64 = 4;

/// Makes a waiting job due now, or brings a dead letter back to life.
///
/// # Errors
/// A job that runs ([`Refusal::JobBusy`]), has ended, or is unknown; the database's.
pub async fn retry(conn: &mut PgConnection, by: &By, id: Uuid) -> Result<JobView, Error> {
    let before = found(conn, id).await?;
    changed(admin::retry(&mut *conn, id).await?)?;
    told(conn, by, Act::JobRetry, before, json!({})).await
}

/// Brings a dead letter back to life with fresh attempts.
///
/// # Errors
/// A job that is no dead letter, or whose key is taken by a live job; the database's.
pub async fn redrive(conn: &mut PgConnection, by: &By, id: Uuid) -> Result<JobView, Error> {
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
pub async fn cancel(conn: &mut PgConnection, by: &By, id: Uuid) -> Result<JobView, Error> {
    let before = found(conn, id).await?;
    if let (Ok(MqTag::Bulk), Ok(operation)) = (before.tag.parse(), before.key.parse()) {
        bulk::end(&mut *conn, by, operation).await?;
    }
    changed(admin::cancel(&mut *conn, Which::Id(id), &by.told()).await?)?;
    told(conn, by, Act::JobCancel, before, json!({})).await
}

/// [`cancel`] by tag and key.
///
/// # Errors
/// No live job has them; the database's.
pub async fn cancel_key(conn: &mut PgConnection, by: &By, tag: MqTag, key: &str) -> Result<JobView, Error> {
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

/// Until when a job is put off.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// Until this moment.
    At(DateTime<Utc>),
    /// For so long, from the database's now on.
    After(TimeDelta),
}

/// Puts a waiting job off until then, which is no later than [`latest_snooze`] allows.
///
/// # Errors
/// A time that is past or later than that; a job that runs, has ended, or is unknown; the database's.
pub async fn snooze(conn: &mut PgConnection, by: &By, id: Uuid, until: Until) -> Result<JobView, Error> {
    let before = found(conn, id).await?;
    if before.state == "dead" {
        return Err(Refusal::NotFound("waiting job").into());
    }
    let Latest { now, at, why } = latest_snooze(conn, &before).await?;
    let until = match until {
        Until::At(until) => until,
        // Further than time goes is too far.
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
    changed(admin::snooze(&mut *conn, id, until).await?)?;
    told(conn, by, Act::JobSnooze, before, json!({ "until": until })).await
}

/// Until when a job may be put off, by the database's clock.
#[derive(Clone, Debug)]
pub struct Latest {
    /// Now.
    pub now: DateTime<Utc>,
    /// Until then; not at all if that is past.
    pub at: DateTime<Utc>,
    /// Why not for longer, as the end of a sentence.
    pub why: Words,
}

/// Until when a job may be put off without breaking what was promised: the timer of an unpaid order, or of a claim that never
/// became one, until its deadline; a job that owes seats or money for some hours; a recurring one until the next would
/// be due; any other for some weeks.
///
/// # Errors
/// The database's.
pub async fn latest_snooze(conn: &mut PgConnection, job: &JobView) -> Result<Latest, sqlx::Error> {
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
    .fetch_one(&mut *conn)
    .await?;
    let (now, tag) = (row.now, job.tag.parse::<MqTag>().ok());
    if let (Some(MqTag::OrderUnpaid), Some(at)) = (tag, row.deadline) {
        let told = at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let why = Words::new(
            format!("the order's deadline is {told}, and this job gives its seats back then"),
            format!("订单的截止时间是 {told}，届时由此任务释放座位"),
        );
        return Ok(Latest { now, at, why });
    }
    let owes = match tag {
        Some(MqTag::TripCancel) => true,
        _ => {
            let facts = impact::facts(&mut *conn, std::slice::from_ref(job)).await?.pop().unwrap_or_default();
            let Moves { seats, amount, finishes } = impact::moves(&job.tag, &facts);
            finishes || amount.is_some() || !seats.is_empty()
        }
    };
    let (most, why) = if owes {
        let hours = LONGEST_SNOOZE_OF_A_DEBT_HOURS;
        let why = Words::new(
            format!("somebody waits for seats or money, so {hours} hours"),
            format!("有人在等待座位或款项，最多 {hours} 小时"),
        );
        (TimeDelta::hours(hours), why)
    } else if tag.is_some_and(|tag| tag.recurring().is_some()) {
        let hours = LONGEST_SNOOZE_OF_RECURRING_HOURS;
        let why = Words::new(
            format!("the next run would be due by then, so {hours} hours"),
            format!("届时下一次运行已到期，最多 {hours} 小时"),
        );
        (TimeDelta::hours(hours), why)
    } else {
        let why = Words::new(format!("{LONGEST_SNOOZE_DAYS} days"), format!("{LONGEST_SNOOZE_DAYS} 天"));
        (TimeDelta::days(LONGEST_SNOOZE_DAYS), why)
    };
    Ok(Latest { now, at: now + most, why })
}

/// Brings the dead letters of a filter back to life, [`admin::REDRIVE_MAX`] at the most; returns how many.
///
/// # Errors
/// The database's.
pub async fn redrive_all(conn: &mut PgConnection, by: &By, which: &DeadFilter) -> Result<u64, Error> {
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
) -> Result<JobView, Error> {
    detail["tag"] = json!(before.tag);
    detail["key"] = json!(before.key);
    detail["was"] = json!(before.state);
    let subject = Subject { kind: "job", id: before.id.to_string(), order: order_of(&before.payload) };
    by.write(&mut *conn, act, &subject, &detail).await?;
    tracing::info!(job = %before.id, act = act.as_str(), why = by.told(), "an operator acted");
    found(conn, before.id).await
}

async fn found(conn: &mut PgConnection, id: Uuid) -> Result<JobView, Error> {
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
