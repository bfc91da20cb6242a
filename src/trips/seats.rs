//! Seats that operators block: a blocked seat has no owner and cannot be booked.

use super::labels::{self, NamedSeat};
use crate::{
    booking::unpaid,
    domain::{Error, FieldError, OrderId, Refusal, RiderId, SeatSet, TripId},
};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgConnection;

/// Most seats that one request blocks or releases.
pub const MAX_SEATS: usize = 1_000;

/// What an operator does with seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeatBlock {
    /// They can no longer be booked.
    Block,
    /// They can be booked again.
    Release,
}

/// The trip's seats that are blocked now.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BlockedSeats {
    /// The trip.
    pub trip_id: TripId,
    /// Seat labels, in the order of the bus.
    pub blocked: Vec<String>,
}

/// What blocking or releasing seats has done.
#[derive(Clone, Debug)]
pub struct SeatsChanged {
    /// What is blocked now.
    pub blocked: BlockedSeats,
    /// Whether any seat was changed.
    pub changed: bool,
    /// The numbers of the seats that were named.
    pub numbers: Vec<i32>,
    /// Their labels, on a trip of a model.
    pub labels: Option<Vec<String>>,
}

/// Blocks or releases the seats, all of them or none, and records the operator and the reason.
/// Seats that are already in the wanted state stay unchanged.
///
/// # Errors
/// An unknown or cancelled trip, a seat the trip does not have, seats that are taken and not
/// overdue (for [`SeatBlock::Block`]), seats that the bus's model does not sell (for
/// [`SeatBlock::Release`]); the database's.
pub async fn set_blocked(
    conn: &mut PgConnection,
    trip: TripId,
    seats: &SeatSet,
    block: SeatBlock,
    reason: &str,
    operator: RiderId,
) -> Result<SeatsChanged, Error> {
    // The shared lock keeps the trip from being cancelled meanwhile: seats that a cancellation
    // blocks must stay blocked. It also keeps the model.
    let found = sqlx::query!(
        r#"select cancelled_at is not null as "cancelled!", model_id from trip where id = $1 for share"#,
        trip.0
    )
    .fetch_optional(&mut *conn)
    .await?
    .ok_or(Refusal::NotFound("trip"))?;
    if found.cancelled {
        return Err(Refusal::TripCancelled.into());
    }
    let named = labels::named(&mut *conn, found.model_id, seats).await?;
    let numbers: Vec<i32> = named.iter().map(|seat| seat.number).collect();
    if block == SeatBlock::Block {
        free_overdue(&mut *conn, trip, &numbers, operator).await?;
    } else if let Some(seat) = named.iter().find(|seat| !seat.is_for_sale) {
        let rule = format!("the bus's model does not sell seat {}", seat.label);
        return Err(Refusal::Invalid(FieldError::new("/seats", rule)).into());
    }
    let what = if block == SeatBlock::Block { "seats_blocked" } else { "seats_released" };
    let seen = sqlx::query!(
        r#"with locked as materialized (
               select seat, order_id from seat where trip_id = $1 and seat = any($2)
               order by trip_id, seat for update
           ), verdict as materialized (
               select coalesce(array_agg(seat), '{}') as known,
                      coalesce(array_agg(seat order by seat) filter (where $3 and order_id is not null), '{}') as taken
               from locked
           ), changed as (
               update seat s set blocked = $3
               from locked l, verdict v
               where s.trip_id = $1 and s.seat = l.seat and s.blocked <> $3
                 and v.taken = '{}' and cardinality(v.known) = cardinality($2)
               returning s.seat
           ), recorded as (
               insert into trip_event (trip_id, what, seats, reason, operator)
               select $1, $4, array_agg(seat order by seat), $5, $6 from changed having count(*) > 0
           )
           select known as "known!", taken as "taken!", exists(select from changed) as "changed!" from verdict"#,
        trip.0,
        &numbers,
        block == SeatBlock::Block,
        what,
        reason,
        operator.0,
    )
    .fetch_one(&mut *conn)
    .await?;
    if let Some(seat) = named.iter().find(|seat| !seen.known.contains(&seat.number)) {
        return Err(labels::unknown(&seat.label));
    }
    let label = |seat: &NamedSeat| seat.label.clone();
    if !seen.taken.is_empty() {
        let taken = named.iter().filter(|seat| seen.taken.contains(&seat.number));
        return Err(Refusal::SeatsTaken(taken.map(label).collect()).into());
    }
    let blocked = BlockedSeats { trip_id: trip, blocked: blocked(conn, trip).await? };
    let labels = found.model_id.map(|_| named.iter().map(label).collect());
    Ok(SeatsChanged { blocked, changed: seen.changed, numbers, labels })
}

/// Frees the seats of overdue holds, which count as free already.
async fn free_overdue(
    conn: &mut PgConnection,
    trip: TripId,
    seats: &[i32],
    operator: RiderId,
) -> Result<(), sqlx::Error> {
    let overdue = sqlx::query_scalar!(
        r#"select distinct order_id as "order_id!" from seat
           where trip_id = $1 and seat = any($2) and held_until <= now() order by 1"#,
        trip.0,
        seats
    )
    .fetch_all(&mut *conn)
    .await?;
    for order in overdue {
        unpaid::give_back(&mut *conn, OrderId(order), trip, operator).await?;
    }
    Ok(())
}

async fn blocked(conn: &mut PgConnection, trip: TripId) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select seat_labels($1, array(select seat from seat where trip_id = $1 and blocked order by seat)) as "labels!""#,
        trip.0
    )
    .fetch_one(conn)
    .await
}
