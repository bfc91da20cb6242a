//! Making trips: a day's from the timetable, any number of times, or an extra one by an operator.

use crate::{
    domain::{FieldError, Money, Refusal, TripId},
    flow::StepError,
};
use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// The most days one call generates.
pub const MOST_DAYS: u16 = 60;

/// Makes the trips of `days` days from `first` on, local dates of `zone`, with their seats. Trips that exist stay as
/// they are; returns how many were made.
///
/// # Errors
/// The database's.
pub async fn generate(
    conn: &mut PgConnection,
    zone: Tz,
    first: NaiveDate,
    days: u16,
) -> Result<u64, sqlx::Error> {
    let mut made = 0;
    for day in (0..days.min(MOST_DAYS)).filter_map(|n| first.checked_add_days(Days::new(n.into()))) {
        made += generate_day(&mut *conn, zone, day, None).await?;
    }
    Ok(made)
}

/// Makes what is missing of one day's trips; of those that depart `after` this time, if it is given. In the timetable's
/// order everywhere, so that two that make the same day wait for each other and never deadlock.
///
/// # Errors
/// The database's.
pub(super) async fn generate_day(
    conn: &mut PgConnection,
    zone: Tz,
    day: NaiveDate,
    after: Option<DateTime<Utc>>,
) -> Result<u64, sqlx::Error> {
    let departures =
        sqlx::query_scalar!("select id from timetable order by id").fetch_all(&mut *conn).await?;
    let ids: Vec<Uuid> = departures.iter().map(|_| Uuid::now_v7()).collect();
    let made = sqlx::query_scalar!(
        r#"with made as (
               insert into trip (id, bus_id, direction, departs_at, arrives_at, price, capacity, timetable_id, service_date)
               select n.id, t.bus_id, t.direction,
                      ($3::date + make_interval(mins => t.departs_minute)) at time zone $4,
                      ($3::date + make_interval(mins => t.arrives_minute)) at time zone $4,
                      t.price, b.capacity, t.id, $3
               from unnest($1::int[], $2::uuid[]) as n(timetable_id, id)
               join timetable t on t.id = n.timetable_id join bus b on b.id = t.bus_id
               where $5::timestamptz is null
                  or ($3::date + make_interval(mins => t.departs_minute)) at time zone $4 > $5
               order by t.id
               on conflict (timetable_id, service_date) do nothing
               returning id, capacity
           ), seats as (
               insert into seat (trip_id, seat) select id, generate_series(1, capacity) from made
           )
           select count(*) as "made!" from made"#,
        &departures,
        &ids,
        day,
        zone.name(),
        after,
    )
    .fetch_one(conn)
    .await?;
    Ok(made.unsigned_abs())
}

/// An extra trip as it comes in.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTrip {
    /// Which bus.
    pub bus_id: i32,
    /// 0 or 1.
    #[schemars(range(min = 0, max = 1))]
    pub direction: i16,
    /// When it leaves.
    pub departs_at: DateTime<Utc>,
    /// When it is there.
    pub arrives_at: DateTime<Utc>,
    /// Of one seat.
    pub price: Money,
    /// Seats, if not the bus's own number.
    #[schemars(range(min = 1, max = 100_000))]
    pub capacity: Option<i32>,
}

/// Adds an extra trip with its seats.
///
/// # Errors
/// A field that breaks a rule; the database's.
pub async fn add(db: impl PgExecutor<'_>, new: &NewTrip) -> Result<TripId, StepError> {
    check(new).map_err(Refusal::Invalid)?;
    let id = TripId::new();
    let made = sqlx::query_scalar!(
        r#"with made as (
               insert into trip (id, bus_id, direction, departs_at, arrives_at, price, capacity)
               select $1, b.id, $3, $4, $5, $6, coalesce($7, b.capacity) from bus b where b.id = $2
               returning id, capacity
           ), seats as (
               insert into seat (trip_id, seat) select id, generate_series(1, capacity) from made
           )
           select count(*) as "made!" from made"#,
        id.0,
        new.bus_id,
        new.direction,
        new.departs_at,
        new.arrives_at,
        new.price.decimal(),
        new.capacity,
    )
    .fetch_one(db)
    .await?;
    if made == 0 {
        return Err(Refusal::Invalid(FieldError::new("/bus_id", "there is no such bus")).into());
    }
    Ok(id)
}

fn check(new: &NewTrip) -> Result<(), FieldError> {
    if !(0..=1).contains(&new.direction) {
        return Err(FieldError::new("/direction", "0 or 1"));
    }
    if new.arrives_at <= new.departs_at {
        return Err(FieldError::new("/arrives_at", "after departs_at"));
    }
    if !new.price.is_positive() {
        return Err(FieldError::new("/price", "an amount above zero"));
    }
    if new.capacity.is_some_and(|seats| !(1..=100_000).contains(&seats)) {
        return Err(FieldError::new("/capacity", "1 to 100000"));
    }
    Ok(())
}
