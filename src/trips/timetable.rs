//! Making a day's trips from the timetable; a repeat makes only what is missing.

use super::{
    departures::{Departure, departures},
    generated::{GeneratedTrips, SkippedDeparture},
    network,
};
use crate::domain::{Day, Page};
use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use std::{collections::HashMap, fmt, str::FromStr};
use uuid::Uuid;

/// Most days of one call.
pub const MAX_DAYS: u16 = 60;
/// Trips of one statement, so that each ends long before its timeout.
const TRIPS: usize = 1_000;
/// Most characters of an error that are stored for a skipped departure.
const MAX_ERROR_CHARS: usize = 500;

/// Makes the trips of `days` days from `first` on, local dates of `zone`, with their seats.
/// Existing trips stay unchanged, and a departure that cannot be made does not stop the others.
/// Needs a transaction.
///
/// # Errors
/// The database's.
pub async fn generate(
    conn: &mut PgConnection,
    zone: Tz,
    first: NaiveDate,
    days: u16,
) -> Result<GeneratedTrips, sqlx::Error> {
    let mut made = GeneratedTrips::default();
    for day in (0..days.min(MAX_DAYS)).filter_map(|n| first.checked_add_days(Days::new(n.into()))) {
        made.extend(generate_day(&mut *conn, zone, day, None).await?);
    }
    Ok(made)
}

/// Makes the missing trips of one day; only those that depart after `after`, if it is given. [`TRIPS`]
/// are inserted at once. If one breaks a rule of the database, they are inserted one by one; the failed
/// ones are in [`GeneratedTrips::skipped`] and in the table `departure_not_made`. Rows are in the
/// timetable's order everywhere, so that two callers for the same day wait for each other and never
/// deadlock. Needs a transaction.
///
/// # Errors
/// The database's, except those of single departures.
pub(super) async fn generate_day(
    conn: &mut PgConnection,
    zone: Tz,
    day: NaiveDate,
    after: Option<DateTime<Utc>>,
) -> Result<GeneratedTrips, sqlx::Error> {
    network::keep_imports_away(&mut *conn).await?;
    let mut errors = HashMap::new();
    let departures = departures(&mut *conn, (zone, day), after, &mut errors).await?;
    let mut trips = 0;
    for departures in departures.chunks(TRIPS) {
        if let Ok(made) = insert_or_roll_back(&mut *conn, day, departures).await? {
            trips += made;
            continue;
        }
        for departure in departures {
            match insert_or_roll_back(&mut *conn, day, std::slice::from_ref(departure)).await? {
                Ok(made) => trips += made,
                Err(error) => drop(errors.insert(departure.timetable_id, error)),
            }
        }
    }
    let skipped = record_skipped(conn, day, &departures, errors).await?;
    Ok(GeneratedTrips { trips, skipped })
}

/// Inserts these trips under a savepoint, or none of them; returns how many, or the rule that was
/// broken.
async fn insert_or_roll_back(
    conn: &mut PgConnection,
    day: NaiveDate,
    departures: &[Departure],
) -> Result<Result<u64, String>, sqlx::Error> {
    sqlx::query("savepoint departures").execute(&mut *conn).await?;
    let made = match insert(&mut *conn, day, departures).await {
        Ok(made) => Ok(made),
        Err(error) if is_invalid_row(&error) => {
            sqlx::query("rollback to savepoint departures").execute(&mut *conn).await?;
            Err(error.to_string().chars().take(MAX_ERROR_CHARS).collect())
        }
        Err(error) => return Err(error),
    };
    sqlx::query("release savepoint departures").execute(conn).await?;
    Ok(made)
}

/// Whether the row is invalid, not the database unavailable: a value out of range, a constraint, a
/// trigger's exception.
fn is_invalid_row(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| ["22", "23", "P0"].iter().any(|class| code.starts_with(class)))
}

/// A trip takes an interval of minutes, whatever the clocks of the zone do meanwhile.
async fn insert(
    conn: &mut PgConnection,
    day: NaiveDate,
    departures: &[Departure],
) -> Result<u64, sqlx::Error> {
    let lines: Vec<i32> = departures.iter().map(|departure| departure.timetable_id).collect();
    let times: Vec<DateTime<Utc>> = departures.iter().map(|departure| departure.departs_at).collect();
    let ids: Vec<Uuid> = departures.iter().map(|_| Uuid::now_v7()).collect();
    let prices: Vec<Decimal> = departures.iter().map(|departure| departure.price).collect();
    let by_class: Vec<Option<Value>> =
        departures.iter().map(|departure| departure.class_prices.clone()).collect();
    // The seats of the bus's model; a bus of no model has seats 1 to its capacity. The seats of a trip
    // are written beside each other: lists, seat maps and bookings then read a page, not one for each.
    let made = sqlx::query_scalar!(
        r#"with made as (
               insert into trip (id, bus_id, direction, departs_at, arrives_at, price, capacity, timetable_id, service_date,
                                 route, model_id, class_prices, hold_secs, cut_off_secs, refund_secs, refund_percent)
               select n.id, t.bus_id, t.direction, n.departs_at, n.departs_at + make_interval(mins => t.minutes),
                      n.price, b.capacity, t.id, $4, t.route, case when t.route is not null then b.model_id end,
                      n.class_prices, coalesce(r.hold_secs, w.hold_secs), coalesce(r.cut_off_secs, w.cut_off_secs),
                      coalesce(r.refund_secs, w.refund_secs), coalesce(r.refund_percent, w.refund_percent)
               from unnest($1::int[], $2::uuid[], $3::timestamptz[], $5::numeric[], $6::jsonb[])
                   as n(timetable_id, id, departs_at, price, class_prices)
               join timetable t on t.id = n.timetable_id join bus b on b.id = t.bus_id
               left join (route r cross join network w) on r.code = t.route
               order by t.id
               on conflict do nothing
               returning id, capacity, model_id
           ), seats as (
               insert into seat (trip_id, seat, blocked)
               select id, generate_series(1, capacity), false from made where model_id is null
               union all
               select made.id, m.number, not m.for_sale from made join model_seat m using (model_id)
               order by 1, 2
           )
           select count(*) as "made!" from made"#,
        &lines,
        &ids,
        &times,
        day,
        &prices,
        &by_class as &[Option<Value>],
    )
    .fetch_one(conn)
    .await?;
    Ok(made.unsigned_abs())
}

/// Finds and stores the day's departures without a trip: those with an error, and those whose bus
/// is on another trip at that time.
async fn record_skipped(
    conn: &mut PgConnection,
    day: NaiveDate,
    departures: &[Departure],
    mut errors: HashMap<i32, String>,
) -> Result<Vec<SkippedDeparture>, sqlx::Error> {
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
    let mut skipped: Vec<SkippedDeparture> = errors
        .into_iter()
        .map(|(timetable_id, error)| SkippedDeparture { day, timetable_id, error })
        .collect();
    skipped.sort_by_key(|skipped| skipped.timetable_id);
    for SkippedDeparture { day, timetable_id, error } in &skipped {
        tracing::error!(%day, timetable_id, error, "a departure of the timetable could not be made");
    }
    sqlx::query!(
        "with stored as (
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
    /// The number of its direction.
    pub direction: i16,
    /// Why it could not be made.
    pub error: String,
    /// When it was tried last.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub at: DateTime<Utc>,
}

/// The place of a departure in the list of those that could not be made; it stays valid if the
/// departure is made meanwhile. Its text is the date and the departure: `2026-01-31.4`.
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

/// The departures that could not be made, the next ones first: at most `limit`, those that come
/// after this place.
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

/// Whether there is a departure of which trips are made.
///
/// # Errors
/// The database's.
pub async fn has_timetable(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"select exists(select from timetable where ended_at is null) as "there!""#)
        .fetch_one(conn)
        .await
}

/// How many departures could not be made.
///
/// # Errors
/// The database's.
pub async fn count_not_made(pool: &sqlx::PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select count(*) as "count!" from departure_not_made"#).fetch_one(pool).await
}

/// Deletes the records of departures before this local date.
pub(super) async fn delete_old_not_made(
    conn: &mut PgConnection,
    before: NaiveDate,
) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from departure_not_made where service_date < $1", before)
        .execute(conn)
        .await
        .map(drop)
}
