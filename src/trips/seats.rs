//! Seats that operators block: a blocked seat has no owner and cannot be booked.

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
#[schemars(rename = "Blocked")]
pub struct BlockedSeats {
    /// The trip.
    pub trip_id: TripId,
    /// Seat labels, ascending.
    pub blocked: Vec<String>,
}

/// Blocks or releases the seats, all of them or none, and records the operator and the reason.
/// Seats that are already in the wanted state stay unchanged. Also returns whether any seat was
/// changed.
///
/// # Errors
/// An unknown or cancelled trip, a seat the trip does not have, seats that are taken and not
/// overdue (for [`SeatBlock::Block`]); the database's.
pub async fn set_blocked(
    conn: &mut PgConnection,
    trip: TripId,
    seats: &SeatSet,
    block: SeatBlock,
    reason: &str,
    operator: RiderId,
) -> Result<(BlockedSeats, bool), Error> {
    // The shared lock keeps the trip from being cancelled meanwhile: seats that a cancellation
    // blocks must stay blocked.
    let cancelled = sqlx::query_scalar!(
        r#"select cancelled_at is not null as "cancelled!" from trip where id = $1 for share"#,
        trip.0
    )
    .fetch_optional(&mut *conn)
    .await?
    .ok_or(Refusal::NotFound("trip"))?;
    if cancelled {
        return Err(Refusal::TripCancelled.into());
    }
    if block == SeatBlock::Block {
        free_overdue(&mut *conn, trip, seats, operator).await?;
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
        seats.numbers(),
        block == SeatBlock::Block,
        what,
        reason,
        operator.0,
    )
    .fetch_one(&mut *conn)
    .await?;
    if let Some(seat) = seats.numbers().iter().find(|seat| !seen.known.contains(seat)) {
        let rule = format!("the trip has no seat {seat}");
        return Err(Refusal::Invalid(FieldError::new("/seats", rule)).into());
    }
    if !seen.taken.is_empty() {
        return Err(Refusal::SeatsTaken(seen.taken).into());
    }
    let blocked = blocked(conn, trip).await?;
    Ok((BlockedSeats { trip_id: trip, blocked }, seen.changed))
}

/// Frees the seats of overdue holds, which count as free already.
async fn free_overdue(
    conn: &mut PgConnection,
    trip: TripId,
    seats: &SeatSet,
    operator: RiderId,
) -> Result<(), sqlx::Error> {
    let overdue = sqlx::query_scalar!(
        r#"select distinct order_id as "order_id!" from seat
           where trip_id = $1 and seat = any($2) and held_until <= now() order by 1"#,
        trip.0,
        seats.numbers()
    )
    .fetch_all(&mut *conn)
    .await?;
    for order in overdue {
        unpaid::give_back(&mut *conn, OrderId(order), trip, operator).await?;
    }
    Ok(())
}

async fn blocked(conn: &mut PgConnection, trip: TripId) -> Result<Vec<String>, sqlx::Error> {
    let seats =
        sqlx::query_scalar!("select seat from seat where trip_id = $1 and blocked order by seat", trip.0)
            .fetch_all(conn)
            .await?;
    Ok(seats.iter().map(ToString::to_string).collect())
}
