//! A trip with its seat map. Requests that arrive at the same moment share a statement, and those of the
//! same viewer share the map. Each map is read after it was requested, so it is current.

use super::{
    layouts::{Layout, Layouts, ModelLayout, ModelSeat},
    prices::ClassPrices,
    views::{Trip, TripRow},
};
use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    domain::{Money, RiderId, TripId, place_of},
};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use sqlx::{PgConnection, types::Json};
use std::{collections::HashMap, fmt, sync::Arc};
use uuid::Uuid;

/// A trip with its bus and each seat.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "AddedTrip")]
pub struct TripDetail {
    /// The trip.
    #[serde(flatten)]
    pub trip: Trip,
    /// Its bus.
    pub bus: Bus,
    /// How the seats stand in the bus.
    pub layout: Layout,
    /// Each seat, ascending.
    pub seats: Vec<Seat>,
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
    /// Its label.
    #[schemars(with = "String")]
    pub seat: SeatLabel,
    /// From the front, from 1; of its deck.
    pub row: i32,
    /// `left` or `right` of the aisle; null if its row has not one aisle.
    #[schemars(with = "Option<crate::domain::words::SeatSide>")]
    pub side: Option<&'static str>,
    /// `free`, `held`, `sold`, `mine` or `blocked`.
    #[schemars(with = "crate::domain::words::SeatState")]
    pub state: &'static str,
    /// Of a bus with a model: the deck, the lowest is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deck: Option<i32>,
    /// Of a bus with a model: the place in the row, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<i32>,
    /// Of a bus with a model: its class.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub class: Option<SeatLabel>,
    /// Of a bus with a model: its price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
}

/// What is painted on a seat, or its class. A map has many, so they are written only when the map is.
#[derive(Clone, Debug)]
pub enum SeatLabel {
    /// The number of a seat of a bus without a model.
    Number(i32),
    /// A text of the bus's model.
    Text(Arc<str>),
}

impl fmt::Display for SeatLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Serialize for SeatLabel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
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
    conn: &mut PgConnection,
    trip: TripId,
    viewer: Viewer,
) -> Result<Option<TripDetail>, sqlx::Error> {
    Ok(read(conn, &Layouts::default(), &[(trip, viewer)]).await?.pop().map(|(_, map)| map))
}

/// What the statement is executed with.
pub struct SeatMaps {
    batch: Arc<BatchContext>,
    layouts: Layouts,
}

impl SeatMaps {
    /// With the connections of the other statements.
    pub fn new(batch: Arc<BatchContext>, layouts: Layouts) -> Self {
        Self { batch, layouts }
    }
}

/// The statement, for any number of requests.
pub struct ReadSeatMaps;

impl BatchStatement for ReadSeatMaps {
    const NAME: &'static str = "read_seat_maps";
    /// Maps are read on one connection while those of the first batch are written to their clients. Less
    /// fills the batches worse.
    const SECOND_FLUSH_AT: usize = 12;

    type Context = SeatMaps;
    type Request = Request;
    type Output = Option<Arc<TripDetail>>;

    /// Reads do not conflict.
    fn conflict_keys(_: &Request) -> Vec<ConflictKey> {
        Vec::new()
    }

    async fn execute(context: &SeatMaps, batch: &[Request]) -> Result<Vec<Self::Output>, sqlx::Error> {
        let mut distinct = batch.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let mut conn = context.batch.connections.acquire().await?;
        let read = read(&mut conn, &context.layouts, &distinct).await?;
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
    conn: &mut PgConnection,
    layouts: &Layouts,
    requests: &[Request],
) -> Result<Vec<(Request, TripDetail)>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select l.nr as "nr!", t.id as "id!", t.bus_id as "bus_id!", t.direction as "direction!",
            t.departs_at as "departs_at!",
                  t.arrives_at as "arrives_at!", t.price as "price!", t.capacity as "capacity!", t.model_id as "model_id?",
                  t.class_prices as "class_prices: Json<ClassPrices>",
                  t.cancelled_at is not null as "cancelled!", now() as "now!",
                  case when t.cancelled_at is not null
                       then (select c.message from trip_cancellation c where c.trip_id = t.id) end as cancelled_message,
                  t.route, t.timetable_id as departure, t.cut_off_secs, t.refund_secs, t.refund_percent,
                  (select imported_at from network where is_there) as imported_at,
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
    .fetch_all(&mut *conn)
    .await?;
    let layouts = layouts.of(conn, rows.iter().filter_map(|row| row.model_id)).await?;
    let request = |row: &Row| usize::try_from(row.nr - 1).ok().and_then(|at| requests.get(at)).copied();
    let maps = rows.into_iter().filter_map(|row| Some((request(&row)?, row)));
    Ok(maps
        .map(|(request, row)| {
            let layout = row.model_id.and_then(|model| layouts.get(&model)).cloned();
            (request, row.map(request.1, layout.as_deref()))
        })
        .collect())
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
    model_id: Option<i64>,
    class_prices: Option<Json<ClassPrices>>,
    cancelled: bool,
    cancelled_message: Option<String>,
    now: DateTime<Utc>,
    route: Option<String>,
    departure: Option<i32>,
    cut_off_secs: Option<i32>,
    refund_secs: Option<i32>,
    refund_percent: Option<i16>,
    imported_at: Option<DateTime<Utc>>,
    driver_name: String,
    driver_phone: String,
    /// What each seat is, from seat 1 on.
    letters: String,
    /// Whether the viewer has a paid seat.
    rides: bool,
}

impl Row {
    fn map(self, viewer: Viewer, model: Option<&ModelLayout>) -> TripDetail {
        let seats = self.seats(model);
        let free = self.letters.bytes().filter(|letter| *letter == b'f').count();
        let trip = Trip::from(TripRow {
            id: self.id,
            bus_id: self.bus_id,
            direction: self.direction,
            departs_at: self.departs_at,
            arrives_at: self.arrives_at,
            price: self.price,
            class_prices: self.class_prices,
            capacity: self.capacity,
            free_seats: i64::try_from(free).unwrap_or(i64::MAX),
            cancelled: self.cancelled,
            cancelled_message: self.cancelled_message,
            now: self.now,
            route: self.route,
            departure: self.departure,
            cut_off_secs: self.cut_off_secs,
            refund_secs: self.refund_secs,
            refund_percent: self.refund_percent,
            imported_at: self.imported_at,
        });
        let (name, phone) = (Some(self.driver_name), Some(self.driver_phone));
        let shown = self.rides || viewer.is_staff();
        let bus = Bus {
            id: self.bus_id,
            driver_name: name.filter(|_| shown),
            driver_phone: phone.filter(|_| shown),
        };
        let (rows, _) = place_of(self.capacity);
        let plain = || Layout { rows, left: 2, right: 2, decks: Vec::new() };
        let layout = model.map_or_else(plain, |model| model.layout.clone());
        TripDetail { trip, bus, layout, seats }
    }

    fn seats(&self, model: Option<&ModelLayout>) -> Vec<Seat> {
        let Some(model) = model else {
            return (1..).zip(self.letters.bytes()).map(|(seat, letter)| Seat::plain(seat, letter)).collect();
        };
        let price = |class: &str| {
            let by_class = self.class_prices.as_ref().and_then(|prices| prices.of(class));
            // A class that is not for sale has no price of its own.
            by_class.unwrap_or_else(|| Money::from_database(self.price))
        };
        let seat = |(seat, letter): (&ModelSeat, u8)| Seat {
            seat: SeatLabel::Text(Arc::clone(&seat.label)),
            row: seat.row,
            side: seat.side,
            state: state(letter),
            deck: Some(seat.deck),
            column: Some(seat.column),
            class: Some(SeatLabel::Text(Arc::clone(&seat.class))),
            price: Some(price(&seat.class)),
        };
        model.seats.iter().zip(self.letters.bytes()).map(seat).collect()
    }
}

impl Seat {
    /// A seat of a bus without a model.
    fn plain(number: i32, letter: u8) -> Self {
        let (row, side) = place_of(number);
        Self {
            seat: SeatLabel::Number(number),
            row,
            side: Some(side),
            state: state(letter),
            deck: None,
            column: None,
            class: None,
            price: None,
        }
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
