//! One order with its history and its evaluation, as its rider sees it.

use super::{Evaluation, OrderRow, OrderView};
use crate::domain::{OrderId, RiderId};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, types::Json};

/// An order and what has become of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OrderDetail {
    /// The order.
    #[serde(flatten)]
    pub order: OrderView,
    /// Its states so far, the first one first; at most one entry a state.
    pub history: Vec<StateChange>,
    /// What its rider thought of the trip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
}

/// A state an order came into.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StateChange {
    /// When.
    #[serde(serialize_with = "super::micros")]
    pub at: DateTime<Utc>,
    /// `unpaid`, `paid`, `refunding`, `refunded` or `closed`; `paying` is never stored, and so never here.
    pub status: String,
    /// Why.
    pub reason: String,
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
    let row = sqlx::query!(
        r#"select id as "id!", trip_id as "trip_id!", seats as "seats!", unit_price as "unit_price!", amount as "amount!",
                  status as "status!", created_at as "created_at!", expires_at as "expires_at!", paid_at, closed_reason,
                  (select coalesce(jsonb_agg(jsonb_build_object('at', e.at, 'status', e.status, 'reason', e.reason)
                                             order by e.at), '[]')
                   from order_history e where e.order_id = o.id) as "history!: Json<Vec<StateChange>>",
                  (select to_jsonb(v) from evaluation v where v.order_id = o.id) as "evaluation: Json<Evaluation>"
           from order_shown o where id = $1 and rider_id = $2"#,
        order.0,
        rider.0
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let order = OrderRow {
        id: row.id,
        trip_id: row.trip_id,
        seats: row.seats,
        unit_price: row.unit_price,
        amount: row.amount,
        status: row.status,
        created_at: row.created_at,
        expires_at: row.expires_at,
        paid_at: row.paid_at,
        closed_reason: row.closed_reason,
    };
    let (history, evaluation) = (row.history.0, row.evaluation.map(|json| json.0));
    Ok(Some(OrderDetail { order: order.try_into()?, history, evaluation }))
}
