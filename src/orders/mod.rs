//! Orders as their riders see them, and the one place that reads an order's row.

mod detail;
mod evaluation;
pub mod jobs;
mod list;
pub mod pending;
pub mod search;
pub mod snapshot;
mod timeline;

pub use detail::{OrderDetail, StateChange, detail};
pub use evaluation::{Evaluation, NewEvaluation, evaluate};
pub use list::{List, ListedOrder, Ride, list};
pub use timeline::{Event, MOST_EVENTS, timeline};

use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    domain::{Money, OrderId, OrderStatus, RiderId, TripId},
    idempotency::IdempotencyKey,
    saga::SagaContext,
};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use std::collections::HashMap;
use uuid::Uuid;

/// What a rider asks of an order of his: to cancel it, or to give it back.
#[derive(Clone, Debug)]
pub struct Command {
    /// This very request; what its idempotency key is taken for.
    pub attempt: Uuid,
    /// Which order.
    pub order_id: OrderId,
    /// Who asks.
    pub rider_id: RiderId,
    /// The client's idempotency key.
    pub key: Option<IdempotencyKey>,
}

/// An order in an answer. The fields stand in the alphabet's order, so that a replay from the database, whose objects are
/// told in that order too, has the same text.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OrderView {
    /// Unit price times seats.
    pub amount: Money,
    /// Why it was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_reason: Option<String>,
    /// When the seats were claimed.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub created_at: DateTime<Utc>,
    /// Until when it must be paid.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub expires_at: DateTime<Utc>,
    /// Its id.
    pub id: OrderId,
    /// When it was paid.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub paid_at: Option<DateTime<Utc>>,
    /// Seat labels, ascending.
    pub seats: Vec<String>,
    /// Where it stands.
    pub status: OrderStatus,
    /// The trip.
    pub trip_id: TripId,
    /// The price of one seat.
    pub unit_price: Money,
}

impl OrderView {
    /// The body of an answer that is kept.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// A row of [`OrderView`], before its words are read.
pub(crate) struct OrderRow {
    pub(crate) id: Uuid,
    pub(crate) trip_id: Uuid,
    pub(crate) seats: Vec<i32>,
    pub(crate) unit_price: Decimal,
    pub(crate) amount: Decimal,
    pub(crate) status: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) paid_at: Option<DateTime<Utc>>,
    pub(crate) closed_reason: Option<String>,
}

impl TryFrom<OrderRow> for OrderView {
    type Error = sqlx::Error;

    fn try_from(row: OrderRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: OrderId(row.id),
            trip_id: TripId(row.trip_id),
            seats: row.seats.iter().map(ToString::to_string).collect(),
            unit_price: Money::from_database(row.unit_price),
            amount: Money::from_database(row.amount),
            status: read_status(&row.status)?,
            created_at: row.created_at,
            expires_at: row.expires_at,
            paid_at: row.paid_at,
            closed_reason: row.closed_reason,
        })
    }
}

fn read_status(text: &str) -> Result<OrderStatus, sqlx::Error> {
    text.parse().map_err(|error: String| sqlx::Error::Decode(error.into()))
}

/// The order, if it is this rider's (or anybody's, for `None`).
///
/// # Errors
/// The database's.
pub async fn find(
    db: impl PgExecutor<'_>,
    order: OrderId,
    rider: Option<RiderId>,
) -> Result<Option<OrderView>, sqlx::Error> {
    let row = sqlx::query_as!(
        OrderRow,
        r#"select id as "id!", trip_id as "trip_id!", seats as "seats!", unit_price as "unit_price!", amount as "amount!",
                  status as "status!", created_at as "created_at!", expires_at as "expires_at!", paid_at, closed_reason
           from order_shown where id = $1 and ($2::uuid is null or rider_id = $2)"#,
        order.0,
        rider.map(|r| r.0)
    )
    .fetch_optional(db)
    .await?;
    row.map(OrderView::try_from).transpose()
}

/// The rider's order, looked up together with whoever looks for one meanwhile.
///
/// # Errors
/// The database's.
pub async fn find_together(
    saga: &SagaContext,
    order: OrderId,
    rider: RiderId,
) -> Result<Option<OrderView>, sqlx::Error> {
    let row = saga.batchers.ask::<Finds>((order.0, rider.0)).await?;
    row.map(OrderView::try_from).transpose()
}

/// [`find`]'s statement, for any number of orders.
struct Finds;

impl BatchStatement for Finds {
    type BatchContext = BatchContext;
    /// The order, and whose it should be.
    type Ask = (Uuid, Uuid);
    type Answer = Option<OrderRow>;

    /// So that a row's order says whose it is.
    fn shared(ask: &(Uuid, Uuid)) -> Vec<ConflictKey> {
        vec![ConflictKey::Order(ask.0)]
    }

    async fn ask_all(
        ground: &BatchContext,
        asks: &[(Uuid, Uuid)],
    ) -> Result<Vec<Option<OrderRow>>, sqlx::Error> {
        let mut db = ground.db.take().await?;
        let (orders, riders): (Vec<_>, Vec<_>) = asks.iter().copied().unzip();
        let rows = sqlx::query_as!(
            OrderRow,
            r#"select o.id as "id!", o.trip_id as "trip_id!", o.seats as "seats!", o.unit_price as "unit_price!",
                      o.amount as "amount!", o.status as "status!", o.created_at as "created_at!",
                      o.expires_at as "expires_at!", o.paid_at, o.closed_reason
               from unnest($1::uuid[], $2::uuid[]) as r (order_id, rider_id)
               cross join lateral (select * from order_shown where id = r.order_id and rider_id = r.rider_id offset 0) as o"#,
            &orders,
            &riders,
        )
        .fetch_all(&mut *db)
        .await?;
        db.keep();
        let mut found: HashMap<Uuid, OrderRow> = rows.into_iter().map(|row| (row.id, row)).collect();
        Ok(asks.iter().map(|(order, _)| found.remove(order)).collect())
    }
}

/// What the request was told that booked this order, or made this payment: the order as it was then. None of its fields but those
/// that are written here ever changes.
///
/// # Errors
/// The database's.
pub async fn told(db: impl PgExecutor<'_>, subject: Uuid) -> Result<Option<OrderView>, sqlx::Error> {
    let row = sqlx::query_as!(
        OrderRow,
        r#"select id as "id!", trip_id as "trip_id!", seats as "seats!", unit_price as "unit_price!", amount as "amount!",
                  'unpaid' as "status!", created_at as "created_at!", expires_at as "expires_at!",
                  null::timestamptz as paid_at, null as closed_reason
           from orders where id = $1
           union all
           select o.id, o.trip_id, o.seats, o.unit_price, o.amount, 'paid', o.created_at, o.expires_at, o.paid_at, null
           from payment p join orders o on o.id = p.order_id and o.payment_id = p.id
           where p.id = $1"#,
        subject
    )
    .fetch_optional(db)
    .await?;
    row.map(OrderView::try_from).transpose()
}

/// Locks the order's row and tells its stored state, for an undo to decide by.
///
/// # Errors
/// The database's.
pub async fn lock_status(
    conn: &mut PgConnection,
    order: OrderId,
) -> Result<Option<OrderStatus>, sqlx::Error> {
    let status = sqlx::query_scalar!("select status from orders where id = $1 for update", order.0)
        .fetch_optional(conn)
        .await?;
    status.as_deref().map(read_status).transpose()
}
