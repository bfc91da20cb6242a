//! Trips as riders see them.

use crate::{
    domain::{FieldError, Money, RiderId, TripId, place_of},
    orders::Page,
};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor, PgPool};
use std::str::FromStr;
use uuid::Uuid;

/// The most trips one day shows.
const MOST_TRIPS: i64 = 500;

/// A trip in an answer.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Trip {
    /// Its id.
    pub id: TripId,
    /// Its bus.
    pub bus_id: i32,
    /// 0 or 1.
    pub direction: i16,
    /// When it leaves.
    #[serde(serialize_with = "crate::orders::micros")]
    pub departs_at: DateTime<Utc>,
    /// When it is there.
    #[serde(serialize_with = "crate::orders::micros")]
    pub arrives_at: DateTime<Utc>,
    /// Of one seat.
    pub price: Money,
    /// Seats of the bus.
    pub capacity: i32,
    /// Seats nobody holds.
    pub free_seats: i64,
    /// `scheduled`, `in_transit`, `arrived` or `cancelled`, by the clock.
    pub status: &'static str,
}

/// Where a trip stands, as operators look for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not left.
    Open,
    /// It has left, and may be there.
    Departed,
    /// It was cancelled, whenever it was to leave.
    Cancelled,
}

impl State {
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

impl FromStr for State {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let rule = || FieldError::new("state", Self::ALL.map(Self::as_str).join(", "));
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(rule)
    }
}

/// Which trips of a day; all that is given must fit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// In this direction.
    pub direction: Option<i16>,
    /// Of this bus.
    pub bus_id: Option<i32>,
    /// In this state.
    pub state: Option<State>,
    /// Leaving after this one.
    pub after: Option<TripId>,
}

/// A trip with its bus and each seat.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TripDetail {
    /// The trip.
    #[serde(flatten)]
    pub trip: Trip,
    /// Its bus.
    pub bus: Bus,
    /// Seats in a row, left and right of the aisle.
    pub layout: Layout,
    /// Each seat, ascending.
    pub seats: Vec<Seat>,
}

/// How the seats stand in the bus.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Layout {
    /// Rows.
    pub rows: i32,
    /// Seats left of the aisle.
    pub left: i32,
    /// Seats right of the aisle.
    pub right: i32,
}

/// A bus and who drives it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Bus {
    /// Its number.
    pub id: i32,
    /// The driver.
    pub driver_name: String,
    /// The driver's phone.
    pub driver_phone: String,
}

/// A seat in the map.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Seat {
    /// Its label.
    pub seat: String,
    /// From the front, from 1.
    pub row: i32,
    /// `left` or `right` of the aisle.
    pub side: &'static str,
    /// `free`, `held`, `sold`, `mine` or `blocked`.
    pub state: &'static str,
}

struct TripRow {
    id: Uuid,
    bus_id: i32,
    direction: i16,
    departs_at: DateTime<Utc>,
    arrives_at: DateTime<Utc>,
    price: Decimal,
    capacity: i32,
    free_seats: i64,
    cancelled: bool,
    now: DateTime<Utc>,
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
            capacity: row.capacity,
            free_seats: row.free_seats,
            status,
        }
    }
}

/// The trips that depart on a local date of `zone`, in one direction or both, soonest first.
///
/// # Errors
/// The database's.
pub async fn of_day(
    pool: &PgPool,
    zone: Tz,
    day: NaiveDate,
    direction: Option<i16>,
) -> Result<Vec<Trip>, sqlx::Error> {
    find(pool, zone, day, &Wanted { direction, ..Wanted::default() }, MOST_TRIPS).await
}

/// A page of the trips that depart on a local date of `zone`, soonest first.
///
/// # Errors
/// The database's.
pub async fn search(
    pool: &PgPool,
    zone: Tz,
    day: NaiveDate,
    wanted: &Wanted,
    limit: u16,
) -> Result<Page<Trip>, sqlx::Error> {
    let mut items = find(pool, zone, day, wanted, i64::from(limit) + 1).await?;
    let more = items.len() > usize::from(limit);
    items.truncate(limit.into());
    let next = items.last().filter(|_| more).map(|trip| trip.id.to_string());
    Ok(Page { items, next })
}

/// The day bounds what is looked at, by the index of departures, whatever else is asked.
async fn find(
    db: impl PgExecutor<'_>,
    zone: Tz,
    day: NaiveDate,
    wanted: &Wanted,
    limit: i64,
) -> Result<Vec<Trip>, sqlx::Error> {
    let rows = sqlx::query_as!(
        TripRow,
        r#"select t.id, t.bus_id, t.direction, t.departs_at, t.arrives_at, t.price, t.capacity,
                  (select count(*) from seat s where s.trip_id = t.id and s.order_id is null and not s.blocked) as "free_seats!",
                  t.cancelled_at is not null as "cancelled!", now() as "now!"
           from trip t
           where t.departs_at >= ($1::date)::timestamp at time zone $2
             and t.departs_at < ($1::date + 1)::timestamp at time zone $2
             and ($3::smallint is null or t.direction = $3)
             and ($4::integer is null or t.bus_id = $4)
             and ($5::text is null or $5 = case when t.cancelled_at is not null then 'cancelled'
                                                when t.departs_at <= now() then 'departed' else 'open' end)
             and ($6::uuid is null or (t.departs_at, t.id) > (select a.departs_at, a.id from trip a where a.id = $6))
           order by t.departs_at, t.id limit $7"#,
        day,
        zone.name(),
        wanted.direction,
        wanted.bus_id,
        wanted.state.map(State::as_str),
        wanted.after.map(|trip| trip.0),
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Trip::from).collect())
}

/// One trip with its seats as `viewer` sees them.
///
/// # Errors
/// The database's.
pub async fn detail(
    conn: &mut PgConnection,
    trip: TripId,
    viewer: Option<RiderId>,
) -> Result<Option<TripDetail>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select t.id, t.bus_id, t.direction, t.departs_at, t.arrives_at, t.price, t.capacity,
                  t.cancelled_at is not null as "cancelled!", now() as "now!", b.driver_name, b.driver_phone
           from trip t join bus b on b.id = t.bus_id where t.id = $1"#,
        trip.0
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let seats = seats(conn, trip, viewer).await?;
    let free = seats.iter().filter(|seat| seat.state == "free").count();
    let bus = Bus { id: row.bus_id, driver_name: row.driver_name, driver_phone: row.driver_phone };
    let (rows, _) = place_of(row.capacity);
    let trip = Trip::from(TripRow {
        id: row.id,
        bus_id: row.bus_id,
        direction: row.direction,
        departs_at: row.departs_at,
        arrives_at: row.arrives_at,
        price: row.price,
        capacity: row.capacity,
        free_seats: i64::try_from(free).unwrap_or(i64::MAX),
        cancelled: row.cancelled,
        now: row.now,
    });
    Ok(Some(TripDetail { trip, bus, layout: Layout { rows, left: 2, right: 2 }, seats }))
}

async fn seats(
    conn: &mut PgConnection,
    trip: TripId,
    viewer: Option<RiderId>,
) -> Result<Vec<Seat>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select s.seat, s.blocked, s.order_id is not null as "owned!",
                  coalesce(o.status not in ('unpaid', 'closed'), false) as "sold!",
                  coalesce(o.rider_id = $2, false) as "mine!"
           from seat s left join orders o on o.id = s.order_id
           where s.trip_id = $1 order by s.seat"#,
        trip.0,
        viewer.map(|v| v.0)
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let (place, side) = place_of(row.seat);
            let state = match (row.owned, row.mine, row.sold) {
                _ if row.blocked => "blocked",
                (false, ..) => "free",
                (true, true, _) => "mine",
                (true, false, true) => "sold",
                (true, false, false) => "held",
            };
            Seat { seat: row.seat.to_string(), row: place, side, state }
        })
        .collect())
}
