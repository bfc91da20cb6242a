//! One order with its history and its evaluation, as its rider sees it.

use super::{Evaluation, ListedOrder, list::ride, order_row, query_orders};
use crate::domain::{Money, OrderId, RiderId};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use sqlx::{PgPool, types::Json};

/// An order and what has become of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OrderDetail {
    /// The order.
    #[serde(flatten)]
    pub order: ListedOrder,
    /// Its states so far, the first one first; at most one entry a state.
    pub history: Vec<StateChange>,
    /// What changes of the timetable changed for it, the first one first.
    pub changes: Vec<TripChange>,
    /// The payments for it, the first one first: also those that failed, and were given back.
    pub payments: Vec<OrderPayment>,
    /// What its rider thought of the trip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
}

/// A state an order came into.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StateChange {
    /// When.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub at: DateTime<Utc>,
    /// `unpaid`, `paid`, `refunding`, `refunded` or `closed`; `paying` is never stored, and so never here.
    #[schemars(with = "crate::domain::OrderStatus")]
    pub status: String,
    /// Why, in a word or in words: `booked`, `paid`, `expired` and others.
    pub reason: String,
}

/// What a change of the timetable changed for an order.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "OrderChange")]
pub struct TripChange {
    /// When.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub at: DateTime<Utc>,
    /// What, in words.
    pub what: String,
}

/// A payment for an order.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "OrderPayment")]
pub struct OrderPayment {
    /// What was debited.
    #[serde(deserialize_with = "stored")]
    pub amount: Money,
    /// When it came into its state.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub at: DateTime<Utc>,
    /// Where its money is.
    #[schemars(with = "crate::domain::words::OrderPaymentState")]
    pub state: String,
}

/// An amount as it is stored, with more decimals than its currency has.
fn stored<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
    String::deserialize(deserializer)?.parse().map(Money::from_database).map_err(serde::de::Error::custom)
}

/// The rider's order with its history.
///
/// # Errors
/// The database's.
pub async fn detail(
    pool: &PgPool,
    order: OrderId,
    rider: RiderId,
) -> Result<Option<OrderDetail>, sqlx::Error> {
    let row = query_orders!(
        r#", t.bus_id, t.direction, t.departs_at, t.arrives_at, t.route, o.refund_secs, o.refund_fee,
           coalesce(o.refund_percent, 100::smallint) as "refund_percent!",
           case when t.cancelled_at is not null
                then (select c.message from trip_cancellation c where c.trip_id = t.id) end as cancelled_message,
           (select imported_at from network where is_there) as imported_at,
           (select coalesce(jsonb_agg(jsonb_build_object('at', e.at, 'status', e.status, 'reason', e.reason)
                                      order by e.at), '[]')
            from order_history e where e.order_id = o.id) as "history!: Json<Vec<StateChange>>",
           (select coalesce(jsonb_agg(jsonb_build_object('at', c.at, 'what', c.what) order by c.at), '[]')
            from order_change c where c.order_id = o.id) as "changes!: Json<Vec<TripChange>>",
           (select coalesce(jsonb_agg(jsonb_build_object('at', p.changed_at, 'state', p.state, 'amount', p.amount::text)
                                      order by p.created_at, p.id), '[]')
            from payment p where p.order_id = o.id) as "payments!: Json<Vec<OrderPayment>>",
           (select to_jsonb(v) from evaluation v where v.order_id = o.id) as "evaluation: Json<Evaluation>""#,
        " from order_shown o join trip t on t.id = o.trip_id where o.id = $1 and o.rider_id = $2",
        order.0,
        rider.0
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let ride = ride!(row);
    let (history, changes, payments) = (row.history.0, row.changes.0, row.payments.0);
    let evaluation = row.evaluation.map(|json| json.0);
    let order = ListedOrder { order: order_row!(row).try_into()?, ride };
    Ok(Some(OrderDetail { order, history, changes, payments, evaluation }))
}
