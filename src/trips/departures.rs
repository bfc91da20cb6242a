//! The departures of the timetable on a day, each with its time and its prices.

use crate::domain::wall;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::PgConnection;
use std::collections::{BTreeSet, HashMap};

/// A departure of the timetable on a day.
#[derive(Clone)]
pub(super) struct Departure {
    pub(super) timetable_id: i32,
    pub(super) departs_at: DateTime<Utc>,
    /// The lowest price of its seats.
    pub(super) price: Decimal,
    /// As in `trip.class_prices`.
    pub(super) class_prices: Option<Value>,
}

/// A line of the timetable that runs on a day.
struct Line {
    id: i32,
    departs_minute: i32,
    zone: Option<String>,
    /// That of a line of no network.
    price: Option<Decimal>,
    route: Option<String>,
    direction: i16,
    model_id: Option<i64>,
}

/// What the seats of a bus model cost in a direction: the route, the direction and the model.
type Sold = (String, i16, i64);

impl Line {
    fn sold(&self) -> Option<Sold> {
        let sold = self.route.clone().zip(self.model_id).filter(|_| self.price.is_none());
        sold.map(|(route, model_id)| (route, self.direction, model_id))
    }
}

/// The lowest price, and the price of each class if they differ.
type Prices = (Decimal, Option<Value>);

/// The departures that run on a day, by the clock of each; `zone` is that of departures that are of
/// no network. Those that cannot be made are in `errors`.
pub(super) async fn departures(
    conn: &mut PgConnection,
    (zone, day): (Tz, NaiveDate),
    after: Option<DateTime<Utc>>,
    errors: &mut HashMap<i32, String>,
) -> Result<Vec<Departure>, sqlx::Error> {
    let lines = lines(&mut *conn, day).await?;
    let fares = fares(conn, day, lines.iter().filter_map(Line::sold).collect()).await?;
    let mut departures = Vec::with_capacity(lines.len());
    for line in lines {
        let clock = line.zone.as_deref().map_or(Ok(zone), str::parse::<Tz>);
        let departs_at = clock.ok().and_then(|clock| wall::instant(clock, day, line.departs_minute));
        let own = line.price.map(|price| (price, None));
        let prices = own.or_else(|| fares.get(&line.sold()?).cloned());
        match (departs_at, prices) {
            (Some(departs_at), _) if after.is_some_and(|after| departs_at <= after) => {}
            (Some(departs_at), Some((price, class_prices))) => {
                departures.push(Departure { timetable_id: line.id, departs_at, price, class_prices });
            }
            (Some(_), None) => drop(errors.insert(line.id, "a class of its seats has no fare".to_owned())),
            (None, _) => drop(errors.insert(line.id, "it departs beyond all dates".to_owned())),
        }
    }
    Ok(departures)
}

async fn lines(conn: &mut PgConnection, day: NaiveDate) -> Result<Vec<Line>, sqlx::Error> {
    sqlx::query_as!(
        Line,
        "select t.id, t.departs_minute, t.zone, t.price, t.route, t.direction, b.model_id
         from timetable t join bus b on b.id = t.bus_id
         left join calendar c on c.code = t.calendar
         left join calendar_date d on d.calendar = t.calendar and d.day = $1
         where t.ended_at is null
           and (t.calendar is null
                or coalesce(d.runs, $1 between c.first_day and c.last_day
                                    and (c.days >> (extract(isodow from $1)::int - 1)) & 1 = 1, false))
         order by t.id",
        day
    )
    .fetch_all(conn)
    .await
}

/// The prices of each that has a fare for all of its classes. Many departures share one, so fares are
/// not looked up for each departure.
async fn fares(
    conn: &mut PgConnection,
    day: NaiveDate,
    sold: BTreeSet<Sold>,
) -> Result<HashMap<Sold, Prices>, sqlx::Error> {
    let routes: Vec<String> = sold.iter().map(|(route, _, _)| route.clone()).collect();
    let directions: Vec<i16> = sold.iter().map(|(_, direction, _)| *direction).collect();
    let models: Vec<i64> = sold.iter().map(|(_, _, model_id)| *model_id).collect();
    // The fare of a class is that of the departure's direction if one is in force, else the route's.
    let rows = sqlx::query!(
        r#"select n.at as "at!", f.price, f.class_prices
           from unnest($2::text[], $3::smallint[], $4::bigint[]) with ordinality
               as n(route, direction, model_id, at)
           cross join lateral (
               select case when bool_and(a.amount is not null) then min(a.amount) end as price,
                      case when bool_and(a.amount is not null) and min(a.amount) < max(a.amount)
                           then jsonb_object_agg(k.class, a.amount::numeric(12, 2)::text) end as class_prices
               from (select distinct s.class from model_seat s where s.model_id = n.model_id and s.for_sale) as k
               left join lateral (
                   select p.amount from fare x join fare_period p on p.fare_id = x.id and p.period @> $1::date
                   where x.route = n.route and x.class = k.class
                     and (x.direction = n.direction or x.direction is null)
                   order by x.direction nulls last limit 1
               ) as a on true
           ) as f
           order by n.at"#,
        day,
        &routes,
        &directions,
        &models
    )
    .fetch_all(conn)
    .await?;
    let prices = rows.into_iter().map(|row| row.price.map(|price| (price, row.class_prices)));
    Ok(sold.into_iter().zip(prices).filter_map(|(sold, prices)| Some((sold, prices?))).collect())
}
