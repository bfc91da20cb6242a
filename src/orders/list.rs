//! The lists of orders a rider sees, in pages, each in the order that its reader needs.

use super::{OrderView, order_row, query_orders};
use crate::domain::{Error, FieldError, Money, OrderId, Page, Refusal, RiderId};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use uuid::Uuid;

// The view `order_listed` says on which list an order is.
/// Which of a rider's orders. But for `all`, each order is on exactly one list at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "OrderList")]
pub enum List {
    /// Every one, newest first.
    #[default]
    All,
    /// Neither paid nor closed; the one that must be paid soonest first.
    Unpaid,
    /// Paid, not departed; the next departure first.
    Upcoming,
    /// Paid, departed, not evaluated; the last departure first.
    ToEvaluate,
    /// Paid, departed, evaluated; the last departure first.
    Evaluated,
    /// Closed, refunded, or about to be: refunding, and paid for a trip that was cancelled; newest first.
    Closed,
}

impl List {
    /// Its name in `order_listed`; `None` for all.
    fn name(self) -> Option<&'static str> {
        match self {
            Self::All => None,
            Self::Unpaid => Some("unpaid"),
            Self::Upcoming => Some("upcoming"),
            Self::ToEvaluate => Some("to_evaluate"),
            Self::Evaluated => Some("evaluated"),
            Self::Closed => Some("closed"),
        }
    }
}

/// An order on a list, with what its rider needs to know of the trip.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ListedOrder {
    /// The order.
    #[serde(flatten)]
    pub order: OrderView,
    /// Its trip.
    #[serde(flatten)]
    pub ride: Ride,
}

/// When and with which bus an order's trip goes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Ride {
    /// The bus.
    pub bus_id: i32,
    /// The number of its direction.
    pub direction: i16,
    /// When the trip leaves.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub departs_at: DateTime<Utc>,
    /// When the trip is there.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub arrives_at: DateTime<Utc>,
    /// How much of the amount a refund gives back, percent.
    pub refund_percent: i16,
    /// What a refund has kept of the amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund_fee: Option<Money>,
    /// Of a cancelled trip: what its operator says to riders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled_message: Option<String>,
    /// The code of the trip's route; `None` for a trip of no network.
    #[serde(skip)]
    pub route: Option<String>,
    /// How long before departure refunding ends, seconds; `None` for the settings' time.
    #[serde(skip)]
    pub refund_secs: Option<i32>,
    /// When the network was imported that the row was read beside.
    #[serde(skip)]
    pub imported_at: Option<DateTime<Utc>>,
}

/// Makes the [`Ride`] of a row that has its columns among others.
macro_rules! ride {
    ($row:ident) => {
        $crate::orders::Ride {
            bus_id: $row.bus_id,
            direction: $row.direction,
            departs_at: $row.departs_at,
            arrives_at: $row.arrives_at,
            refund_percent: $row.refund_percent,
            refund_fee: $row.refund_fee.map($crate::domain::Money::from_database),
            cancelled_message: $row.cancelled_message,
            route: $row.route,
            refund_secs: $row.refund_secs,
            imported_at: $row.imported_at,
        }
    };
}
pub(super) use ride;

/// A row of [`ListedOrder`], before its words are read.
struct ListedRow {
    id: Uuid,
    trip_id: Uuid,
    seats: Vec<i32>,
    labels: Option<Vec<String>>,
    unit_price: Option<Decimal>,
    prices: Option<Vec<Decimal>>,
    amount: Decimal,
    status: String,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    paid_at: Option<DateTime<Utc>>,
    closed_reason: Option<String>,
    bus_id: i32,
    direction: i16,
    departs_at: DateTime<Utc>,
    arrives_at: DateTime<Utc>,
    refund_percent: i16,
    refund_fee: Option<Decimal>,
    cancelled_message: Option<String>,
    route: Option<String>,
    refund_secs: Option<i32>,
    imported_at: Option<DateTime<Utc>>,
}

impl TryFrom<ListedRow> for ListedOrder {
    type Error = sqlx::Error;

    fn try_from(row: ListedRow) -> Result<Self, sqlx::Error> {
        let ride = ride!(row);
        Ok(Self { order: order_row!(row).try_into()?, ride })
    }
}

/// A page of the rider's orders: at most `limit`, those that come after order `after` on this list. A
/// list that is in the order of time stays so under equal times: their orders' ids decide. The place of
/// `after` is read off its own deadline or departure, which never change, so it is one even if that
/// order has left the list meanwhile.
///
/// # Errors
/// `after` is no order of the rider's, on a list by time; the database's.
pub async fn list(
    pool: &PgPool,
    rider: RiderId,
    list: List,
    after: Option<OrderId>,
    limit: u16,
) -> Result<Page<ListedOrder>, Error> {
    let most = i64::from(limit) + 1;
    let rows = match list {
        List::All | List::Closed => newest(pool, rider, list, after, most).await?,
        List::Unpaid | List::Upcoming => by_time(pool, rider, list, 1, after, most).await?,
        List::ToEvaluate | List::Evaluated => by_time(pool, rider, list, -1, after, most).await?,
    };
    // Ids alone have a place among the newest; on a list by time only an order of the rider's has one.
    let by_id = matches!(list, List::All | List::Closed);
    if let (true, false, Some(after)) = (rows.is_empty(), by_id, after)
        && !is_own(pool, rider, after).await?
    {
        return Err(Refusal::Invalid(FieldError::new("after", "the `next` of the page before")).into());
    }
    let more = rows.len() > usize::from(limit);
    let items =
        rows.into_iter().take(limit.into()).map(ListedOrder::try_from).collect::<Result<Vec<_>, _>>()?;
    let next = items.last().filter(|_| more).map(|listed| listed.order.id.to_string());
    Ok(Page { items, next })
}

/// By the index of a rider's orders, however many there are.
async fn newest(
    pool: &PgPool,
    rider: RiderId,
    list: List,
    after: Option<OrderId>,
    most: i64,
) -> Result<Vec<ListedRow>, sqlx::Error> {
    query_orders!(
        ListedRow: ", t.bus_id, t.direction, t.departs_at, t.arrives_at, t.route, o.refund_secs, o.refund_fee,
           coalesce(o.refund_percent, 100::smallint) as \"refund_percent!\",
           case when t.cancelled_at is not null
                then (select c.message from trip_cancellation c where c.trip_id = t.id) end as cancelled_message,
           (select imported_at from network where is_there) as imported_at",
        " from order_listed o join trip t on t.id = o.trip_id
           where o.rider_id = $1 and ($2::text is null or o.list = $2) and ($3::uuid is null or o.id < $3)
           order by o.id desc limit $4",
        rider.0,
        list.name(),
        after.map(|o| o.0),
        most
    )
    .fetch_all(pool)
    .await
}

/// By deadline (unpaid orders) or departure, ascending for a sign of 1 and descending for -1. Sorts what
/// is on the list: a rider's own orders are few.
async fn by_time(
    pool: &PgPool,
    rider: RiderId,
    list: List,
    sign: i16,
    after: Option<OrderId>,
    most: i64,
) -> Result<Vec<ListedRow>, sqlx::Error> {
    query_orders!(
        ListedRow: ", t.bus_id, t.direction, t.departs_at, t.arrives_at, t.route, o.refund_secs, o.refund_fee,
           coalesce(o.refund_percent, 100::smallint) as \"refund_percent!\",
           case when t.cancelled_at is not null
                then (select c.message from trip_cancellation c where c.trip_id = t.id) end as cancelled_message,
           (select imported_at from network where is_there) as imported_at",
        " from order_listed o join trip t on t.id = o.trip_id
           cross join lateral (
               select $3::smallint * extract(epoch
                   from case when $2 = 'unpaid' then o.expires_at else t.departs_at end) as at
           ) as place
           where o.rider_id = $1 and o.list = $2
             and ($4::uuid is null or (place.at, o.id) > (
                 select $3::smallint * extract(epoch
                     from case when $2 = 'unpaid' then p.expires_at else b.departs_at end), p.id
                 from orders p join trip b on b.id = p.trip_id where p.id = $4 and p.rider_id = $1))
           order by place.at, o.id limit $5",
        rider.0,
        list.name(),
        sign,
        after.map(|o| o.0),
        most
    )
    .fetch_all(pool)
    .await
}

async fn is_own(pool: &PgPool, rider: RiderId, order: OrderId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists(select from orders where id = $1 and rider_id = $2) as "is_own!""#,
        order.0,
        rider.0
    )
    .fetch_one(pool)
    .await
}
