//! Applying an import: all of it but what is done with riders.

use super::{
    effect::{Effect, Expected, Kind},
    store,
};
use crate::{network::Network, trips::prices::ClassPrices};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// Trips of one statement, so that each ends long before its timeout.
const TRIPS: usize = 5_000;

/// Writes the network, and then what follows for trips that are made. Trips that change leave their
/// buses first, because two of them may change places.
///
/// # Errors
/// The database's.
pub(super) async fn apply(
    conn: &mut PgConnection,
    old: Option<&Network>,
    new: &Network,
    effects: &[Effect],
) -> Result<(), sqlx::Error> {
    let of = |kinds: &[Kind]| -> Vec<&Effect> {
        effects.iter().filter(|effect| kinds.contains(&effect.kind)).collect()
    };
    for trips in of(&[Kind::Ends]).chunks(TRIPS) {
        withdraw(conn, trips, true).await?;
    }
    let changed = of(&[Kind::Changes, Kind::Returns]);
    for trips in changed.chunks(TRIPS) {
        withdraw(conn, trips, false).await?;
    }
    store::write(conn, old, new).await?;
    let others = of(&[Kind::Price, Kind::Adopted]);
    change(conn, &changed, &others).await?;
    take_rules(conn).await
}

/// Makes trips what is expected of them: `changed` may get other seats, `others` do not.
///
/// A trip whose riders move to other seats keeps its model, and so its seats and the prices of their
/// classes, until its import's job moves them; all else of it changes here. Its seats that have no
/// place are blocked if they are free.
///
/// # Errors
/// The database's.
pub(super) async fn change(
    conn: &mut PgConnection,
    changed: &[&Effect],
    others: &[&Effect],
) -> Result<(), sqlx::Error> {
    for trips in changed.chunks(TRIPS).chain(others.chunks(TRIPS)) {
        update(conn, trips).await?;
    }
    let fit = changed.iter().filter(|effect| effect.changes_seats && !effect.moves_riders());
    let ids: Vec<Uuid> = fit.map(|effect| effect.trip).collect();
    for ids in ids.chunks(TRIPS) {
        sqlx::query!("select fit_seats($1)", ids).execute(&mut *conn).await?;
    }
    for effect in changed.iter().filter(|effect| effect.moves_riders()) {
        let Some(model) = effect.expected.as_ref().and_then(|expected| expected.model.as_deref()) else {
            continue;
        };
        block(conn, effect.trip, model).await?;
    }
    Ok(())
}

/// The rules of a trip's route, as they are now.
struct RulesOfTrip {
    trip: Uuid,
    hold_secs: Option<i32>,
    cut_off_secs: Option<i32>,
    refund_secs: Option<i32>,
    refund_percent: Option<i16>,
}

/// Bookings of trips ahead follow the rules of their routes as they are now. Orders keep the rules of
/// refunds that they were sold by. A trip that has these rules already is only read.
async fn take_rules(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    let others = sqlx::query_as!(
        RulesOfTrip,
        r#"select t.id as trip, r.hold_secs, r.cut_off_secs, r.refund_secs, r.refund_percent
           from (select code, coalesce(r.hold_secs, n.hold_secs) as hold_secs,
                        coalesce(r.cut_off_secs, n.cut_off_secs) as cut_off_secs,
                        coalesce(r.refund_secs, n.refund_secs) as refund_secs,
                        coalesce(r.refund_percent, n.refund_percent) as refund_percent
                 from route r cross join network n where r.ended_at is null) as r
           join trip t on t.route = r.code
           where t.departs_at > now()
             and (t.hold_secs, t.cut_off_secs, t.refund_secs, t.refund_percent)
                 is distinct from (r.hold_secs, r.cut_off_secs, r.refund_secs, r.refund_percent)"#
    )
    .fetch_all(&mut *conn)
    .await?;
    for trips in others.chunks(TRIPS) {
        write_rules(conn, trips).await?;
    }
    Ok(())
}

async fn write_rules(conn: &mut PgConnection, trips: &[RulesOfTrip]) -> Result<(), sqlx::Error> {
    let secs =
        |part: fn(&RulesOfTrip) -> Option<i32>| -> Vec<Option<i32>> { trips.iter().map(part).collect() };
    sqlx::query!(
        "update trip t set hold_secs = n.hold_secs, cut_off_secs = n.cut_off_secs,
             refund_secs = n.refund_secs, refund_percent = n.refund_percent
         from unnest($1::uuid[], $2::int[], $3::int[], $4::int[], $5::smallint[])
             as n(id, hold_secs, cut_off_secs, refund_secs, refund_percent)
         where t.id = n.id",
        &trips.iter().map(|is| is.trip).collect::<Vec<_>>(),
        &secs(|is| is.hold_secs) as &[Option<i32>],
        &secs(|is| is.cut_off_secs) as &[Option<i32>],
        &secs(|is| is.refund_secs) as &[Option<i32>],
        &trips.iter().map(|is| is.refund_percent).collect::<Vec<_>>() as &[Option<i16>],
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Takes trips out of sale. The free seats of those that end are blocked, as of all cancelled trips.
async fn withdraw(conn: &mut PgConnection, trips: &[&Effect], ended: bool) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = trips.iter().map(|effect| effect.trip).collect();
    sqlx::query!("update trip set cancelled_at = now() where id = any($1) and cancelled_at is null", &ids)
        .execute(&mut *conn)
        .await?;
    if ended {
        sqlx::query!(
            "update seat set blocked = true where trip_id = any($1) and order_id is null and not blocked",
            &ids
        )
        .execute(conn)
        .await?;
    }
    Ok(())
}

/// Writes what is expected of trips.
async fn update(conn: &mut PgConnection, trips: &[&Effect]) -> Result<(), sqlx::Error> {
    let keeps_model: Vec<bool> =
        trips.iter().filter(|is| is.expected.is_some()).map(|is| is.moves_riders()).collect();
    let trips: Vec<(Uuid, &Expected)> =
        trips.iter().filter_map(|effect| Some((effect.trip, effect.expected.as_ref()?))).collect();
    let of = |part: fn(&Expected) -> i32| -> Vec<i32> { trips.iter().map(|(_, is)| part(is)).collect() };
    let texts = |part: fn(&Expected) -> &Option<String>| -> Vec<Option<String>> {
        trips.iter().map(|(_, is)| part(is).clone()).collect()
    };
    let flags = |part: fn(&Expected) -> bool| -> Vec<bool> { trips.iter().map(|(_, is)| part(is)).collect() };
    let times = |part: fn(&Expected) -> DateTime<Utc>| -> Vec<DateTime<Utc>> {
        trips.iter().map(|(_, is)| part(is)).collect()
    };
    sqlx::query!(
        "update trip t set bus_id = n.bus, direction = n.direction, route = n.route,
             departs_at = n.departs_at, arrives_at = n.arrives_at, cancelled_at = null,
             own_bus = n.own_bus, own_price = n.own_price,
             price = case when n.keeps_model then t.price else n.price end,
             class_prices = case when n.keeps_model then t.class_prices else n.class_prices end,
             model_id = case when n.keeps_model then t.model_id else m.id end,
             capacity = case when n.keeps_model then t.capacity else n.seats end
         from unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::text[], $6::timestamptz[],
                     $7::timestamptz[], $8::numeric[], $9::int[], $10::bool[], $11::jsonb[],
                     $12::bool[], $13::bool[])
             as n(id, bus, direction, route, model, departs_at, arrives_at, price, seats, keeps_model,
                  class_prices, own_bus, own_price)
         left join bus_model m on m.code = n.model and m.ended_at is null
         where t.id = n.id and (n.model is null or m.id is not null)",
        &trips.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        &of(|is| is.bus),
        &of(|is| is.direction.into()),
        &texts(|is| &is.route) as &[Option<String>],
        &texts(|is| &is.model) as &[Option<String>],
        &times(|is| is.departs_at),
        &times(|is| is.arrives_at),
        &trips.iter().map(|(_, is)| is.price).collect::<Vec<Decimal>>(),
        &of(|is| is.seats),
        &keeps_model,
        &trips.iter().map(|(_, is)| is.class_prices.as_ref().map(ClassPrices::to_json)).collect::<Vec<_>>()
            as &[Option<Value>],
        &flags(|is| is.own_bus),
        &flags(|is| is.own_price),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Blocks the free seats of a trip that have no place in its new model. The caller has locked its seats.
async fn block(conn: &mut PgConnection, trip: Uuid, model: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update seat set blocked = true
         where trip_id = $1 and order_id is null and not blocked
           and seat in (select w.seat from bus_model m cross join lateral seats_without_place($1, m.id) as w (seat)
                        where m.code = $2 and m.ended_at is null)",
        trip,
        model
    )
    .execute(conn)
    .await
    .map(drop)
}
