//! Claims seats: each booking gets all of its seats or none, in one statement for any number of bookings.
//!
//! The statement locks the wanted seats in one order everywhere, so two of them never deadlock. It judges
//! each booking by what it then sees. For those that won it reserves the client's key, writes the barrier
//! row, sets the owner, arms the undo and enqueues the unpaid-order timer. A lost booking writes nothing.
//! Seats are named by label; the statement finds their numbers and prices.
//! No two bookings of a batch want the same seat ([`ClaimSeats::conflict_keys`]), so the statement need
//! not choose between them.

use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    domain::{Money, OrderId, RefundRules, RiderId, SeatSet, TripId},
    idempotency::{self, IdempotencyKey},
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    MqTag, OrderAddSeats, OrderUnpaid,
    queue::{Job, NewJob},
};
use rust_decimal::Decimal;
use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};
use std::sync::Arc;
use uuid::Uuid;

/// The statement.
pub struct ClaimSeats;

/// One booking, and the jobs that its claim enqueues.
pub struct Request {
    /// The id the order will have.
    pub order_id: OrderId,
    /// Who books.
    pub rider_id: RiderId,
    /// Which trip.
    pub trip_id: TripId,
    /// Which seats, by their labels.
    pub seats: SeatSet,
    /// The client's idempotency key.
    pub key: Option<IdempotencyKey>,
    /// The undo to arm. The statement writes the seats' numbers into it, as into the timer.
    pub undo: NewJob,
    /// The unpaid-order timer.
    pub timer: NewJob,
}

/// What became of one booking.
pub enum Output {
    /// The order owns the seats.
    Won {
        /// The seats, ascending by number.
        seats: Vec<ClaimedSeat>,
        /// The database's time of the claim.
        at: DateTime<Utc>,
        /// Until when the seats are held.
        expires_at: DateTime<Utc>,
        /// The trip's rules of refunds.
        refund: RefundRules,
    },
    /// The trip is unknown, cancelled or closed for booking.
    TripClosed,
    /// These of the seats are not free, or do not exist.
    SeatsTaken(Vec<String>),
    /// Another request has the client's key.
    KeyTaken,
    /// The rider has too many unpaid orders.
    TooManyHolds,
}

/// A seat that a claim has taken.
#[derive(Clone, Debug)]
pub struct ClaimedSeat {
    /// Its number, which is its key.
    pub number: i32,
    /// Its label; `None` where the number is the label.
    pub label: Option<String>,
    /// What it costs; never the client's.
    pub price: Money,
}

impl BatchStatement for ClaimSeats {
    const NAME: &'static str = "claim_seats";
    type Context = BatchContext;
    type Request = Arc<Request>;
    type Output = Output;

    fn conflict_keys(request: &Arc<Request>) -> Vec<ConflictKey> {
        let seats = request.seats.labels().iter();
        let seats = seats.map(|label| ConflictKey::Seat(request.trip_id.0, label.clone()));
        seats.chain(request.key.iter().map(IdempotencyKey::conflict_key)).collect()
    }

    async fn execute(context: &BatchContext, batch: &[Arc<Request>]) -> Result<Vec<Output>, sqlx::Error> {
        let mut conn = context.connections.acquire().await?;
        let rows = claim(&mut conn, context, batch).await?;
        conn.release();
        rows.into_iter().zip(batch).map(|(row, request)| row.decode(request)).collect()
    }
}

/// One booking's row of the result.
struct Row {
    verdict: String,
    /// The seats that were free.
    free: Vec<i32>,
    /// Their labels, on a trip of a model.
    labels: Option<Vec<String>>,
    /// Their prices, on a trip whose classes cost differently.
    prices: Option<Vec<Decimal>>,
    unit_price: Option<Decimal>,
    at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    refund_secs: Option<i32>,
    refund_percent: Option<i16>,
}

impl Row {
    fn decode(self, request: &Request) -> Result<Output, sqlx::Error> {
        Ok(match (self.verdict.as_str(), self.unit_price, self.expires_at) {
            ("won", Some(price), Some(expires_at)) => {
                let refund = RefundRules { secs: self.refund_secs, percent: self.refund_percent };
                let at = self.at;
                Output::Won { seats: self.seats(Money::from_database(price)), at, expires_at, refund }
            }
            ("trip_closed", ..) => Output::TripClosed,
            ("seats_taken", ..) => {
                let labels = self.labels.unwrap_or_else(|| labels_of(&self.free));
                Output::SeatsTaken(request.seats.without(&labels))
            }
            ("key_taken", ..) => Output::KeyTaken,
            ("too_many_holds", ..) => Output::TooManyHolds,
            (word, ..) => return Err(super::unknown_word("claim", word)),
        })
    }

    /// The claimed seats. The arrays are of the same rows in the same order.
    fn seats(self, price: Money) -> Vec<ClaimedSeat> {
        let mut labels = self.labels.into_iter().flatten();
        let mut prices = self.prices.into_iter().flatten().map(Money::from_database);
        let seat =
            |number| ClaimedSeat { number, label: labels.next(), price: prices.next().unwrap_or(price) };
        let mut seats: Vec<ClaimedSeat> = self.free.into_iter().map(seat).collect();
        seats.sort_unstable_by_key(|seat| seat.number);
        seats
    }
}

fn labels_of(numbers: &[i32]) -> Vec<String> {
    numbers.iter().map(ToString::to_string).collect()
}

async fn claim(
    conn: &mut PgConnection,
    context: &BatchContext,
    batch: &[Arc<Request>],
) -> Result<Vec<Row>, sqlx::Error> {
    let rules = &context.rules;
    let keys = || batch.iter().map(|request| request.key.as_ref());
    let owners = batch.iter().flat_map(|r| r.seats.labels().iter().map(|_| r.order_id.0));
    let numbers = batch.iter().flat_map(|r| r.seats.numbers());
    let labels = batch.iter().flat_map(|r| r.seats.labels());
    sqlx::query_file_as!(
        Row,
        "src/statements/claim_seats.sql",
        &batch.iter().map(|r| r.order_id.0).collect::<Vec<_>>(),
        &batch.iter().map(|r| r.rider_id.0).collect::<Vec<_>>(),
        &batch.iter().map(|r| r.trip_id.0).collect::<Vec<_>>(),
        &keys().map(|key| key.map(|key| key.key.clone())).collect::<Vec<_>>() as &[Option<String>],
        &keys().map(|key| key.map(|key| key.fingerprint.clone())).collect::<Vec<_>>() as &[Option<Vec<u8>>],
        &batch.iter().map(|r| r.undo.id).collect::<Vec<_>>(),
        &batch.iter().map(|r| r.undo.json()).collect::<Vec<_>>() as &[Json<&RawValue>],
        &batch.iter().map(|r| r.timer.id).collect::<Vec<_>>(),
        &batch.iter().map(|r| r.timer.json()).collect::<Vec<_>>() as &[Json<&RawValue>],
        &batch.iter().map(|r| i32::try_from(r.seats.count()).unwrap_or(i32::MAX)).collect::<Vec<_>>(),
        &owners.collect::<Vec<Uuid>>(),
        &numbers.collect::<Vec<_>>() as &[Option<i32>],
        rules.hold_secs,
        rules.cut_off_secs,
        idempotency::stale_secs(),
        MqTag::OrderAddSeats.wire(),
        OrderAddSeats::RETRY.max_attempts,
        rules.undo_after().as_seconds_f64(),
        MqTag::OrderUnpaid.wire(),
        OrderUnpaid::RETRY.max_attempts,
        i32::from(rules.max_open_holds),
        &labels.cloned().collect::<Vec<String>>(),
    )
    .fetch_all(conn)
    .await
}
