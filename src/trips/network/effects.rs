//! What a network does to the trips that are made already.

use super::{
    effect::{Effect, Expected, Kind, Made},
    extra_trips,
    sold::{self, Moving},
    versions::{SeatKey, Versions, are_kept, key},
};
use crate::{
    domain::Money,
    network::{BusModel, Code, Departure, Network},
    trips::prices::ClassPrices,
};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::{PgConnection, types::Json};
use std::collections::HashMap;

/// What `new` does to the trips; `old` is the network that they were made by. With `lock`, nobody
/// takes or frees a seat of a trip that ends or changes until the transaction ends.
///
/// # Errors
/// The database's.
pub(super) async fn effects(
    conn: &mut PgConnection,
    old: Option<&Network>,
    new: &Network,
    lock: bool,
) -> Result<Vec<Effect>, sqlx::Error> {
    let now: DateTime<Utc> = sqlx::query_scalar!(r#"select now() as "now!""#).fetch_one(&mut *conn).await?;
    if lock {
        // Nobody cancels one of them meanwhile.
        sqlx::query!(
            "select from trip where departs_at > now() and timetable_id is not null order by id for no key update"
        )
        .execute(&mut *conn)
        .await?;
    }
    let made = made(conn).await?;
    let versions = Versions::read(conn, made.iter().filter_map(|trip| trip.model)).await?;
    let mut plans = Plans::new(old, new, versions);
    let mut effects: Vec<Effect> = made.iter().filter_map(|trip| plans.effect(trip, now)).collect();
    effects.extend(extra_trips::staying(conn, old, new).await?);
    count_riders(conn, &mut effects, |expected| plans.moving(expected), lock).await?;
    Ok(effects)
}

/// What becomes of a trip that follows its departure again, and to which seats it moves: no effect if it
/// follows already, and `None` if the network does not have the trip.
///
/// # Errors
/// The database's.
pub(super) async fn following(
    conn: &mut PgConnection,
    network: &Network,
    trip: &Made,
) -> Result<Option<(Option<Effect>, Option<Moving>)>, sqlx::Error> {
    let versions = Versions::read(conn, trip.model.into_iter()).await?;
    let mut plans = Plans::new(Some(network), network, versions);
    let Some(expected) = plans.expected(trip, Own::default()) else { return Ok(None) };
    let moving = plans.moving(&expected);
    Ok(Some((plans.becomes(trip, expected), moving)))
}

/// Adds to effects the seats that riders have of the trips, and the orders that lose one. `moving` says to
/// which seats a trip moves.
///
/// # Errors
/// The database's.
pub(super) async fn count_riders(
    conn: &mut PgConnection,
    effects: &mut [Effect],
    mut moving: impl FnMut(&Expected) -> Option<Moving>,
    lock: bool,
) -> Result<(), sqlx::Error> {
    let touched =
        effects.iter().filter(|effect| matches!(effect.kind, Kind::Ends | Kind::Changes | Kind::Stays));
    let sold = sold::of(conn, &touched.map(|effect| effect.trip).collect::<Vec<_>>(), lock).await?;
    for effect in &mut *effects {
        effect.sold = sold.get(&effect.trip).copied().unwrap_or_default();
    }
    let moved = effects.iter().filter(|effect| effect.moves_riders());
    let moved = moved.filter_map(|effect| Some((effect.trip, moving(effect.expected.as_ref()?)?)));
    let mut lost = sold::lost(conn, &moved.collect::<Vec<_>>()).await?;
    for effect in effects {
        effect.lost = lost.remove(&effect.trip).unwrap_or_default();
    }
    Ok(())
}

async fn made(conn: &mut PgConnection) -> Result<Vec<Made>, sqlx::Error> {
    sqlx::query_as!(
        Made,
        r#"select t.id, d.code, t.service_date as day, t.departs_at, t.arrives_at, t.bus_id as bus, t.direction,
                  t.price, t.class_prices as "class_prices: Json<ClassPrices>", t.capacity, t.route,
                  t.model_id as model, coalesce(m.ended_at is null, false) as "is_current!",
                  t.cancelled_at is not null as "is_withdrawn!", t.own_bus, t.own_price
           from trip t join timetable d on d.id = t.timetable_id
           left join bus_model m on m.id = t.model_id
           where t.departs_at > now()
             and (t.cancelled_at is null or not exists (select from trip_cancellation c where c.trip_id = t.id))
           order by t.departs_at, t.id"#
    )
    .fetch_all(conn)
    .await
}

struct Plans<'a> {
    old: Option<&'a Network>,
    new: &'a Network,
    /// The seats of the versions that trips have.
    versions: Versions,
    /// The seats of each new model.
    seats: HashMap<&'a Code, Vec<SeatKey>>,
    /// Whether a version, or a number of seats without a model, has the seats of a new model.
    kept: HashMap<(Result<i64, i32>, &'a Code), bool>,
}

/// What a trip sells on a bus.
struct Sale<'a> {
    bus: u32,
    model: &'a Code,
    price: Decimal,
    class_prices: Option<ClassPrices>,
    /// Whether the prices are the trip's own.
    own_price: bool,
}

/// What a trip has of its own.
#[derive(Clone, Copy, Default)]
struct Own {
    bus: bool,
    price: bool,
}

impl<'a> Plans<'a> {
    fn new(old: Option<&'a Network>, new: &'a Network, versions: Versions) -> Self {
        Self { old, new, versions, seats: HashMap::new(), kept: HashMap::new() }
    }

    fn effect(&mut self, trip: &Made, now: DateTime<Utc>) -> Option<Effect> {
        let expected = self.expected(trip, Own { bus: trip.own_bus, price: trip.own_price });
        let Some(expected) = expected.filter(|expected| expected.departs_at > now) else {
            return (!trip.is_withdrawn).then(|| Effect::of(trip, Kind::Ends, None));
        };
        if trip.is_withdrawn {
            let returns = Effect::of(trip, Kind::Returns, Some(expected));
            return Some(Effect { changes_seats: true, ..returns });
        }
        self.becomes(trip, expected)
    }

    /// What becomes of a trip that runs and will run.
    fn becomes(&mut self, trip: &Made, expected: Expected) -> Option<Effect> {
        let changes_seats = !self.seats_are_kept(trip, expected.model.as_deref());
        let what = trip.changes(&expected, !self.stops_are_kept(trip), changes_seats);
        let price = trip.other_price(&expected);
        let follows_otherwise = (trip.own_bus, trip.own_price) != (expected.own_bus, expected.own_price);
        let kind = if !what.is_empty() {
            Kind::Changes
        } else if price.is_some() {
            Kind::Price
        } else if !trip.is_current || trip.route != expected.route || follows_otherwise {
            Kind::Adopted
        } else {
            return None;
        };
        Some(Effect { changes_seats, what, price, ..Effect::of(trip, kind, Some(expected)) })
    }

    /// The trip that the network has of its departure on its day. A bus that an operator gave it stays as
    /// long as the network has it, and so do prices as long as the classes are the same.
    fn expected(&mut self, trip: &Made, own: Own) -> Option<Expected> {
        let (new, day) = (self.new, trip.day?);
        let departure = new.departures.get(trip.code.as_deref()?)?;
        if !new.calendars.get(&departure.calendar)?.runs_on(day) {
            return None;
        }
        let (departs_at, arrives_at) = new.times(departure, day)?;
        let own_sale = u32::try_from(trip.bus).ok().filter(|_| own.bus);
        let own_sale = own_sale.and_then(|bus| self.sale(trip, departure, bus, own.price));
        let own_bus = own_sale.is_some();
        let sale = own_sale.or_else(|| self.sale(trip, departure, departure.bus, own.price))?;
        let Sale { bus, model, price, class_prices, own_price } = sale;
        let seats = i32::try_from(self.seats(model).len()).ok()?;
        Some(Expected {
            route: Some(departure.route.to_string()),
            direction: i16::try_from(departure.direction).ok()?,
            bus: i32::try_from(bus).ok()?,
            model: Some(model.to_string()),
            seats,
            departs_at,
            arrives_at,
            price,
            class_prices,
            own_bus,
            own_price,
        })
    }

    /// What the trip sells on this bus, at its own prices if it has some; `None` if the network does not have
    /// the bus, or no price for a class of it.
    fn sale(&self, trip: &Made, departure: &Departure, bus: u32, own_price: bool) -> Option<Sale<'a>> {
        let model = &self.new.buses.get(&bus)?.model;
        let classes = self.new.models.get(model)?.sold_classes();
        let has_its_classes = || classes.iter().copied().eq(self.versions.classes(trip.model));
        let fare = |class: &&str| {
            let fare = self.new.fare(departure, class, trip.day?)?;
            Some(((*class).to_owned(), Money::of_minor(fare.minor()).decimal()))
        };
        let own_price = own_price && has_its_classes();
        let fares = || classes.iter().map(fare).collect::<Option<ClassPrices>>()?.lowest();
        let (price, class_prices) = match (own_price, fares()) {
            (false, Some(fares)) => fares,
            // A bus of the trip's own may have a class without a fare: the trip has a price of it.
            (false, None) if bus == departure.bus || !has_its_classes() => return None,
            _ => (trip.price, trip.by_class().cloned()),
        };
        Some(Sale { bus, model, price, class_prices, own_price })
    }

    /// The seats of a new model.
    fn seats(&mut self, model: &'a Code) -> &[SeatKey] {
        let new = self.new;
        self.seats.entry(model).or_insert_with(|| {
            let seats = new.models.get(model).map(BusModel::seats).unwrap_or_default();
            seats.iter().map(key).collect()
        })
    }

    /// The labels that the trip's new model sells.
    fn moving(&mut self, expected: &Expected) -> Option<Moving> {
        let (code, _) = self.new.models.get_key_value(expected.model.as_deref()?)?;
        Some(Moving::to(code.as_str(), self.seats(code)))
    }

    /// Whether its direction has the stops that it had.
    fn stops_are_kept(&self, trip: &Made) -> bool {
        let (Some(old), Some(route)) = (self.old, trip.route.as_deref()) else { return true };
        let Ok(number) = u16::try_from(trip.direction) else { return false };
        let stops = |network: &'a Network| Some(&network.routes.get(route)?.directions.get(&number)?.stops);
        stops(old) == stops(self.new)
    }

    /// Whether its seats are those of the model.
    fn seats_are_kept(&mut self, trip: &Made, model: Option<&str>) -> bool {
        let Some((code, _)) = model.and_then(|model| self.new.models.get_key_value(model)) else {
            return false;
        };
        let before = trip.model.ok_or(trip.capacity);
        if let Some(is_kept) = self.kept.get(&(before, code)) {
            return *is_kept;
        }
        self.seats(code);
        let seats = before.map(|version| self.versions.seats(version));
        let is_kept = self.seats.get(code).is_some_and(|new| are_kept(seats, new));
        self.kept.insert((before, code), is_kept);
        is_kept
    }
}
