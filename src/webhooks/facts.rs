//! What an event says of its subject: ids, amounts and states, and nothing about a person.

use crate::{
    domain::{Currency, Money, OrderStatus},
    orders::labels_of,
};
use chrono::{DateTime, Utc};
use farebox_jobs::{EventKind, MqTag, WebhookEvent};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, to_value};
use sqlx::PgConnection;
use uuid::Uuid;

/// `data` of `hold.expired`, `order.paid` and `order.refunded`: the order as the change left it, even if more
/// has happened to it since.
#[derive(Serialize, JsonSchema)]
pub struct OrderData {
    /// The order.
    order_id: Uuid,
    /// Its trip.
    trip_id: Uuid,
    /// The labels of its seats.
    seats: Vec<String>,
    /// `closed`, `paid` or `refunded`.
    status: OrderStatus,
    /// The sum of the seats' prices.
    amount: Money,
    /// The currency of the amounts.
    currency: Currency,
    /// Of `order.refunded`: what was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<Money>,
    /// Of `order.refunded`: what was given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    refunded: Option<Money>,
    /// Of `order.paid`: when.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    paid_at: Option<DateTime<Utc>>,
    /// Of the others: when.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    closed_at: Option<DateTime<Utc>>,
}

/// `data` of `trip.cancelled`. The reason is an operator's text, and may name people: it stays inside.
#[derive(Serialize, JsonSchema)]
pub struct TripData {
    /// The trip.
    trip_id: Uuid,
    /// When it would have left.
    #[serde(serialize_with = "crate::domain::json::micros")]
    departs_at: DateTime<Utc>,
    /// When it was cancelled. Its orders end one by one after that.
    #[serde(serialize_with = "crate::domain::json::some_micros")]
    cancelled_at: Option<DateTime<Utc>>,
}

/// `data` of `rollback.done` and `rollback.failed`.
#[derive(Serialize, JsonSchema)]
pub struct RollbackData {
    /// The undo's job.
    job_id: Uuid,
    /// The tag of the step that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    /// The order, which may never have been added.
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<String>,
    /// Of a step of paying: the payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<String>,
    /// What the undo has done, in words; of `rollback.failed` why it was given up: `exhausted`, `fatal`,
    /// `undecodable`, `operator` or `crashed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
}

/// The field `data` of the event's body; none if its subject is not there, which no change leaves behind.
///
/// # Errors
/// The database's.
pub(super) async fn data(
    conn: &mut PgConnection,
    event: &WebhookEvent,
) -> Result<Option<Value>, sqlx::Error> {
    let data = match event.kind() {
        EventKind::HoldExpired | EventKind::OrderPaid | EventKind::OrderRefunded => {
            of_order(conn, event.subject(), event.kind()).await?.map(to_value)
        }
        EventKind::TripCancelled => of_trip(conn, event.subject()).await?.map(to_value),
        EventKind::RollbackDone | EventKind::RollbackFailed => Some(to_value(of_rollback(event))),
    };
    data.transpose().map_err(|error| sqlx::Error::Encode(error.into()))
}

async fn of_order(
    conn: &mut PgConnection,
    order: Uuid,
    kind: EventKind,
) -> Result<Option<OrderData>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select o.trip_id, o.seats, o.labels, o.amount, o.paid_at, o.closed_at,
                  coalesce(o.refund_fee, 0) as "fee!"
           from orders o where o.id = $1"#,
        order
    )
    .fetch_optional(conn)
    .await?;
    let (is_paid, is_refunded) = (kind == EventKind::OrderPaid, kind == EventKind::OrderRefunded);
    Ok(row.map(|row| OrderData {
        order_id: order,
        trip_id: row.trip_id,
        seats: labels_of(row.labels, &row.seats),
        status: match kind {
            EventKind::OrderPaid => OrderStatus::Paid,
            EventKind::OrderRefunded => OrderStatus::Refunded,
            _ => OrderStatus::Closed,
        },
        amount: Money::from_database(row.amount),
        currency: Currency::installed(),
        fee: is_refunded.then(|| Money::from_database(row.fee)),
        refunded: is_refunded.then(|| Money::from_database(row.amount - row.fee)),
        paid_at: row.paid_at.filter(|_| is_paid),
        closed_at: row.closed_at.filter(|_| !is_paid),
    }))
}

async fn of_trip(conn: &mut PgConnection, trip: Uuid) -> Result<Option<TripData>, sqlx::Error> {
    sqlx::query_as!(TripData, "select id as trip_id, departs_at, cancelled_at from trip where id = $1", trip)
        .fetch_optional(conn)
        .await
}

/// The undo's job with what only the change knew. The key of an undo of paying is its payment's id.
fn of_rollback(event: &WebhookEvent) -> RollbackData {
    let fact = |name: &str| event.facts().get(name).and_then(Value::as_str).map(str::to_owned);
    let tag = fact("tag");
    let is_paying = MqTag::PAYING.iter().any(|step| Some(step.wire()) == tag.as_deref());
    RollbackData {
        job_id: event.subject(),
        payment_id: fact("key").filter(|_| is_paying),
        order_id: fact("order_id"),
        result: fact("result"),
        tag,
    }
}
