//! What the undos of the claim, of the price and of an order that was never added share: giving back the claim's seats.

use super::STEPS;
use crate::flow::barrier::{self, Undoing};
use farebox_jobs::{Booking, MqTag};
use sqlx::PgConnection;

/// Bars the flow and gives back this order's seats, unless its order was added; says what it did.
///
/// # Errors
/// The database's.
pub(super) async fn claims(tx: &mut PgConnection, booking: &Booking) -> Result<&'static str, sqlx::Error> {
    barrier::bar(tx, booking.order_id.0, &STEPS).await?;
    barred_claims(tx, booking).await
}

/// The same, of a flow that is barred.
///
/// # Errors
/// The database's.
pub(super) async fn barred_claims(
    tx: &mut PgConnection,
    booking: &Booking,
) -> Result<&'static str, sqlx::Error> {
    match barrier::begin_undo(tx, booking.order_id.0, MqTag::OrderAddSeats, MqTag::OrderAdd).await? {
        Undoing::Finished => Ok("nothing to undo: the order was added"),
        Undoing::Nothing => Ok("nothing to undo: the seats were never claimed, or given back already"),
        Undoing::Due => {
            free(tx, booking).await?;
            Ok("seats given back")
        }
    }
}

/// Frees the seats that this order owns, locking them in the order in which a claim does, and takes its timer off.
async fn free(tx: &mut PgConnection, booking: &Booking) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with mine as materialized (
             select trip_id, seat from seat
             where trip_id = $1 and seat = any($2) and order_id = $3
             order by trip_id, seat for update
         ), freed as (
             update seat s set order_id = null, held_until = null
             from mine m where s.trip_id = m.trip_id and s.seat = m.seat and s.order_id = $3
         )
         delete from queue.job where tag = $4 and key = $3::uuid::text and lease_token is null",
        booking.trip_id.0,
        &booking.seats,
        booking.order_id.0,
        MqTag::OrderUnpaid.wire(),
    )
    .execute(tx)
    .await
    .map(drop)
}
