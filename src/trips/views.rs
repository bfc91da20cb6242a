//! Trips in responses.

use super::prices::{self, ClassPrice, ClassPrices};
use crate::domain::{Currency, Error, FieldError, Money, Page, Refusal, TripId, wall};
use crate::network::bounds::MAX_DIRECTION;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{PgExecutor, PgPool, types::Json};
use std::str::FromStr;
use uuid::Uuid;

/// What the number of a direction is.
pub const DIRECTION_RULE: &str = "a whole number from 0 to 999";

/// Whether a direction may have this number.
pub fn is_direction(number: i16) -> bool {
    u16::try_from(number).is_ok_and(|number| number <= MAX_DIRECTION)
}

/// The route of a trip and its rules, as the trip's row has them.
#[derive(Clone, Debug, Default)]
pub struct TripRoute {
    /// Its code; `None` for a trip of no network.
    pub code: Option<String>,
    /// The departure that the trip was made of.
    pub departure: Option<i32>,
    /// When the network was imported beside which the row was read.
    pub imported_at: Option<DateTime<Utc>>,
    /// How long before departure booking ends, seconds; `None` for the settings' time.
    pub cut_off_secs: Option<i32>,
    /// How long before departure refunding ends, seconds; `None` for the settings' time.
    pub refund_secs: Option<i32>,
    /// How much a rider gets back, percent; `None` for all.
    pub refund_percent: Option<i16>,
}

/// A trip.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Trip {
    /// Its id.
    pub id: TripId,
    /// Its bus.
    pub bus_id: i32,
    /// The number of its direction.
    pub direction: i16,
    /// When it departs.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub departs_at: DateTime<Utc>,
    /// When it arrives.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub arrives_at: DateTime<Utc>,
    /// The price of one seat; the lowest, if classes cost differently.
    pub price: Money,
    /// The price of a seat of each class.
    pub prices: Vec<ClassPrice>,
    /// The currency of the price.
    pub currency: Currency,
    /// Seats of the bus.
    pub capacity: i32,
    /// Seats that can be booked: free, or held past their deadline.
    pub free_seats: i64,
    /// `scheduled`, `in_transit`, `arrived` or `cancelled`, by the clock.
    #[schemars(with = "crate::domain::words::TripStatus")]
    pub status: &'static str,
    /// Of a cancelled trip: what its operator says to riders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled_message: Option<String>,
    /// By which its journey is found, with the rules that it is sold by.
    #[serde(skip)]
    pub route: TripRoute,
}

/// The state of a trip, as a filter for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TripState {
    /// It has not departed.
    Open,
    /// It has departed, and may have arrived.
    Departed,
    /// It was cancelled.
    Cancelled,
}

impl TripState {
    /// All.
    pub const ALL: [Self; 3] = [Self::Open, Self::Departed, Self::Cancelled];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Departed => "departed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl FromStr for TripState {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let rule = || FieldError::new("state", Self::ALL.map(Self::as_str).join(", "));
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(rule)
    }
}

/// Which trips of a day; every given condition must hold.
#[derive(Clone, Debug, Default)]
pub struct TripQuery {
    /// In this direction.
    pub direction: Option<i16>,
    /// Of this route, by its code.
    pub route: Option<String>,
    /// Of this bus.
    pub bus_id: Option<i32>,
    /// In this state.
    pub state: Option<TripState>,
    /// Leaving after this one.
    pub after: Option<TripId>,
}

pub(super) struct TripRow {
    pub(super) id: Uuid,
    pub(super) bus_id: i32,
    pub(super) direction: i16,
    pub(super) departs_at: DateTime<Utc>,
    pub(super) arrives_at: DateTime<Utc>,
    pub(super) price: Decimal,
    pub(super) class_prices: Option<Json<ClassPrices>>,
    pub(super) capacity: i32,
    pub(super) free_seats: i64,
    pub(super) cancelled: bool,
    pub(super) cancelled_message: Option<String>,
    pub(super) now: DateTime<Utc>,
    pub(super) route: Option<String>,
    pub(super) departure: Option<i32>,
    pub(super) cut_off_secs: Option<i32>,
    pub(super) refund_secs: Option<i32>,
    pub(super) refund_percent: Option<i16>,
    pub(super) imported_at: Option<DateTime<Utc>>,
}

impl From<TripRow> for Trip {
    fn from(row: TripRow) -> Self {
        let status = match row.now {
            _ if row.cancelled => "cancelled",
            now if now < row.departs_at => "scheduled",
            now if now < row.arrives_at => "in_transit",
            _ => "arrived",
        };
        Self {
            id: TripId(row.id),
            bus_id: row.bus_id,
            direction: row.direction,
            departs_at: row.departs_at,
            arrives_at: row.arrives_at,
            price: Money::from_database(row.price),
            prices: prices::listed(row.price, row.class_prices.as_deref()),
            currency: Currency::installed(),
            capacity: row.capacity,
            free_seats: row.free_seats,
            status,
            cancelled_message: row.cancelled_message,
            route: TripRoute {
                code: row.route,
                departure: row.departure,
                imported_at: row.imported_at,
                cut_off_secs: row.cut_off_secs,
                refund_secs: row.refund_secs,
                refund_percent: row.refund_percent,
            },
        }
    }
}

/// A page of the trips that depart on a local date of `zone`, soonest first.
///
/// # Errors
/// [`TripQuery::after`] names no trip; the database's.
pub async fn search(
    pool: &PgPool,
    zone: Tz,
    day: NaiveDate,
    query: &TripQuery,
    limit: u16,
) -> Result<Page<Trip>, Error> {
    let mut items = find(pool, zone, day, query, i64::from(limit) + 1).await?;
    // An unknown trip as the cursor would look like the last page.
    if let (true, Some(after)) = (items.is_empty(), query.after)
        && !sqlx::query_scalar!(r#"select exists(select from trip where id = $1) as "known!""#, after.0)
            .fetch_one(pool)
            .await?
    {
        return Err(Refusal::Invalid(FieldError::new("after", "the `next` of the page before")).into());
    }
    let more = items.len() > usize::from(limit);
    items.truncate(limit.into());
    let next = items.last().filter(|_| more).map(|trip| trip.id.to_string());
    Ok(Page { items, next })
}

/// The index of departures bounds the rows to those of the day, whatever the other conditions are.
async fn find(
    db: impl PgExecutor<'_>,
    zone: Tz,
    day: NaiveDate,
    query: &TripQuery,
    limit: i64,
) -> Result<Vec<Trip>, sqlx::Error> {
    // The same rule as for departures: a midnight that occurs twice begins its day the first time.
    let bounds =
        wall::instant(zone, day, 0).zip(day.succ_opt().and_then(|next| wall::instant(zone, next, 0)));
    let Some((begins, ends)) = bounds else { return Ok(Vec::new()) };
    let rows = sqlx::query_as!(
        TripRow,
        r#"select t.id, t.bus_id, t.direction, t.departs_at, t.arrives_at, t.price,
                  t.class_prices as "class_prices: Json<ClassPrices>", t.capacity,
                  (select count(*) from seat s
                   where s.trip_id = t.id and seat_state(s.blocked, s.order_id, s.held_until) = 'f') as "free_seats!",
                  t.cancelled_at is not null as "cancelled!", now() as "now!",
                  case when t.cancelled_at is not null
                       then (select c.message from trip_cancellation c where c.trip_id = t.id) end as cancelled_message,
                  t.route, t.timetable_id as departure, t.cut_off_secs, t.refund_secs, t.refund_percent,
                  (select imported_at from network where is_there) as imported_at
           from trip t
           where t.departs_at >= $1 and t.departs_at < $2
             and ($3::smallint is null or t.direction = $3)
             and ($4::integer is null or t.bus_id = $4)
             and ($8::text is null or t.route = $8)
             and ($5::text is null or $5 = case when t.cancelled_at is not null then 'cancelled'
                                                when t.departs_at <= now() then 'departed' else 'open' end)
             and ($6::uuid is null or (t.departs_at, t.id) > (select a.departs_at, a.id from trip a where a.id = $6))
           order by t.departs_at, t.id limit $7"#,
        begins,
        ends,
        query.direction,
        query.bus_id,
        query.state.map(TripState::as_str),
        query.after.map(|trip| trip.0),
        limit,
        query.route.as_deref()
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Trip::from).collect())
}
