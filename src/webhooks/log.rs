//! The log: what was sent to an endpoint, and sending it again.

use super::{body, event::wake};
use crate::domain::{Error, FieldError, Page, Refusal, json::rfc3339};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor};
use std::{fmt, str::FromStr, time::Duration};
use uuid::Uuid;

/// Most deliveries that are sent again together.
pub const MAX_AGAIN: i64 = 1_000;

/// An event on its way to an endpoint.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "WebhookDelivery")]
pub struct Delivery {
    /// The header `webhook-id` of each attempt.
    pub event_id: String,
    /// The kind of event.
    #[schemars(with = "farebox_jobs::EventKind")]
    pub kind: String,
    /// The order, the trip or the job that it is about.
    pub subject: Uuid,
    /// When the change was made.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub at: DateTime<Utc>,
    /// Where it is.
    #[schemars(with = "DeliveryState")]
    pub state: String,
    /// Attempts, since it was last to be sent again.
    pub attempts: i32,
    /// When it was written down.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub created_at: DateTime<Utc>,
    /// When the next attempt is due.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub due_at: Option<DateTime<Utc>>,
    /// No attempt begins later.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub give_up_at: DateTime<Utc>,
    /// When the last attempt ended.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub last_at: Option<DateTime<Utc>>,
    /// The status of the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_status: Option<i16>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// How long the last attempt took, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_ms: Option<i32>,
    /// When it was delivered.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub delivered_at: Option<DateTime<Utc>>,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is to be sent.
    Pending,
    /// Its receiver has it.
    Delivered,
    /// It was given up.
    Failed,
}

impl FromStr for DeliveryState {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "pending" => Ok(Self::Pending),
            "delivered" => Ok(Self::Delivered),
            "failed" => Ok(Self::Failed),
            _ => Err("one of pending, delivered, failed"),
        }
    }
}

/// The place of a delivery in the log of its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryCursor {
    created_at: DateTime<Utc>,
    event: Uuid,
}

impl fmt::Display for DeliveryCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.created_at.timestamp_micros(), self.event.simple())
    }
}

impl FromStr for DeliveryCursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (micros, event) = text.split_once('_').ok_or(())?;
        let created_at = micros.parse().ok().and_then(DateTime::from_timestamp_micros).ok_or(())?;
        Ok(Self { created_at, event: event.parse().map_err(drop)? })
    }
}

/// The event of a `webhook-id` in a path.
///
/// # Errors
/// Text that is no such id names nothing.
pub fn event_id(text: &str) -> Result<Uuid, Refusal> {
    body::event_of(text).ok_or(Refusal::NotFound("delivery"))
}

macro_rules! deliveries {
    ($db:ident, $which:literal, $endpoint:expr, $from:expr, $event:expr, $limit:expr) => {
        sqlx::query_as!(
            Delivery,
            r#"select 'evt_' || replace(d.event_id::text, '-', '') as "event_id!", v.kind, v.subject, v.at, d.state,
                      d.attempts, d.created_at, d.due_at, d.give_up_at, d.last_at, d.last_status, d.last_error, d.last_ms,
                      d.delivered_at
               from webhook_delivery d join webhook_event v on v.id = d.event_id
               where d.endpoint_id = $1 and "# + $which + r#"
                 and ($2::timestamptz is null or (d.created_at, d.event_id) < ($2, $3))
               order by d.created_at desc, d.event_id desc limit $4"#,
            $endpoint,
            $from,
            $event,
            $limit
        )
        .fetch_all($db)
        .await?
    };
}

/// A page of an endpoint's log, newest first.
///
/// # Errors
/// The database's.
pub async fn deliveries(
    db: impl PgExecutor<'_>,
    endpoint: Uuid,
    state: Option<DeliveryState>,
    after: Option<DeliveryCursor>,
    limit: u16,
) -> Result<Page<Delivery>, sqlx::Error> {
    let (from, event) = (after.map(|after| after.created_at), after.map(|after| after.event));
    let most = i64::from(limit) + 1;
    // A statement for each state: those of a few rows have an index of their own.
    let mut items = match state {
        None => deliveries!(db, "true", endpoint, from, event, most),
        Some(DeliveryState::Pending) => deliveries!(db, "d.state = 'pending'", endpoint, from, event, most),
        Some(DeliveryState::Delivered) => {
            deliveries!(db, "d.state = 'delivered'", endpoint, from, event, most)
        }
        Some(DeliveryState::Failed) => deliveries!(db, "d.state = 'failed'", endpoint, from, event, most),
    };
    let more = items.len() > usize::from(limit);
    items.truncate(limit.into());
    let cursor = |last: &Delivery| {
        let event = body::event_of(&last.event_id)?;
        Some(DeliveryCursor { created_at: last.created_at, event }.to_string())
    };
    let next = items.last().filter(|_| more).and_then(cursor);
    Ok(Page { items, next })
}

/// How many deliveries are sent again.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(rename = "WebhookRedelivery")]
pub struct Redelivered {
    /// How many.
    pub redelivered: i64,
    /// Whether more have failed: ask again for them.
    pub more: bool,
}

/// How a delivery stood before it was sent again.
#[derive(Clone, Debug)]
pub struct DeliveryBefore {
    /// Why its last attempt failed.
    pub last_error: Option<String>,
    /// When the receiver had it.
    pub delivered_at: Option<DateTime<Utc>>,
}

/// Sends an event again, in the caller's transaction: at once, and for as long as a new one. Returns how it
/// stood before, which its row does not keep. One that waits is made due now.
///
/// # Errors
/// No such delivery; a disabled endpoint; the database's.
pub async fn again(
    conn: &mut PgConnection,
    endpoint: Uuid,
    event: Uuid,
    give_up: Duration,
) -> Result<DeliveryBefore, Error> {
    require_enabled(&mut *conn, endpoint).await?;
    let before = sqlx::query_as!(
        DeliveryBefore,
        "with before as (
             select event_id, last_error, delivered_at from webhook_delivery
             where endpoint_id = $1 and event_id = $2 for update
         )
         update webhook_delivery d
         set state = 'pending', due_at = now(), give_up_at = now() + make_interval(secs => $3), attempts = 0,
             last_at = null, last_status = null, last_error = null, last_ms = null, delivered_at = null
         from before b where d.endpoint_id = $1 and d.event_id = b.event_id
         returning b.last_error, b.delivered_at",
        endpoint,
        event,
        give_up.as_secs_f64()
    )
    .fetch_optional(&mut *conn)
    .await?;
    let before = before.ok_or(Refusal::NotFound("delivery"))?;
    wake(conn, &[endpoint]).await?;
    Ok(before)
}

/// Sends the events again that were given up since then, the oldest first, at most [`MAX_AGAIN`], in the
/// caller's transaction.
///
/// # Errors
/// A disabled endpoint; the database's.
pub async fn again_all(
    conn: &mut PgConnection,
    endpoint: Uuid,
    since: Option<DateTime<Utc>>,
    give_up: Duration,
) -> Result<Redelivered, Error> {
    require_enabled(&mut *conn, endpoint).await?;
    let counted = sqlx::query!(
        r#"with failed as (
               select event_id from webhook_delivery
               where endpoint_id = $1 and state = 'failed' and ($2::timestamptz is null or created_at >= $2)
               order by created_at, event_id limit $4 for update
           ), sent as (
               update webhook_delivery d
               set state = 'pending', due_at = now(), give_up_at = now() + make_interval(secs => $3), attempts = 0,
                   last_at = null, last_status = null, last_error = null, last_ms = null
               from (select event_id from failed limit $5) as f
               where d.endpoint_id = $1 and d.event_id = f.event_id
               returning d.event_id
           )
           select (select count(*) from sent) as "sent!", (select count(*) from failed) as "found!""#,
        endpoint,
        since,
        give_up.as_secs_f64(),
        MAX_AGAIN + 1,
        MAX_AGAIN
    )
    .fetch_one(&mut *conn)
    .await?;
    wake(conn, &[endpoint]).await?;
    Ok(Redelivered { redelivered: counted.sent, more: counted.found > counted.sent })
}

async fn require_enabled(conn: &mut PgConnection, endpoint: Uuid) -> Result<(), Error> {
    let found = super::find(conn, endpoint).await?.ok_or(Refusal::NotFound("webhook"))?;
    if found.state == "enabled" {
        return Ok(());
    }
    Err(Refusal::Invalid(FieldError::new("id", "an enabled webhook: a disabled one is sent nothing")).into())
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", rfc3339(&self.created_at), self.event_id, self.kind, self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back() {
        let cursor = DeliveryCursor {
            created_at: DateTime::from_timestamp_micros(1_764_500_000_123_456).expect("a time"),
            event: Uuid::now_v7(),
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for other in
            ["", "1", "_", "1_", "x_0193fa1c2e7b7c3d9a41b6f0c8d2e511", "99999999999999999999_0193fa1c"]
        {
            assert!(other.parse::<DeliveryCursor>().is_err(), "{other}");
        }
    }
}
