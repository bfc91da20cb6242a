//! A round of an endpoint's job: what is sent next, and what came of it.

use super::schedule::{self, PROBE_AFTER};
use crate::settings;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use std::time::Duration;
use uuid::Uuid;

/// Most deliveries that become due at once because their receiver answers again. Others were not attempted
/// while it was paused, and are due already.
const MAX_FORWARDED: i64 = 1_000;
/// Most characters of an error that are stored.
const MAX_ERROR: usize = 500;

/// What an endpoint is sent now.
pub(super) struct Round {
    pub(super) url: String,
    pub(super) nonce: Vec<u8>,
    /// The nonce of before a rotation, while it signs too.
    pub(super) old_nonce: Option<Vec<u8>>,
    /// Attempts that failed in a row.
    pub(super) failures: i32,
    pub(super) events: Vec<Event>,
}

/// An event that is due.
pub(super) struct Event {
    pub(super) id: Uuid,
    pub(super) kind: String,
    pub(super) at: DateTime<Utc>,
    pub(super) data: Value,
    /// Attempts of before.
    pub(super) attempts: i32,
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) event: Uuid,
    /// The failed attempts, this one included if it failed.
    pub(super) attempts: i32,
    /// The receiver's status, if it answered.
    pub(super) status: Option<u16>,
    /// Why it counts as failed; none for a delivery.
    pub(super) error: Option<String>,
    /// For how long the receiver asks to be left alone.
    pub(super) retry_after: Option<Duration>,
    pub(super) took: Duration,
}

impl Attempt {
    /// The receiver says that it wants no more events, ever.
    pub(super) fn is_gone(&self) -> bool {
        self.status == Some(410)
    }
}

/// The next round; none if the endpoint is disabled or paused, or nothing is due. A paused endpoint whose
/// pause has ended gets one event, due or not: a receiver that is back need not wait for the waits of its
/// events, which are up to hours.
pub(super) async fn next(pool: &PgPool, endpoint: Uuid, most: usize) -> Result<Option<Round>, sqlx::Error> {
    let mut conn = pool.acquire().await?;
    let found = sqlx::query!(
        "select url, nonce, case when old_until > now() then old_nonce end as old_nonce, failures
         from webhook_endpoint
         where id = $1 and state = 'enabled' and (paused_until is null or paused_until <= now())",
        endpoint
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(found) = found else { return Ok(None) };
    let is_probe = found.failures >= PROBE_AFTER;
    let most = if is_probe { 1 } else { i64::try_from(most).unwrap_or(1) };
    let events = sqlx::query_as!(
        Event,
        "select v.id, v.kind, v.at, v.data, d.attempts
         from webhook_delivery d join webhook_event v on v.id = d.event_id
         where d.endpoint_id = $1 and d.state = 'pending' and (d.due_at <= now() or $3) and d.give_up_at > now()
         order by d.due_at limit $2",
        endpoint,
        most,
        is_probe
    )
    .fetch_all(&mut *conn)
    .await?;
    let round = Round {
        url: found.url,
        nonce: found.nonce,
        old_nonce: found.old_nonce,
        failures: found.failures,
        events,
    };
    Ok((!round.events.is_empty()).then_some(round))
}

/// Writes down what came of a round. An attempt that a worker without its lease reports was made all the
/// same, and counts; one that was delivered stays delivered.
pub(super) async fn record(
    pool: &PgPool,
    endpoint: Uuid,
    before: i32,
    attempts: &[Attempt],
    settings: &settings::Webhooks,
) -> Result<(), sqlx::Error> {
    let mut conn = pool.acquire().await?;
    write_attempts(&mut conn, endpoint, attempts, settings).await?;
    if attempts.iter().any(Attempt::is_gone) {
        tracing::warn!(%endpoint, "the webhook's receiver is gone for good; it is disabled");
        return disable(&mut conn, endpoint).await;
    }
    let failed = attempts.iter().filter(|attempt| attempt.error.is_some()).count();
    if failed == attempts.len() {
        let failures = schedule::failures_after(before, failed);
        let asked = attempts.iter().filter_map(|attempt| attempt.retry_after).max();
        let pause = schedule::pause(settings.first_wait(), settings.longest_pause(), failures).max(asked);
        let pause = pause.map(|pause| pause.min(settings.longest_pause()));
        return count_failures(&mut conn, endpoint, failures, pause).await;
    }
    if before > 0 {
        count_success(&mut conn, endpoint).await?;
    }
    if before >= PROBE_AFTER {
        tracing::info!(%endpoint, "the webhook's receiver answers again");
        forward(&mut conn, endpoint).await?;
    }
    Ok(())
}

async fn write_attempts(
    conn: &mut PgConnection,
    endpoint: Uuid,
    attempts: &[Attempt],
    settings: &settings::Webhooks,
) -> Result<(), sqlx::Error> {
    let waits = attempts.iter().map(|attempt| {
        let wait = schedule::wait(settings.first_wait(), settings.longest_wait(), attempt.attempts);
        wait.max(attempt.retry_after.unwrap_or_default().min(settings.longest_pause())).as_secs_f64()
    });
    let status = |attempt: &Attempt| attempt.status.and_then(|status| i16::try_from(status).ok());
    let error = |attempt: &Attempt| attempt.error.as_deref().map(storable);
    sqlx::query!(
        "with result as (
             select r.*, now() + make_interval(secs => r.wait) as next_at
             from unnest($2::uuid[], $3::smallint[], $4::text[], $5::integer[], $6::float8[], $7::boolean[])
                 as r (event_id, status, error, ms, wait, gone)
         ), judged as (
             select d.event_id, r.status, r.error, r.ms, r.next_at,
                    case when r.error is null then 'delivered'
                         when r.gone or r.next_at >= d.give_up_at then 'failed'
                         else 'pending' end as state
             from result r
             join webhook_delivery d on d.endpoint_id = $1 and d.event_id = r.event_id and d.state = 'pending'
         )
         update webhook_delivery d
         set state = j.state, attempts = d.attempts + 1, last_at = now(), last_status = j.status, last_error = j.error,
             last_ms = j.ms,
             due_at = case when j.state = 'pending' then j.next_at end,
             delivered_at = case when j.state = 'delivered' then now() end
         from judged j
         where d.endpoint_id = $1 and d.event_id = j.event_id and d.state = 'pending'",
        endpoint,
        &attempts.iter().map(|attempt| attempt.event).collect::<Vec<_>>(),
        &attempts.iter().map(status).collect::<Vec<_>>() as &[Option<i16>],
        &attempts.iter().map(error).collect::<Vec<_>>() as &[Option<String>],
        &attempts.iter().map(|a| i32::try_from(a.took.as_millis()).unwrap_or(i32::MAX)).collect::<Vec<_>>(),
        &waits.collect::<Vec<_>>(),
        &attempts.iter().map(Attempt::is_gone).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await
    .map(drop)
}

async fn disable(conn: &mut PgConnection, endpoint: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update webhook_endpoint
         set state = 'disabled', disabled_because = 'gone', failures = 0, failing_since = null, paused_until = null,
             changed_at = now()
         where id = $1 and state = 'enabled'",
        endpoint
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The number is set, not added to: an endpoint has one job.
async fn count_failures(
    conn: &mut PgConnection,
    endpoint: Uuid,
    failures: i32,
    pause: Option<Duration>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update webhook_endpoint
         set failures = $2, failing_since = coalesce(failing_since, now()),
             paused_until = now() + make_interval(secs => $3)
         where id = $1 and state = 'enabled'",
        endpoint,
        failures,
        pause.map(|pause| pause.as_secs_f64())
    )
    .execute(conn)
    .await
    .map(drop)
}

async fn count_success(conn: &mut PgConnection, endpoint: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update webhook_endpoint set failures = 0, failing_since = null, paused_until = null
         where id = $1 and failures > 0",
        endpoint
    )
    .execute(conn)
    .await
    .map(drop)
}

/// What was tried while the receiver was away, and waits for long, is due now.
async fn forward(conn: &mut PgConnection, endpoint: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with waiting as (
             select event_id from webhook_delivery
             where endpoint_id = $1 and state = 'pending' and due_at > now() and give_up_at > now()
             order by due_at limit $2
         )
         update webhook_delivery d set due_at = now() from waiting w
         where d.endpoint_id = $1 and d.event_id = w.event_id and d.state = 'pending'",
        endpoint,
        MAX_FORWARDED
    )
    .execute(conn)
    .await
    .map(drop)
}

/// A text as the database takes it.
fn storable(text: &str) -> String {
    text.chars().take(MAX_ERROR).map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
