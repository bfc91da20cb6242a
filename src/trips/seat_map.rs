//! A trip with its seat map. Requests that arrive at the same moment share a statement, and those of the
//! same viewer share the map. Each map is read after it was requested, so it is current.

use super::views::{Trip, TripRow};
use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
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
    /// The driver; null but for riders with a paid seat on the trip, and for the operations side.
    pub driver_name: Option<String>,
    /// The driver's phone; likewise.
    pub driver_phone: Option<String>,
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

/// A map has many labels, so they are formatted only when they are written.
fn label<S: Serializer>(seat: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(seat)
}

/// Who sees a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Viewer {
    /// Anybody: no seat is the viewer's own.
    Anyone,
    /// A rider, who sees the own seats, and who drives once one of them is paid.
    Rider(RiderId),
    /// The operations side, which sees who drives, beside the own seats of this account.
    StaffMember(RiderId),
    /// The same, for no account.
    Staff,
}

impl Viewer {
    fn account(self) -> Option<RiderId> {
        match self {
            Self::Rider(account) | Self::StaffMember(account) => Some(account),
            Self::Anyone | Self::Staff => None,
        }
    }

    fn is_staff(self) -> bool {
        matches!(self, Self::Staff | Self::StaffMember(_))
    }
}

/// Which trip, and who sees the map.
pub type Request = (TripId, Viewer);

/// One trip with its seats as `viewer` sees them.
///
/// # Errors
/// The database's.
pub async fn detail(
    db: impl PgExecutor<'_>,
    trip: TripId,
    viewer: Viewer,
) -> Result<Option<TripDetail>, sqlx::Error> {
    Ok(read(db, &[(trip, viewer)]).await?.pop().map(|(_, map)| map))
}

/// The statement, for any number of requests.
pub struct ReadSeatMaps;

impl BatchStatement for ReadSeatMaps {
    /// Maps are read on one connection while those of the first batch are written to their clients. Less
    /// fills the batches worse.
    const SECOND_FLUSH_AT: usize = 12;

    type Context = BatchContext;
    type Request = Request;
    type Output = Option<Arc<TripDetail>>;

    /// Reads do not conflict.
    fn conflict_keys(_: &Request) -> Vec<ConflictKey> {
        Vec::new()
    }

    async fn execute(context: &BatchContext, batch: &[Request]) -> Result<Vec<Self::Output>, sqlx::Error> {
        let mut distinct = batch.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let mut conn = context.connections.acquire().await?;
        let read = read(&mut *conn, &distinct).await?;
        conn.release();
        let maps: HashMap<Request, Arc<TripDetail>> =
            read.into_iter().map(|(request, map)| (request, Arc::new(map))).collect();
        Ok(batch.iter().map(|request| maps.get(request).map(Arc::clone)).collect())
    }
}

/// The maps of those trips that exist. A trip's seats are numbered from 1 without gaps. The orders are
/// read only for a signed-in viewer, to mark the viewer's own seats. The viewer's own hold that is
/// overdue is as free as any other. A seat that is sold to the viewer shows who drives.
async fn read(
    db: impl PgExecutor<'_>,
    requests: &[Request],
) -> Result<Vec<(Request, TripDetail)>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select l.nr as "nr!", t.id as "id!", t.bus_id as "bus_id!", t.direction as "direction!",
            t.departs_at as "departs_at!",
                  t.arrives_at as "arrives_at!", t.price as "price!", t.capacity as "capacity!",
                  t.cancelled_at is not null as "cancelled!", now() as "now!",
                  b.driver_name as "driver_name!", b.driver_phone as "driver_phone!",
                  s.letters as "letters!", s.rides as "rides!"
           from unnest($1::uuid[], $2::uuid[]) with ordinality as l (trip_id, viewer, nr)
           join trip t on t.id = l.trip_id
           join bus b on b.id = t.bus_id
           cross join lateral (
               select coalesce(string_agg(case when own then 'm' else state end, ''), '') as letters,
                      coalesce(bool_or(own and state = 's'), false) as rides
               from (select seat_state(blocked, order_id, held_until) as state,
                            l.viewer is not null and seat_state(blocked, order_id, held_until) in ('h', 's')
                                and exists(select from orders o where o.id = order_id and o.rider_id = l.viewer) as own
                     from seat where trip_id = t.id order by seat) as s
           ) as s"#,
        &requests.iter().map(|(trip, _)| trip.0).collect::<Vec<_>>(),
        &requests.iter().map(|(_, viewer)| viewer.account().map(|viewer| viewer.0)).collect::<Vec<_>>()
            as &[Option<Uuid>],
    )
    .fetch_all(db)
    .await?;
    let request = |row: &Row| usize::try_from(row.nr - 1).ok().and_then(|at| requests.get(at)).copied();
    let maps = rows.into_iter().filter_map(|row| Some((request(&row)?, row)));
    Ok(maps.map(|(request, row)| (request, row.map(request.1))).collect())
}

struct Row {
    /// The number of the request, from 1.
    nr: i64,
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
    /// Whether the viewer has a paid seat.
    rides: bool,
}

impl Row {
    fn map(self, viewer: Viewer) -> TripDetail {
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
        let (name, phone) = (Some(self.driver_name), Some(self.driver_phone));
        let shown = self.rides || viewer.is_staff();
        let bus = Bus {
            id: self.bus_id,
            driver_name: name.filter(|_| shown),
            driver_phone: phone.filter(|_| shown),
        };
        TripDetail { trip, bus, layout: Layout { rows, left: 2, right: 2 }, seats }
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
