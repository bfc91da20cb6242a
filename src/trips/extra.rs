//! Extra trips, which operators add beside the timetable's.

use crate::domain::{Error, FieldError, Instant, Money, Refusal, TripId};
use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

/// How long an extra trip may take, minutes.
const TRIP_MINUTES: std::ops::RangeInclusive<i64> = 1..=1_440;
/// The highest price of a seat, cents: what the column holds.
const MAX_CENTS: i64 = 999_999_999_999;
/// How far ahead an extra trip may depart, days.
const MAX_DAYS_AHEAD: i64 = 366;
/// How long ago an extra trip may depart, seconds: as long as its request may take.
const LATEST_DEPARTURE_SECS: i64 = 60;
/// Attempts to add an extra trip when the conflicting trip has disappeared meanwhile.
const MAX_ATTEMPTS: usize = 3;

/// A request for an extra trip.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTrip {
    /// Which bus.
    pub bus_id: i32,
    /// 0 or 1.
    #[schemars(range(min = 0, max = 1))]
    pub direction: i16,
    /// When it departs.
    pub departs_at: Instant,
    /// When it arrives.
    pub arrives_at: Instant,
    /// The price of one seat.
    pub price: Money,
    /// The number of seats, if it differs from the bus's.
    #[schemars(range(min = 1, max = 100_000))]
    pub capacity: Option<i32>,
}

/// Adds an extra trip with its seats.
///
/// # Errors
/// A field that breaks a rule, a bus that is on another trip at that time; the database's.
pub async fn add(conn: &mut PgConnection, new: &NewTrip) -> Result<TripId, Error> {
    let now = sqlx::query_scalar!(r#"select now() as "now!""#).fetch_one(&mut *conn).await?;
    let (departs_at, arrives_at) = check(new, now).map_err(Refusal::Invalid)?;
    for _ in 0..MAX_ATTEMPTS {
        let id = TripId::new();
        // Waits for a concurrent insert of a trip of this bus. The conflicting trip is read by a
        // statement of its own: this one's snapshot is too old to show it.
        let row = sqlx::query!(
            r#"with made as (
                   insert into trip (id, bus_id, direction, departs_at, arrives_at, price, capacity)
                   select $1, b.id, $3, $4, $5, $6, coalesce($7, b.capacity) from bus b where b.id = $2
                   on conflict on constraint trip_has_its_bus_to_itself do nothing
                   returning id, capacity
               ), seats as (
                   insert into seat (trip_id, seat) select id, generate_series(1, capacity) from made
               )
               select exists(select from made) as "made!", exists(select from bus where id = $2) as "known!""#,
            id.0,
            new.bus_id,
            new.direction,
            departs_at,
            arrives_at,
            new.price.decimal(),
            new.capacity,
        )
        .fetch_one(&mut *conn)
        .await?;
        if row.made {
            return Ok(id);
        }
        if !row.known {
            return Err(Refusal::Invalid(FieldError::new("/bus_id", "there is no such bus")).into());
        }
        let other = sqlx::query_scalar!(
            "select id from trip
             where int8range(bus_id, bus_id, '[]') && int8range($1::int, $1::int, '[]')
               and tstzrange(departs_at, arrives_at) && tstzrange($2, $3)
               and cancelled_at is null and not shares_bus
             order by departs_at limit 1",
            new.bus_id,
            departs_at,
            arrives_at,
        )
        .fetch_optional(&mut *conn)
        .await?;
        if let Some(trip) = other {
            return Err(Refusal::BusTaken { bus: new.bus_id, trip: Some(TripId(trip)) }.into());
        }
    }
    Err(Refusal::BusTaken { bus: new.bus_id, trip: None }.into())
}

/// Checks the request; returns when the trip departs and arrives.
fn check(new: &NewTrip, now: DateTime<Utc>) -> Result<(DateTime<Utc>, DateTime<Utc>), FieldError> {
    let (departs_at, arrives_at) = (new.departs_at.utc(), new.arrives_at.utc());
    if !(0..=1).contains(&new.direction) {
        return Err(FieldError::new("/direction", "0 or 1"));
    }
    if departs_at < now - TimeDelta::seconds(LATEST_DEPARTURE_SECS) {
        return Err(FieldError::new("/departs_at", "a time ahead: a trip is not added once it has departed"));
    }
    if departs_at > now + TimeDelta::days(MAX_DAYS_AHEAD) {
        return Err(FieldError::new("/departs_at", format!("at most {MAX_DAYS_AHEAD} days ahead")));
    }
    if arrives_at <= departs_at {
        return Err(FieldError::new("/arrives_at", "after departs_at"));
    }
    let (shortest, longest) = (*TRIP_MINUTES.start(), *TRIP_MINUTES.end());
    let takes = arrives_at - departs_at;
    if takes < TimeDelta::minutes(shortest) || takes > TimeDelta::minutes(longest) {
        let rule = format!("{shortest} to {longest} minutes after departs_at");
        return Err(FieldError::new("/arrives_at", rule));
    }
    if !new.price.is_positive() {
        return Err(FieldError::new("/price", "an amount above zero"));
    }
    let max_price = Decimal::new(MAX_CENTS, 2);
    if new.price.decimal() > max_price {
        return Err(FieldError::new("/price", format!("at most {max_price}")));
    }
    if new.capacity.is_some_and(|seats| !(1..=100_000).contains(&seats)) {
        return Err(FieldError::new("/capacity", "1 to 100000"));
    }
    Ok((departs_at, arrives_at))
}
