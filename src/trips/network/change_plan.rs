//! What an operator's change of one trip does.

use super::{
    buses,
    change_request::{ChangeError, TripChange},
    effect::{Effect, Expected, Kind, Made},
    effects::{count_riders, following},
    load, shortened,
    sold::{self, Moving},
    versions::{Versions, are_kept},
};
use crate::{
    domain::{FieldError, Money, Refusal, TripId},
    storage::currency,
    trips::prices::ClassPrices,
};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, types::Json};
use std::slice;

/// What a change would do.
#[derive(Clone, Debug)]
pub struct ChangePreview {
    /// To the trip.
    pub effect: Effect,
    /// What applies it.
    pub digest: String,
}

/// What becomes of the trip. With `lock`, nobody cancels the trip, and takes or frees a seat of it, until
/// the transaction ends.
///
/// # Errors
/// As `preview_change`.
pub(super) async fn plan(
    conn: &mut PgConnection,
    trip: TripId,
    change: &TripChange,
    lock: bool,
) -> Result<ChangePreview, ChangeError> {
    change.check()?;
    if let Some(pointer) = change.priced_by() {
        currency::pin(&mut *conn, pointer).await?;
    }
    let (made, departures_bus) = read(conn, trip, lock).await?;
    let planned = if change.follow == Some(true) {
        follow(conn, &made).await?
    } else {
        own(conn, &made, departures_bus, change).await?
    };
    let (mut effect, mut moving) = planned.ok_or_else(|| change.nothing())?;
    if effect.kind == Kind::Changes {
        count_riders(conn, slice::from_mut(&mut effect), |_| moving.take(), lock).await?;
    }
    let bus = effect.expected.as_ref().map(|expected| expected.bus).filter(|bus| *bus != made.bus);
    if let Some(bus) = bus
        && let Some((trip, words)) = buses::other_trip(conn, &effect).await?
    {
        return Err(ChangeError::BusTaken { bus, trip: TripId(trip), words });
    }
    let mut digest = Sha256::new();
    digest.update(format!("{change:?} {:?} {effect:?}\n", made.model));
    if effect.kind != Kind::Changes {
        // Shown and no part of the digest: it touches no rider, so it may be applied while seats are sold.
        effect.sold = sold::of(conn, &[made.id], false).await?.remove(&made.id).unwrap_or_default();
    }
    Ok(ChangePreview { effect, digest: shortened(digest) })
}

/// The trip as it is, and the bus of its departure.
///
/// # Errors
/// No such trip, one that has departed or is cancelled; the database's.
async fn read(conn: &mut PgConnection, trip: TripId, lock: bool) -> Result<(Made, Option<i32>), ChangeError> {
    if lock {
        sqlx::query!("select from trip where id = $1 for no key update", trip.0).execute(&mut *conn).await?;
    }
    let made = sqlx::query_as!(
        Made,
        r#"select t.id, d.code as "code?", t.service_date as day, t.departs_at, t.arrives_at, t.bus_id as bus,
                  t.direction, t.price, t.class_prices as "class_prices: Json<ClassPrices>", t.capacity, t.route,
                  t.model_id as model, coalesce(m.ended_at is null, false) as "is_current!",
                  t.cancelled_at is not null as "is_withdrawn!", t.own_bus, t.own_price
           from trip t left join timetable d on d.id = t.timetable_id
           left join bus_model m on m.id = t.model_id
           where t.id = $1"#,
        trip.0
    )
    .fetch_optional(&mut *conn)
    .await?;
    let made = made.ok_or(Refusal::NotFound("trip"))?;
    if made.is_withdrawn {
        return Err(Refusal::TripCancelled.into());
    }
    let row = sqlx::query!(
        r#"select t.departs_at <= now() as "has_departed!", d.bus_id as "bus?"
           from trip t left join timetable d on d.id = t.timetable_id where t.id = $1"#,
        trip.0
    )
    .fetch_one(conn)
    .await?;
    if row.has_departed { Err(Refusal::TripClosed.into()) } else { Ok((made, row.bus)) }
}

/// What becomes of a trip, if anything does, and to which seats it moves.
type Planned = Option<(Effect, Option<Moving>)>;

/// What becomes of a trip that follows its departure again.
async fn follow(conn: &mut PgConnection, made: &Made) -> Result<Planned, ChangeError> {
    let refuse = |rule: &str| FieldError::new("/follow", rule);
    if made.code.is_none() {
        return Err(refuse("a trip of a departure: an extra trip has none").into());
    }
    let network = load(conn).await?.filter(|_| made.route.is_some());
    let network = network.ok_or_else(|| refuse("a trip of a network's departure"))?;
    let planned = following(conn, &network, made).await?;
    let (effect, moving) =
        planned.ok_or_else(|| refuse("the network has no bus or no fare for the trip on its day"))?;
    Ok(effect.map(|effect| (effect, moving)))
}

/// A bus that a trip may get.
struct Bus {
    id: i32,
    capacity: i32,
    /// The version of its model, and the code.
    model: Option<(i64, String)>,
}

/// What becomes of a trip that gets a bus or prices of its own.
async fn own(
    conn: &mut PgConnection,
    made: &Made,
    departures_bus: Option<i32>,
    change: &TripChange,
) -> Result<Planned, ChangeError> {
    let bus = match change.bus_id {
        Some(id) => Some(bus(&mut *conn, made, id).await?),
        None => None,
    };
    let model = bus.as_ref().map_or(made.model, |bus| bus.model.as_ref().map(|(version, _)| *version));
    let versions = Versions::read(conn, made.model.into_iter().chain(model)).await?;
    let seats = model.map(|version| versions.seats(version)).unwrap_or_default();
    let changes_seats = bus.is_some()
        && model.is_some()
        && !are_kept(made.model.map(|version| versions.seats(version)).ok_or(made.capacity), seats);
    let (price, class_prices) = prices(made, model, &versions, change)?;
    let is_own = |bus: &Bus| departures_bus.is_some_and(|departures| departures != bus.id);
    let code = bus.as_ref().and_then(|bus| bus.model.as_ref()).map(|(_, code)| code.clone());
    let expected = Expected {
        route: made.route.clone(),
        direction: made.direction,
        bus: bus.as_ref().map_or(made.bus, |bus| bus.id),
        model: code.clone(),
        seats: if model.is_some() { i32::try_from(seats.len()).unwrap_or(i32::MAX) } else { made.capacity },
        departs_at: made.departs_at,
        arrives_at: made.arrives_at,
        price,
        class_prices,
        own_bus: bus.as_ref().map_or(made.own_bus, is_own),
        own_price: made.own_price || departures_bus.is_some() && change.priced_by().is_some(),
    };
    let what = made.changes(&expected, false, changes_seats);
    let price = made.other_price(&expected);
    let kind = match (what.is_empty(), price.is_some()) {
        (false, _) => Kind::Changes,
        (true, true) => Kind::Price,
        (true, false) => return Ok(None),
    };
    let moving = code.map(|code| Moving::to(&code, seats));
    Ok(Some((Effect { what, price, changes_seats, ..Effect::of(made, kind, Some(expected)) }, moving)))
}

/// The bus that the trip is to get.
///
/// # Errors
/// No such bus, one that the network has no more, one that cannot take the trip's seats; the database's.
async fn bus(conn: &mut PgConnection, made: &Made, id: i32) -> Result<Bus, ChangeError> {
    let row = sqlx::query!(
        r#"select b.capacity, b.model_id, m.code as "code?", b.ended_at is not null as "has_ended!"
           from bus b left join bus_model m on m.id = b.model_id where b.id = $1"#,
        id
    )
    .fetch_optional(conn)
    .await?;
    let refuse = |rule: String| Err(FieldError::new("/bus_id", rule).into());
    let Some(row) = row else { return refuse("there is no such bus".to_owned()) };
    if row.has_ended {
        return refuse("a bus of the network: it has this one no more".to_owned());
    }
    let bus = Bus { id, capacity: row.capacity, model: row.model_id.zip(row.code) };
    match (made.model, &bus.model) {
        (Some(_), None) => refuse("a bus with a model: the trip has the seats of one".to_owned()),
        (None, None) if bus.capacity < made.capacity => {
            refuse(format!("a bus of at least {} seats: the trip has so many", made.capacity))
        }
        _ => Ok(bus),
    }
}

/// The lowest price of the trip, and those of its classes if they differ.
fn prices(
    made: &Made,
    model: Option<i64>,
    versions: &Versions,
    change: &TripChange,
) -> Result<(Decimal, Option<ClassPrices>), FieldError> {
    let given = change.given_prices();
    if model.is_none() {
        if given.by_class.is_some_and(|prices| !prices.is_empty()) {
            return Err(FieldError::new("/prices", "the bus has no model, and so no classes"));
        }
        return Ok((change.price.map_or(made.price, Money::decimal), None));
    }
    let sold = versions.classes(made.model);
    let kept = |class: &str| match made.by_class() {
        Some(prices) => prices.of(class).map(Money::decimal),
        None => sold.contains(class).then_some(made.price),
    };
    let prices = given.of_classes(&versions.classes(model), kept)?;
    prices.lowest().ok_or_else(|| FieldError::new("/bus_id", "a bus whose model sells seats"))
}
