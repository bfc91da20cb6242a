//! Writing a network into the tables. All that the network has is inserted or updated; what it does
//! not have any more keeps its row and gets the time at which it ended.

use super::rows::{self, ModelRow, SeatRow};
use crate::network::Network;
use serde::Serialize;
use sqlx::{PgConnection, types::Json};

/// Rows of one statement.
const ROWS: usize = 20_000;

/// What ends: all, before what is there is inserted again. Drivers and buses without the order of a
/// foreign key: a bus that ended has no driver.
const END: [&str; 10] = [
    "update stop set ended_at = now() where ended_at is null",
    "update route set ended_at = now() where ended_at is null",
    "update direction set ended_at = now() where ended_at is null",
    "update calendar set ended_at = now() where ended_at is null",
    "update timetable set ended_at = now() where ended_at is null",
    "update bus set ended_at = now(), driver = null where ended_at is null",
    "delete from direction_stop",
    "delete from calendar_date",
    "delete from fare",
    "delete from driver",
];
const HEAD: &str =
    "insert into network (name, zone, currency, decimals, languages, url, ticket_url, hold_secs,
        cut_off_secs, refund_secs, refund_percent, digest)
    select name, zone, currency, decimals, languages, url, ticket_url, hold_secs, cut_off_secs, refund_secs,
        refund_percent, digest
    from jsonb_populate_recordset(null::network, $1)
    on conflict (is_there) do update set name = excluded.name, zone = excluded.zone,
        currency = excluded.currency, decimals = excluded.decimals, languages = excluded.languages,
        url = excluded.url, ticket_url = excluded.ticket_url, hold_secs = excluded.hold_secs,
        cut_off_secs = excluded.cut_off_secs, refund_secs = excluded.refund_secs,
        refund_percent = excluded.refund_percent, digest = excluded.digest, imported_at = now()";
const STOPS: &str = "insert into stop (code, name, names, latitude, longitude, zone)
    select code, name, names, latitude, longitude, zone from jsonb_populate_recordset(null::stop, $1)
    on conflict (code) do update set name = excluded.name, names = excluded.names, latitude = excluded.latitude,
        longitude = excluded.longitude, zone = excluded.zone, ended_at = null";
const END_MODELS: &str = "update bus_model set ended_at = now() where ended_at is null and code = any($1)";
const MODELS: &str = "insert into bus_model (code, name, names, layout)
    select code, name, names, layout from jsonb_populate_recordset(null::bus_model, $1)";
const SEATS: &str =
    "insert into model_seat (model_id, number, label, class, for_sale, deck, \"row\", \"column\")
    select m.id, s.number, s.label, s.class, s.for_sale, s.deck, s.\"row\", s.\"column\"
    from jsonb_to_recordset($1) as s(code text, number int, label text, class text, for_sale boolean,
        deck smallint, \"row\" smallint, \"column\" smallint)
    join bus_model m on m.code = s.code and m.ended_at is null";
const DRIVERS: &str = "insert into driver (code, name, phone)
    select code, name, phone from jsonb_populate_recordset(null::driver, $1)";
const BUSES: &str = "insert into bus (id, driver_name, driver_phone, capacity, plate, model_id, driver)
    select b.id, coalesce(d.name, ''), coalesce(d.phone, ''),
        (select count(*) from model_seat s where s.model_id = m.id), b.plate, m.id, b.driver
    from jsonb_to_recordset($1) as b(id int, model text, plate text, driver text)
    join bus_model m on m.code = b.model and m.ended_at is null
    left join driver d on d.code = b.driver
    on conflict (id) do update set driver_name = excluded.driver_name, driver_phone = excluded.driver_phone,
        capacity = excluded.capacity, plate = excluded.plate, model_id = excluded.model_id,
        driver = excluded.driver, ended_at = null";
const ROUTES: &str =
    "insert into route (code, name, names, description, hold_secs, cut_off_secs, refund_secs,
        refund_percent)
    select code, name, names, description, hold_secs, cut_off_secs, refund_secs, refund_percent
    from jsonb_populate_recordset(null::route, $1)
    on conflict (code) do update set name = excluded.name, names = excluded.names,
        description = excluded.description, hold_secs = excluded.hold_secs,
        cut_off_secs = excluded.cut_off_secs, refund_secs = excluded.refund_secs,
        refund_percent = excluded.refund_percent, ended_at = null";
const DIRECTIONS: &str = "with given as materialized (
        select * from jsonb_to_recordset($1) as d(route text, number smallint, name text, names jsonb, stops jsonb)
    ), written as (
        insert into direction (route, number, name, names) select route, number, name, names from given
        on conflict (route, number) do update set name = excluded.name, names = excluded.names, ended_at = null
    )
    insert into direction_stop (route, direction, position, stop)
    select g.route, g.number, s.position, s.stop from given g
    cross join lateral jsonb_array_elements_text(g.stops) with ordinality as s(stop, position)";
/// Before the stops of now are deleted.
const STOPS_BEFORE: &str = "insert into direction_stops_before (route, direction, stops)
    select g.route, g.number, g.stops
    from jsonb_to_recordset($1) as g(route text, number smallint, stops text[])";
const CALENDARS: &str = "with given as materialized (
        select * from jsonb_to_recordset($1)
            as c(code text, days smallint, first_day date, last_day date, dates jsonb)
    ), written as (
        insert into calendar (code, days, first_day, last_day) select code, days, first_day, last_day from given
        on conflict (code) do update set days = excluded.days, first_day = excluded.first_day,
            last_day = excluded.last_day, ended_at = null
    )
    insert into calendar_date (calendar, day, runs)
    select g.code, d.key::date, d.value::boolean from given g cross join lateral jsonb_each_text(g.dates) as d";
const DEPARTURES: &str = "insert into timetable (id, code, bus_id, direction, departs_minute, arrives_minute,
        route, calendar, zone, own_zone, legs, dwells)
    select (select coalesce(max(id), 0) from timetable) + row_number() over (order by code), code, bus_id,
        direction, departs_minute, arrives_minute, route, calendar, zone, own_zone, legs, dwells
    from jsonb_populate_recordset(null::timetable, $1)
    on conflict (code) do update set bus_id = excluded.bus_id, direction = excluded.direction,
        departs_minute = excluded.departs_minute, arrives_minute = excluded.arrives_minute, price = null,
        route = excluded.route, calendar = excluded.calendar, zone = excluded.zone,
        own_zone = excluded.own_zone, legs = excluded.legs, dwells = excluded.dwells, ended_at = null";
const FARES: &str = "with given as materialized (
        select * from jsonb_to_recordset($1)
            as f(route text, direction smallint, class text, first_day date, last_day date, amount numeric)
    ), written as (
        insert into fare (route, direction, class) select distinct route, direction, class from given
        on conflict (route, direction, class) do update set class = excluded.class
        returning id, route, direction, class
    )
    insert into fare_period (fare_id, period, amount)
    select w.id, daterange(g.first_day, g.last_day, '[]'), g.amount
    from given g join written w on w.route = g.route and w.class = g.class
        and w.direction is not distinct from g.direction";

/// Makes the tables say what `new` says; `old` is what they say. Needs a transaction.
///
/// # Errors
/// The database's.
pub(super) async fn write(
    conn: &mut PgConnection,
    old: Option<&Network>,
    new: &Network,
) -> Result<(), sqlx::Error> {
    put(conn, STOPS_BEFORE, &rows::changed_stops(old, new)).await?;
    for end in END {
        sqlx::query(end).execute(&mut *conn).await?;
    }
    put(conn, HEAD, &[rows::head(new)]).await?;
    put(conn, STOPS, &rows::stops(new)).await?;
    models(conn, old, new).await?;
    put(conn, DRIVERS, &rows::drivers(new)).await?;
    put(conn, BUSES, &rows::buses(new)).await?;
    put(conn, ROUTES, &rows::routes(new)).await?;
    put(conn, DIRECTIONS, &rows::directions(new)).await?;
    put(conn, CALENDARS, &rows::calendars(new)).await?;
    put(conn, DEPARTURES, &rows::departures(new)).await?;
    put(conn, FARES, &rows::fares(new)).await
}

/// A model that changed gets a version of its own: trips keep the seats of the one before.
async fn models(conn: &mut PgConnection, old: Option<&Network>, new: &Network) -> Result<(), sqlx::Error> {
    let is_kept = |code: &str| old.is_some_and(|old| old.models.get(code) == new.models.get(code));
    let old_codes = old.into_iter().flat_map(|old| old.models.keys());
    let ended: Vec<String> =
        old_codes.filter(|code| !is_kept(code.as_str())).map(ToString::to_string).collect();
    sqlx::query(END_MODELS).bind(&ended).execute(&mut *conn).await?;
    let added = || new.models.iter().filter(|(code, _)| !is_kept(code.as_str()));
    let models: Vec<ModelRow> = added().map(|(code, model)| rows::model(code.as_str(), model)).collect();
    put(conn, MODELS, &models).await?;
    let seats: Vec<SeatRow> = added().flat_map(|(code, model)| rows::seats(code.as_str(), model)).collect();
    put(conn, SEATS, &seats).await
}

/// Runs a statement that takes rows as one JSON array.
async fn put<T: Serialize + Sync>(
    conn: &mut PgConnection,
    sql: &'static str,
    rows: &[T],
) -> Result<(), sqlx::Error> {
    for rows in rows.chunks(ROWS) {
        sqlx::query(sql).bind(Json(rows)).execute(&mut *conn).await?;
    }
    Ok(())
}
