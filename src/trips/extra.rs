//! Extra trips, which operators add beside the timetable's.

use super::{
    given_prices::GivenPrices,
    network,
    prices::ClassPrices,
    views::{DIRECTION_RULE, is_direction},
};
use crate::{
    domain::{Error, FieldError, Instant, Money, Refusal, TripId},
    storage,
};
use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// How long an extra trip may take, minutes.
const TRIP_MINUTES: std::ops::RangeInclusive<i64> = 1..=1_440;
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
    /// The code of a route, for its stops and rules; without it the network's default rules hold.
    pub route: Option<String>,
    /// The number of a direction: of the route, if there is one.
    #[schemars(range(min = 0, max = 999))]
    pub direction: i16,
    /// When it departs.
    pub departs_at: Instant,
    /// When it arrives.
    pub arrives_at: Instant,
    /// The price of one seat, of the classes that `prices` does not name.
    pub price: Money,
    /// The prices of other classes, by class; for a bus with a model.
    pub prices: Option<BTreeMap<String, Money>>,
    /// The number of seats, if it differs from the bus's. A bus with a model has its model's.
    #[schemars(range(min = 1, max = 100_000))]
    pub capacity: Option<i32>,
}

/// Adds an extra trip with its seats: those of the bus's model, or 1 to its capacity.
///
/// # Errors
/// A field that breaks a rule, a bus that is on another trip at that time; the database's.
pub async fn add(conn: &mut PgConnection, new: &NewTrip) -> Result<TripId, Error> {
    let now = sqlx::query_scalar!(r#"select now() as "now!""#).fetch_one(&mut *conn).await?;
    let (departs_at, arrives_at) = check(new, now).map_err(Refusal::Invalid)?;
    // An import may give the bus another model.
    network::keep_imports_away(&mut *conn).await?;
    check_route(&mut *conn, new).await?;
    let bus = bus(&mut *conn, new.bus_id).await?;
    let seats = bus.seats(new).map_err(Refusal::Invalid)?;
    storage::currency::pin(&mut *conn, "/price").await?;
    for _ in 0..MAX_ATTEMPTS {
        let id = TripId::new();
        // Waits for a concurrent insert of a trip of this bus. The conflicting trip is read by a
        // statement of its own: this one's snapshot is too old to show it.
        let made = sqlx::query_scalar!(
            r#"with made as (
                   insert into trip (id, bus_id, direction, departs_at, arrives_at, price, capacity, model_id,
                                     class_prices, route, hold_secs, cut_off_secs, refund_secs, refund_percent)
                   select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, r.hold_secs, r.cut_off_secs, r.refund_secs,
                          r.refund_percent
                   from (select) as one left join (
                       select coalesce(r.hold_secs, n.hold_secs) as hold_secs,
                              coalesce(r.cut_off_secs, n.cut_off_secs) as cut_off_secs,
                              coalesce(r.refund_secs, n.refund_secs) as refund_secs,
                              coalesce(r.refund_percent, n.refund_percent) as refund_percent
                       from network n left join route r on r.code = $10) as r on true
                   on conflict on constraint trip_has_its_bus_to_itself do nothing
                   returning id, capacity, model_id
               ), seats as (
                   insert into seat (trip_id, seat, blocked)
                   select id, generate_series(1, capacity), false from made where model_id is null
                   union all
                   select made.id, m.number, not m.for_sale from made join model_seat m using (model_id)
               )
               select exists(select from made) as "made!""#,
            id.0,
            new.bus_id,
            new.direction,
            departs_at,
            arrives_at,
            seats.price,
            seats.capacity,
            bus.model_id,
            seats.class_prices.as_ref().map(ClassPrices::to_json),
            new.route
        )
        .fetch_one(&mut *conn)
        .await?;
        if made {
            return Ok(id);
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

/// What an extra trip has of its bus.
struct Bus {
    capacity: i32,
    model_id: Option<i64>,
    /// The classes that its model sells.
    classes: Vec<String>,
}

/// What an extra trip sells.
struct Seats {
    capacity: i32,
    price: Decimal,
    class_prices: Option<ClassPrices>,
}

/// The route is the network's, and has the direction.
async fn check_route(conn: &mut PgConnection, new: &NewTrip) -> Result<(), Error> {
    let Some(route) = &new.route else { return Ok(()) };
    let known = sqlx::query!(
        r#"select exists(select from route where code = $1 and ended_at is null) as "route!",
                  exists(select from direction where route = $1 and number = $2 and ended_at is null) as "direction!""#,
        route,
        new.direction
    )
    .fetch_one(conn)
    .await?;
    let fault = match (known.route, known.direction) {
        (true, true) => return Ok(()),
        (false, _) => FieldError::new("/route", "the network has no such route"),
        (true, false) => FieldError::new("/direction", "the route has no such direction"),
    };
    Err(Refusal::Invalid(fault).into())
}

async fn bus(conn: &mut PgConnection, id: i32) -> Result<Bus, Error> {
    let bus = sqlx::query_as!(
        Bus,
        r#"select capacity, model_id,
                  array(select distinct m.class from model_seat m
                        where m.model_id = b.model_id and m.for_sale) as "classes!"
           from bus b where b.id = $1 and b.ended_at is null"#,
        id
    )
    .fetch_optional(conn)
    .await?;
    bus.ok_or_else(|| Refusal::Invalid(FieldError::new("/bus_id", "there is no such bus")).into())
}

impl Bus {
    fn seats(&self, new: &NewTrip) -> Result<Seats, FieldError> {
        let price = new.price.decimal();
        if self.model_id.is_none() {
            if new.prices.iter().flatten().count() > 0 {
                return Err(FieldError::new("/prices", "the bus has no model, and so no classes"));
            }
            let capacity = new.capacity.unwrap_or(self.capacity);
            return Ok(Seats { capacity, price, class_prices: None });
        }
        if new.capacity.is_some_and(|capacity| capacity != self.capacity) {
            let rule = format!("the bus's model has {} seats", self.capacity);
            return Err(FieldError::new("/capacity", rule));
        }
        let classes = self.classes.iter().map(String::as_str).collect();
        let prices = new.given_prices().of_classes(&classes, |_| None)?;
        let (price, class_prices) = prices.lowest().unwrap_or((price, None));
        Ok(Seats { capacity: self.capacity, price, class_prices })
    }
}

impl NewTrip {
    fn given_prices(&self) -> GivenPrices<'_> {
        GivenPrices { price: Some(self.price), by_class: self.prices.as_ref() }
    }
}

/// Checks the request; returns when the trip departs and arrives.
fn check(new: &NewTrip, now: DateTime<Utc>) -> Result<(DateTime<Utc>, DateTime<Utc>), FieldError> {
    let (departs_at, arrives_at) = (new.departs_at.utc(), new.arrives_at.utc());
    if !is_direction(new.direction) {
        return Err(FieldError::new("/direction", DIRECTION_RULE));
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
    new.given_prices().check()?;
    if new.capacity.is_some_and(|seats| !(1..=100_000).contains(&seats)) {
        return Err(FieldError::new("/capacity", "1 to 100000"));
    }
    Ok((departs_at, arrives_at))
}
