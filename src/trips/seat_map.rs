//! A trip with its seat map. Riders who look at the same moment share a statement, and those who see the same share the map:
//! each was read after it was asked for, so it is current.

use super::views::{Trip, TripRow};
use crate::{
    batch::{BatchContext, BatchStatement, Batchers, ConflictKey},
    domain::{RiderId, TripId, place_of},
};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use sqlx::PgExecutor;
use std::{collections::HashMap, sync::Arc};
use uuid::Uuid;

/// A trip with its bus and each seat.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TripDetail {
    /// The trip.
    #[serde(flatten)]
    pub trip: Trip,
    /// Its bus.
    pub bus: Bus,
    /// Seats in a row, left and right of the aisle.
    pub layout: Layout,
    /// Each seat, ascending.
    pub seats: Vec<Seat>,
}

/// How the seats stand in the bus.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Layout {
    /// Rows.
    pub rows: i32,
    /// Seats left of the aisle.
    pub left: i32,
    /// Seats right of the aisle.
    pub right: i32,
}

/// A bus and who drives it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Bus {
    /// Its number.
    pub id: i32,
    /// The driver.
    pub driver_name: String,
    /// The driver's phone.
    pub driver_phone: String,
}

/// A seat in the map.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Seat {
    /// Its label, which is its number.
    #[serde(serialize_with = "label")]
    #[schemars(with = "String")]
    pub seat: i32,
    /// From the front, from 1.
    pub row: i32,
    /// `left` or `right` of the aisle.
    pub side: &'static str,
    /// `free`, `held`, `sold`, `mine` or `blocked`.
    pub state: &'static str,
}

/// A map has many labels, so they are not made before they are written.
fn label<S: Serializer>(seat: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(seat)
}

/// Whose map of which trip.
pub type Look = (TripId, Option<RiderId>);

/// The map, looked at together with whoever else looks.
///
/// # Errors
/// The database's.
pub async fn look(batchers: &Batchers, look: Look) -> Result<Option<Arc<TripDetail>>, sqlx::Error> {
    batchers.ask::<Looks>(look).await
}

/// One trip with its seats as `viewer` sees them.
///
/// # Errors
/// The database's.
pub async fn detail(
    db: impl PgExecutor<'_>,
    trip: TripId,
    viewer: Option<RiderId>,
) -> Result<Option<TripDetail>, sqlx::Error> {
    Ok(read(db, &[(trip, viewer)]).await?.pop().map(|(_, map)| map))
}

/// The statement, for any number of riders.
struct Looks;

impl BatchStatement for Looks {
    /// Seat maps became a quarter more at 64 clients, together with labels that are not made before they are written.
    const CROWD: usize = 12;

    type BatchContext = BatchContext;
    type Ask = Look;
    type Answer = Option<Arc<TripDetail>>;

    /// Who only looks is in nobody's way.
    fn shared(_: &Look) -> Vec<ConflictKey> {
        Vec::new()
    }

    async fn ask_all(ground: &BatchContext, looks: &[Look]) -> Result<Vec<Self::Answer>, sqlx::Error> {
        let mut wanted = looks.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let mut db = ground.db.take().await?;
        let read = read(&mut *db, &wanted).await?;
        db.keep();
        let maps: HashMap<Look, Arc<TripDetail>> =
            read.into_iter().map(|(look, map)| (look, Arc::new(map))).collect();
        Ok(looks.iter().map(|look| maps.get(look).map(Arc::clone)).collect())
    }
}

/// The maps of those trips that there are. A trip's seats are numbered from 1 without gaps. Only whose they are is asked of the
/// orders, and only for a rider. His own hold that is overdue is as free as anybody's.
async fn read(db: impl PgExecutor<'_>, looks: &[Look]) -> Result<Vec<(Look, TripDetail)>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select l.viewer, t.id as "id!", t.bus_id as "bus_id!", t.direction as "direction!", t.departs_at as "departs_at!",
                  t.arrives_at as "arrives_at!", t.price as "price!", t.capacity as "capacity!",
                  t.cancelled_at is not null as "cancelled!", now() as "now!",
                  b.driver_name as "driver_name!", b.driver_phone as "driver_phone!",
                  s.letters as "letters!"
           from unnest($1::uuid[], $2::uuid[]) as l (trip_id, viewer)
           join trip t on t.id = l.trip_id
           join bus b on b.id = t.bus_id
           cross join lateral (
               select coalesce(string_agg(
                          case when l.viewer is not null and seat_state(blocked, order_id, held_until) in ('h', 's')
                                    and exists(select from orders o where o.id = order_id and o.rider_id = l.viewer) then 'm'
                               else seat_state(blocked, order_id, held_until) end, ''), '') as letters
               from (select * from seat where trip_id = t.id order by seat) as s
           ) as s"#,
        &looks.iter().map(|(trip, _)| trip.0).collect::<Vec<_>>(),
        &looks.iter().map(|(_, viewer)| viewer.map(|viewer| viewer.0)).collect::<Vec<_>>() as &[Option<Uuid>],
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Row::map).collect())
}

struct Row {
    viewer: Option<Uuid>,
    id: Uuid,
    bus_id: i32,
    direction: i16,
    departs_at: DateTime<Utc>,
    arrives_at: DateTime<Utc>,
    price: Decimal,
    capacity: i32,
    cancelled: bool,
    now: DateTime<Utc>,
    driver_name: String,
    driver_phone: String,
    /// What each seat is, from seat 1 on.
    letters: String,
}

impl Row {
    fn map(self) -> (Look, TripDetail) {
        let look = (TripId(self.id), self.viewer.map(RiderId));
        let seats = (1..).zip(self.letters.bytes()).map(|(seat, letter)| Seat::new(seat, letter)).collect();
        let free = self.letters.bytes().filter(|letter| *letter == b'f').count();
        let (rows, _) = place_of(self.capacity);
        let trip = Trip::from(TripRow {
            id: self.id,
            bus_id: self.bus_id,
            direction: self.direction,
            departs_at: self.departs_at,
            arrives_at: self.arrives_at,
            price: self.price,
            capacity: self.capacity,
            free_seats: i64::try_from(free).unwrap_or(i64::MAX),
            cancelled: self.cancelled,
            now: self.now,
        });
        let bus = Bus { id: self.bus_id, driver_name: self.driver_name, driver_phone: self.driver_phone };
        (look, TripDetail { trip, bus, layout: Layout { rows, left: 2, right: 2 }, seats })
    }
}

impl Seat {
    fn new(seat: i32, letter: u8) -> Self {
        let (row, side) = place_of(seat);
        Self { seat, row, side, state: state(letter) }
    }
}

/// The word for a letter of a map.
pub(super) fn state(letter: u8) -> &'static str {
    match letter {
        b'f' => "free",
        b'b' => "blocked",
        b'm' => "mine",
        b's' => "sold",
        _ => "held",
    }
}
