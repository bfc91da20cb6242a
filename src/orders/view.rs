//! An order as a response shows it.

use crate::domain::{Currency, Money, OrderId, OrderStatus, TripId};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

// The fields stand in alphabetical order, so that a replay from the database, whose objects have that
// order too, has the same text.
/// An order.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OrderView {
    /// The sum of the seats' prices.
    pub amount: Money,
    /// Why it was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::domain::words::ClosedReason>")]
    pub closed_reason: Option<String>,
    /// When the seats were claimed.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub created_at: DateTime<Utc>,
    /// The currency of the amounts.
    pub currency: Currency,
    /// Until when it must be paid.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub expires_at: DateTime<Utc>,
    /// Its id.
    pub id: OrderId,
    /// When it was paid.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::domain::json::some_micros")]
    pub paid_at: Option<DateTime<Utc>>,
    /// What each of the seats costs, in their order; absent if they cost the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices: Option<Vec<Money>>,
    /// Seat labels, in the order of the bus.
    pub seats: Vec<String>,
    /// Its state.
    pub status: OrderStatus,
    /// The trip.
    pub trip_id: TripId,
    /// The price of one seat; null if they cost differently.
    pub unit_price: Option<Money>,
}

impl OrderView {
    /// The body of a response that is stored.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// A row of [`OrderView`], before its words are parsed.
pub(crate) struct OrderRow {
    pub(crate) id: Uuid,
    pub(crate) trip_id: Uuid,
    pub(crate) seats: Vec<i32>,
    pub(crate) labels: Option<Vec<String>>,
    pub(crate) unit_price: Option<Decimal>,
    pub(crate) prices: Option<Vec<Decimal>>,
    pub(crate) amount: Decimal,
    pub(crate) status: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) paid_at: Option<DateTime<Utc>>,
    pub(crate) closed_reason: Option<String>,
}

/// `sqlx::query_as!`, or `query!` without a type, of rows with the columns of an order, which is `o`. Its
/// arguments are the columns after these, the rest of the statement, and the statement's arguments.
macro_rules! query_orders {
    ($row:ident: $more:literal, $rest:literal, $($argument:tt)*) => {
        $crate::orders::query_orders!(query_as ($row,) $more, $rest, $($argument)*)
    };
    ($more:literal, $rest:literal, $($argument:tt)*) => {
        $crate::orders::query_orders!(query () $more, $rest, $($argument)*)
    };
    ($query:ident ($($row:tt)*) $more:literal, $rest:literal, $($argument:tt)*) => {
        sqlx::$query!(
            $($row)*
            r#"select o.id as "id!", o.trip_id as "trip_id!", o.seats as "seats!",
                      o.labels, o.unit_price, o.prices as "prices: Vec<rust_decimal::Decimal>", o.amount as "amount!", o.status as "status!",
                      o.created_at as "created_at!", o.expires_at as "expires_at!", o.paid_at,
                      o.closed_reason"# + $more + $rest,
            $($argument)*
        )
    };
}
pub(crate) use query_orders;

/// The [`OrderRow`] of a row that has its fields among others.
macro_rules! order_row {
    ($row:ident) => {
        $crate::orders::OrderRow {
            id: $row.id,
            trip_id: $row.trip_id,
            seats: $row.seats,
            labels: $row.labels,
            unit_price: $row.unit_price,
            prices: $row.prices,
            amount: $row.amount,
            status: $row.status,
            created_at: $row.created_at,
            expires_at: $row.expires_at,
            paid_at: $row.paid_at,
            closed_reason: $row.closed_reason,
        }
    };
}
pub(crate) use order_row;

impl TryFrom<OrderRow> for OrderView {
    type Error = sqlx::Error;

    fn try_from(row: OrderRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: OrderId(row.id),
            trip_id: TripId(row.trip_id),
            seats: labels_of(row.labels, &row.seats),
            unit_price: row.unit_price.map(Money::from_database),
            prices: row.prices.map(prices_of),
            amount: Money::from_database(row.amount),
            status: read_status(&row.status)?,
            created_at: row.created_at,
            currency: Currency::installed(),
            expires_at: row.expires_at,
            paid_at: row.paid_at,
            closed_reason: row.closed_reason,
        })
    }
}

/// The labels of an order's seats; the numbers of seats that have no others.
pub(crate) fn labels_of(labels: Option<Vec<String>>, numbers: &[i32]) -> Vec<String> {
    labels.unwrap_or_else(|| numbers.iter().map(ToString::to_string).collect())
}

/// The prices of an order's seats.
pub(crate) fn prices_of(prices: Vec<Decimal>) -> Vec<Money> {
    prices.into_iter().map(Money::from_database).collect()
}

/// Parses an order's state as SQL writes it.
pub(crate) fn read_status(text: &str) -> Result<OrderStatus, sqlx::Error> {
    text.parse().map_err(|error: String| sqlx::Error::Decode(error.into()))
}
