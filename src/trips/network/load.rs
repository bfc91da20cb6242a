//! The database's network as a value.

use super::rows::{
    BusRow, CalendarRow, DepartureRow, DirectionRow, DriverRow, FareRow, HeadRow, ModelRow, OtherNames,
    RouteRow, StopRow,
};
use crate::{
    domain::Money,
    network::{
        Bus, BusModel, Calendar, Code, Departure, Direction, Driver, Fare, FareKey, Names, Network, Place,
        Route, Stop, WallTime, WeekDays,
    },
};
use serde::de::DeserializeOwned;
use sqlx::{PgConnection, types::Json};
use std::{collections::BTreeMap, str::FromStr};

const HEAD: &str = "select to_jsonb(n) from network n";
const STOPS: &str = "select to_jsonb(s) from stop s where s.ended_at is null";
const MODELS: &str = "select to_jsonb(m) from bus_model m where m.ended_at is null";
const MODELS_OF: &str = "select m.id, to_jsonb(m) from bus_model m where m.id = any($1)";
const DRIVERS: &str = "select to_jsonb(d) from driver d";
const BUSES: &str =
    "select jsonb_build_object('id', b.id, 'model', m.code, 'plate', b.plate, 'driver', b.driver)
    from bus b join bus_model m on m.id = b.model_id where b.ended_at is null";
const ROUTES: &str = "select to_jsonb(r) from route r where r.ended_at is null";
const DIRECTIONS: &str = "select to_jsonb(d) || jsonb_build_object('stops',
        (select jsonb_agg(s.stop order by s.position) from direction_stop s
         where s.route = d.route and s.direction = d.number))
    from direction d where d.ended_at is null";
const CALENDARS: &str = "select to_jsonb(c) || jsonb_build_object('dates',
        (select coalesce(jsonb_object_agg(d.day, d.runs), '{}') from calendar_date d where d.calendar = c.code))
    from calendar c where c.ended_at is null";
const DEPARTURES: &str =
    "select to_jsonb(t) from timetable t where t.ended_at is null and t.route is not null";
const FARES: &str = "select to_jsonb(f) || jsonb_build_object('first_day', lower(p.period),
        'last_day', upper(p.period) - 1, 'amount', p.amount::text)
    from fare f join fare_period p on p.fare_id = f.id";

/// The network that was imported last; `None` if none was.
///
/// # Errors
/// The database's; a row that is none of a network.
pub async fn load(conn: &mut PgConnection) -> Result<Option<Network>, sqlx::Error> {
    let Some(head) = all::<HeadRow>(conn, HEAD).await?.pop() else { return Ok(None) };
    let mut network = of_head(head)?;
    for row in all::<StopRow>(conn, STOPS).await? {
        let place = row.latitude.zip(row.longitude);
        let place = place.map(|(latitude, longitude)| Place { latitude, longitude });
        let stop = Stop { names: names(row.name, row.names)?, place, zone: some(row.zone)? };
        network.stops.insert(parsed(&row.code)?, stop);
    }
    for row in all::<ModelRow>(conn, MODELS).await? {
        let (code, model) = model(row)?;
        network.models.insert(code, model);
    }
    for DriverRow { code, name, phone } in all(conn, DRIVERS).await? {
        network.drivers.insert(parsed(&code)?, Driver { name, phone });
    }
    for BusRow { id, model, plate, driver } in all(conn, BUSES).await? {
        network.buses.insert(id, Bus { plate, model: parsed(&model)?, driver: some(driver)? });
    }
    routes(conn, &mut network).await?;
    for CalendarRow { code, days, first_day, last_day, dates } in all(conn, CALENDARS).await? {
        let (days, period) = (WeekDays::of_bits(days), first_day.zip(last_day));
        network.calendars.insert(parsed(&code)?, Calendar { days, period, exceptions: dates });
    }
    for row in all::<DepartureRow>(conn, DEPARTURES).await? {
        let (code, departure) = departure(row)?;
        network.departures.insert(code, departure);
    }
    for FareRow { route, direction, class, first_day, last_day, amount } in all(conn, FARES).await? {
        let key = FareKey { route: parsed(&route)?, direction, class: parsed(&class)?, from: first_day };
        let minor = Money::from_database(parsed(&amount)?).minor();
        let minor = minor.ok_or_else(|| broken(format!("a fare of {amount}")))?;
        let amount = network.currency.of_minor(minor);
        network.fares.insert(key, Fare { until: last_day, amount });
    }
    Ok(Some(network))
}

/// These versions of bus models, by their ids.
///
/// # Errors
/// The database's; a row that is none of a network.
pub(in super::super) async fn models(
    conn: &mut PgConnection,
    ids: &[i64],
) -> Result<Vec<(i64, BusModel)>, sqlx::Error> {
    let rows: Vec<(i64, Json<ModelRow>)> = sqlx::query_as(MODELS_OF).bind(ids).fetch_all(conn).await?;
    rows.into_iter().map(|(id, Json(row))| Ok((id, model(row)?.1))).collect()
}

/// All rows of a query that gives one JSON object for each.
pub(super) async fn all<T: DeserializeOwned + Send + Unpin + 'static>(
    conn: &mut PgConnection,
    sql: &'static str,
) -> Result<Vec<T>, sqlx::Error> {
    let rows: Vec<Json<T>> = sqlx::query_scalar(sql).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|Json(row)| row).collect())
}

fn of_head(head: HeadRow) -> Result<Network, sqlx::Error> {
    let languages = head.languages.iter().map(|tag| parsed(tag)).collect::<Result<_, _>>()?;
    Ok(Network {
        url: head.url,
        ticket_url: head.ticket_url,
        defaults: head.rules.into(),
        ..Network::empty(head.name, parsed(&head.zone)?, parsed(&head.currency)?, languages)
    })
}

async fn routes(conn: &mut PgConnection, network: &mut Network) -> Result<(), sqlx::Error> {
    for row in all::<RouteRow>(conn, ROUTES).await? {
        let RouteRow { code, name, names: others, description, rules } = row;
        let names = names(name, others)?;
        let route = Route { names, description, rules: rules.into(), directions: BTreeMap::new() };
        network.routes.insert(parsed(&code)?, route);
    }
    for row in all::<DirectionRow>(conn, DIRECTIONS).await? {
        let stops = row.stops.iter().map(|code| parsed(code)).collect::<Result<_, _>>()?;
        let direction = Direction { names: names(row.name, row.names)?, stops };
        let route = network.routes.get_mut(row.route.as_str());
        route.ok_or(sqlx::Error::RowNotFound)?.directions.insert(row.number, direction);
    }
    Ok(())
}

fn model(ModelRow { code, name, names: others, layout }: ModelRow) -> Result<(Code, BusModel), sqlx::Error> {
    let classes = layout.classes.into_iter().map(|(class, labels)| Ok((parsed(&class)?, labels)));
    let model = BusModel {
        names: names(name, others)?,
        decks: BusModel::decks_of(&layout.decks),
        classes: classes.collect::<Result<_, sqlx::Error>>()?,
        not_for_sale: layout.not_for_sale,
    };
    Ok((parsed(&code)?, model))
}

fn departure(row: DepartureRow) -> Result<(Code, Departure), sqlx::Error> {
    let departs = WallTime::of_minutes(row.departs_minute.into());
    let departure = Departure {
        route: parsed(&row.route)?,
        direction: row.direction,
        bus: row.bus_id,
        calendar: parsed(&row.calendar)?,
        zone: some(row.own_zone)?,
        departs: departs.ok_or_else(|| broken("a departure from 48:00 on".to_owned()))?,
        legs: row.legs,
        dwells: row.dwells,
    };
    Ok((parsed(&row.code)?, departure))
}

/// Names of a row.
///
/// # Errors
/// A tag that no import writes.
pub(in super::super) fn names(default: String, others: OtherNames) -> Result<Names, sqlx::Error> {
    let others = others.into_iter().map(|(tag, name)| Ok((parsed(&tag)?, name)));
    Ok(Names { default, others: others.collect::<Result<_, sqlx::Error>>()? })
}

fn some<T: FromStr>(text: Option<String>) -> Result<Option<T>, sqlx::Error> {
    text.map(|text| parsed(&text)).transpose()
}

/// A text of a row.
///
/// # Errors
/// A text that no import writes.
pub(in super::super) fn parsed<T: FromStr>(text: &str) -> Result<T, sqlx::Error> {
    text.parse().map_err(|_| broken(format!("{text:?} in a row of the network")))
}

/// A row that no import writes.
fn broken(what: String) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}
