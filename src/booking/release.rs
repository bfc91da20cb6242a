//! What the undos of the claim and of the price share: giving back the seats of an order that was never added.

use super::STEPS;
use crate::flow::barrier;
use farebox_jobs::{Booking, MqTag, queue};
use sqlx::PgConnection;

/// Bars the flow and gives back this order's seats, unless its order was added; says what it did.
///
/// # Errors
/// The database's.
pub(super) async fn claims(tx: &mut PgConnection, booking: &Booking) -> Result<&'static str, sqlx::Error> {
    let order = booking.order_id;
    barrier::bar(tx, order.0, &STEPS).await?;
    if barrier::stands(tx, order.0, MqTag::OrderAdd).await? {
        return Ok("nothing to undo: the order was added");
    }
    let undone = barrier::mark_undone(tx, order.0, &[MqTag::OrderAddSeats]).await?;
    if undone == 0 {
        return Ok("nothing to undo: the seats were never claimed, or given back already");
    }
    free(tx, booking).await?;
    queue::take_off(tx, &[(MqTag::OrderUnpaid.wire(), order.to_string())]).await?;
    Ok("seats given back")
}

/// Frees the seats that this order owns, locking them in the order in which a claim does.
async fn free(tx: &mut PgConnection, booking: &Booking) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with mine as materialized (
             select trip_id, seat from seat
             where trip_id = $1 and seat = any($2) and order_id = $3
             order by trip_id, seat for update)
         update seat s set order_id = null, held_until = null
         from mine m where s.trip_id = m.trip_id and s.seat = m.seat and s.order_id = $3",
        booking.trip_id.0,
        &booking.seats,
        booking.order_id.0
    )
    .execute(tx)
    .await
    .map(drop)
}
