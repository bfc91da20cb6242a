//! Making trips: a day's from the timetable, any number of times, or an extra one by an operator.

use super::wall;
use crate::domain::{Day, Error, FieldError, Instant, Money, Page, Refusal, TripId};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::{collections::HashMap, fmt, str::FromStr};
use uuid::Uuid;

/// The most days one call generates.
pub const MOST_DAYS: u16 = 60;
/// Departures that were not made and are named in one sentence, at the most.
const MOST_NAMED: usize = 5;
/// Characters of an error that are kept of a departure that was not made, at the most.
const LONGEST_ERROR: usize = 500;

/// How long an extra trip may take, minutes.
const TRIP_MINUTES: std::ops::RangeInclusive<i64> = 1..=1_440;
/// The highest price of a seat, cents: what the column holds.
const MOST_CENTS: i64 = 999_999_999_999;
/// How far ahead an extra trip may depart, days.
const MOST_DAYS_AHEAD: i64 = 366;
/// How long ago an extra trip may depart, seconds: as long as its request may have been under way.
const LATEST_DEPARTURE_SECS: i64 = 60;
/// How often an extra trip is tried whose bus was on another one that is gone again when it is looked for.
const LOOKS: usize = 3;

/// What making trips came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Trips that were missing and are made.
    pub trips: u64,
    /// Departures that are missing and could not be made.
    pub skipped: Vec<Skipped>,
}

/// A departure of the timetable that could not be made on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The local date.
    pub day: NaiveDate,
    /// The departure.
    pub timetable_id: i32,
    /// Why not.
    pub error: String,
}

impl Made {
    pub(super) fn add(&mut self, more: Self) {
        self.trips += more.trips;
        self.skipped.extend(more.skipped);
    }

    /// As a sentence; of what was not made it names the first.
    pub fn told(&self) -> String {
        let mut told = format!("{} trips made", self.trips);
        if self.skipped.is_empty() {
            return told;
        }
        told += &format!("; {} departures not made: ", self.skipped.len());
        let named = self.skipped.iter().take(MOST_NAMED);
        let named: Vec<_> = named.map(|s| format!("{} on {} ({})", s.timetable_id, s.day, s.error)).collect();
        told += &named.join(", ");
        if self.skipped.len() > MOST_NAMED {
            told += ", and others";
        }
        told
    }
}

/// Makes the trips of `days` days from `first` on, local dates of `zone`, with their seats. Trips that exist stay as
/// they are, and a departure that cannot be made stops no other. In a transaction of the caller's.
///
/// # Errors
/// The database's.
pub async fn generate(
    conn: &mut PgConnection,
    zone: Tz,
    first: NaiveDate,
    days: u16,
) -> Result<Made, sqlx::Error> {
    let mut made = Made::default();
    for day in (0..days.min(MOST_DAYS)).filter_map(|n| first.checked_add_days(Days::new(n.into()))) {
        made.add(generate_day(&mut *conn, zone, day, None).await?);
    }
    Ok(made)
}

/// A departure of the timetable on a day.
#[derive(Clone, Copy)]
struct Departure {
    timetable_id: i32,
    departs_at: DateTime<Utc>,
}

/// Makes what is missing of one day's trips; of those that depart `after` this time, if it is given. All of them at once,
/// and if one breaks a rule of the database, one by one: the others are made, and [`Made::skipped`] and the table
/// `departure_not_made` tell of it. In the timetable's order everywhere, so that two that make the same day wait for each
/// other and never deadlock. In a transaction of the caller's.
///
/// # Errors
/// The database's, but for those of a departure.
pub(super) async fn generate_day(
    conn: &mut PgConnection,
    zone: Tz,
    day: NaiveDate,
    after: Option<DateTime<Utc>>,
) -> Result<Made, sqlx::Error> {
    let lines =
        sqlx::query!("select id, departs_minute from timetable order by id").fetch_all(&mut *conn).await?;
    let mut errors = HashMap::new();
    let mut departures = Vec::with_capacity(lines.len());
    for line in lines {
        match wall::instant(zone, day, line.departs_minute) {
            Some(departs_at) if after.is_none_or(|after| departs_at > after) => {
                departures.push(Departure { timetable_id: line.id, departs_at });
            }
            Some(_) => {}
            None => drop(errors.insert(line.id, "it departs beyond all dates".to_owned())),
        }
    }
    let mut trips = 0;
    match guarded(&mut *conn, day, &departures).await? {
        Ok(made) => trips += made,
        Err(_) => {
            for departure in &departures {
                match guarded(&mut *conn, day, std::slice::from_ref(departure)).await? {
                    Ok(made) => trips += made,
                    Err(error) => drop(errors.insert(departure.timetable_id, error)),
                }
            }
        }
    }
    let skipped = skipped(conn, day, &departures, errors).await?;
    Ok(Made { trips, skipped })
}

/// Makes these trips, or none of them and says which rule was broken.
async fn guarded(
    conn: &mut PgConnection,
    day: NaiveDate,
    departures: &[Departure],
) -> Result<Result<u64, String>, sqlx::Error> {
    sqlx::query("savepoint departures").execute(&mut *conn).await?;
    let made = match insert(&mut *conn, day, departures).await {
        Ok(made) => Ok(made),
        Err(error) if breaks_a_rule(&error) => {
            sqlx::query("rollback to savepoint departures").execute(&mut *conn).await?;
            Err(error.to_string().chars().take(LONGEST_ERROR).collect())
        }
        Err(error) => return Err(error),
    };
    sqlx::query("release savepoint departures").execute(conn).await?;
    Ok(made)
}

/// Whether the row is at fault and not the database: a value out of range, a constraint, a trigger's exception.
fn breaks_a_rule(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| ["22", "23", "P0"].iter().any(|class| code.starts_with(class)))
}

/// A trip arrives its departure's duration after it departs: an interval of minutes, which no clock changes.
async fn insert(
    conn: &mut PgConnection,
    day: NaiveDate,
    departures: &[Departure],
) -> Result<u64, sqlx::Error> {
    let lines: Vec<i32> = departures.iter().map(|departure| departure.timetable_id).collect();
    let times: Vec<DateTime<Utc>> = departures.iter().map(|departure| departure.departs_at).collect();
    let ids: Vec<Uuid> = departures.iter().map(|_| Uuid::now_v7()).collect();
    let made = sqlx::query_scalar!(
        r#"with made as (
               insert into trip (id, bus_id, direction, departs_at, arrives_at, price, capacity, timetable_id, service_date)
               select n.id, t.bus_id, t.direction, n.departs_at, n.departs_at + make_interval(mins => t.minutes),
                      t.price, b.capacity, t.id, $4
               from unnest($1::int[], $2::uuid[], $3::timestamptz[]) as n(timetable_id, id, departs_at)
               join timetable t on t.id = n.timetable_id join bus b on b.id = t.bus_id
               order by t.id
               on conflict do nothing
               returning id, capacity
           ), seats as (
               insert into seat (trip_id, seat) select id, generate_series(1, capacity) from made
           )
           select count(*) as "made!" from made"#,
        &lines,
        &ids,
        &times,
        day,
    )
    .fetch_one(conn)
    .await?;
    Ok(made.unsigned_abs())
}

/// The departures of the day that are not there, and writes them down: those with an error, and those whose bus is on another
/// trip at that time.
async fn skipped(
    conn: &mut PgConnection,
    day: NaiveDate,
    departures: &[Departure],
    mut errors: HashMap<i32, String>,
) -> Result<Vec<Skipped>, sqlx::Error> {
    let lines: Vec<i32> = departures.iter().map(|departure| departure.timetable_id).collect();
    let times: Vec<DateTime<Utc>> = departures.iter().map(|departure| departure.departs_at).collect();
    let missing = sqlx::query!(
        r#"select t.id, t.bus_id,
                  (select o.id from trip o
                   where int8range(o.bus_id, o.bus_id, '[]') && int8range(t.bus_id, t.bus_id, '[]')
                     and tstzrange(o.departs_at, o.arrives_at)
                         && tstzrange(n.departs_at, n.departs_at + make_interval(mins => t.minutes))
                     and o.cancelled_at is null and not o.shares_bus
                   order by o.departs_at limit 1) as in_the_way
           from unnest($1::int[], $2::timestamptz[]) as n(timetable_id, departs_at)
           join timetable t on t.id = n.timetable_id and t.minutes > 0
           where not exists(select from trip m where m.timetable_id = t.id and m.service_date = $3)
           order by t.id"#,
        &lines,
        &times,
        day,
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in missing {
        errors.entry(row.id).or_insert_with(|| match row.in_the_way {
            Some(trip) => format!("bus {} is on trip {trip} at that time", row.bus_id),
            None => "it was not made".to_owned(),
        });
    }
    let mut skipped: Vec<Skipped> =
        errors.into_iter().map(|(timetable_id, error)| Skipped { day, timetable_id, error }).collect();
    skipped.sort_by_key(|skipped| skipped.timetable_id);
    for Skipped { day, timetable_id, error } in &skipped {
        tracing::error!(%day, timetable_id, error, "a departure of the timetable is not made");
    }
    sqlx::query!(
        "with kept as (
             insert into departure_not_made (timetable_id, service_date, error)
             select n.id, $1, n.error from unnest($2::int[], $3::text[]) as n(id, error)
             on conflict (timetable_id, service_date) do update set at = now(), error = excluded.error
         )
         delete from departure_not_made d where d.service_date = $1 and d.timetable_id <> all($2)",
        day,
        &skipped.iter().map(|skipped| skipped.timetable_id).collect::<Vec<_>>(),
        &skipped.iter().map(|skipped| skipped.error.clone()).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(skipped)
}

/// A departure that could not be made, for operators.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct NotMade {
    /// The departure.
    pub timetable_id: i32,
    /// The local date.
    pub service_date: NaiveDate,
    /// Its bus.
    pub bus_id: i32,
    /// 0 or 1.
    pub direction: i16,
    /// Why it could not be made.
    pub error: String,
    /// When it was tried last.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub at: DateTime<Utc>,
}

/// Where a departure stands in the list of those that could not be made; it stays a place though the departure is made
/// meanwhile. As a text the date and the departure: `2026-01-31.4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotMadeCursor {
    service_date: NaiveDate,
    timetable_id: i32,
}

impl fmt::Display for NotMadeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service_date, self.timetable_id)
    }
}

impl FromStr for NotMadeCursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (day, id) = text.split_once('.').ok_or(())?;
        let service_date = day.parse().map(Day::date).map_err(drop)?;
        Ok(Self { service_date, timetable_id: id.parse().map_err(drop)? })
    }
}

/// The departures that could not be made, the next ones first: at most `limit`, those that come after this place.
///
/// # Errors
/// The database's.
pub async fn not_made(
    pool: &sqlx::PgPool,
    after: Option<NotMadeCursor>,
    limit: u16,
) -> Result<Page<NotMade>, sqlx::Error> {
    let mut items = sqlx::query_as!(
        NotMade,
        "select d.timetable_id, d.service_date, t.bus_id, t.direction, d.error, d.at
         from departure_not_made d join timetable t on t.id = d.timetable_id
         where $1::date is null or (d.service_date, d.timetable_id) > ($1, $2::int)
         order by d.service_date, d.timetable_id limit $3",
        after.map(|after| after.service_date),
        after.map(|after| after.timetable_id),
        i64::from(limit) + 1
    )
    .fetch_all(pool)
    .await?;
    let more = items.len() > usize::from(limit);
    items.truncate(limit.into());
    let place = |last: &NotMade| {
        let NotMade { service_date, timetable_id, .. } = *last;
        NotMadeCursor { service_date, timetable_id }.to_string()
    };
    let next = items.last().filter(|_| more).map(place);
    Ok(Page { items, next })
}

/// How many departures could not be made.
///
/// # Errors
/// The database's.
pub async fn count_not_made(pool: &sqlx::PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select count(*) as "count!" from departure_not_made"#).fetch_one(pool).await
}

/// Forgets what could not be made before this local date.
pub(super) async fn forget_not_made(conn: &mut PgConnection, before: NaiveDate) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from departure_not_made where service_date < $1", before)
        .execute(conn)
        .await
        .map(drop)
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
    pub departs_at: Instant,
    /// When it is there.
    pub arrives_at: Instant,
    /// Of one seat.
    pub price: Money,
    /// Seats, if not the bus's own number.
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
    for _ in 0..LOOKS {
        let id = TripId::new();
        // Waits for a trip of the bus that is being added just now. A statement of its own looks for what is in the way then:
        // this one's snapshot is too old to show that.
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

/// When it departs and arrives.
fn check(new: &NewTrip, now: DateTime<Utc>) -> Result<(DateTime<Utc>, DateTime<Utc>), FieldError> {
    let (departs_at, arrives_at) = (new.departs_at.utc(), new.arrives_at.utc());
    if !(0..=1).contains(&new.direction) {
        return Err(FieldError::new("/direction", "0 or 1"));
    }
    if departs_at < now - TimeDelta::seconds(LATEST_DEPARTURE_SECS) {
        return Err(FieldError::new("/departs_at", "a time ahead: a trip is not added once it has departed"));
    }
    if departs_at > now + TimeDelta::days(MOST_DAYS_AHEAD) {
        return Err(FieldError::new("/departs_at", format!("at most {MOST_DAYS_AHEAD} days ahead")));
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
    let most = Decimal::new(MOST_CENTS, 2);
    if new.price.decimal() > most {
        return Err(FieldError::new("/price", format!("at most {most}")));
    }
    if new.capacity.is_some_and(|seats| !(1..=100_000).contains(&seats)) {
        return Err(FieldError::new("/capacity", "1 to 100000"));
    }
    Ok((departs_at, arrives_at))
}
