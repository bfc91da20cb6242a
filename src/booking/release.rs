//! Giving back the seats of a claim: what the undos of the claim, of the price and of an order that was never
//! added share.
//!
//! Nearly always the claim stands, the order was not added, and this is the first undo to come. One statement
//! does that for all undos that run at this moment, and completes their jobs
//! ([`ReleaseSeats`](crate::statements::ReleaseSeats)). What it finds otherwise it leaves, but barred, to the
//! transaction of [`release`]. There each statement sees what the one before it waited for.

use crate::{
    domain::{OrderId, TripId},
    saga::{
        JobContext,
        barrier::{self, Undoing},
    },
    statements::{GIVEN_BACK, ReleaseRequest, free_seats},
};
use farebox_jobs::{
    Booking, MqTag, OrderUnpaid,
    queue::{self, Delivery, Job, JobError, Outcome},
};
use sqlx::PgConnection;
use std::sync::Arc;

/// The undo of the claim and of the price: gives this order's seats back, unless its order was added.
///
/// # Errors
/// Errors that may pass: the job is retried.
pub(super) async fn undo(
    context: &JobContext,
    delivery: &Delivery,
    booking: &Booking,
) -> Result<Outcome, JobError> {
    if release_batched(context, delivery, booking).await? {
        return Ok(Outcome::Settled);
    }
    let mut tx = context.begin().await?;
    let note = release(&mut tx, booking).await?;
    context.complete(tx, delivery, note).await
}

/// Gives the claim's seats back and completes the job, if nothing else is to be done. Returns whether it did.
///
/// # Errors
/// The database's.
pub(super) async fn release_batched(
    context: &JobContext,
    delivery: &Delivery,
    booking: &Booking,
) -> Result<bool, sqlx::Error> {
    if booking.seats.is_empty() {
        return Ok(false);
    }
    let request = ReleaseRequest { booking: booking.clone(), lease: Arc::clone(&delivery.lease) };
    let done = context.batchers().release_seats.submit(request).await?;
    if done {
        context.log_done(delivery, GIVEN_BACK);
    }
    Ok(done)
}

/// Bars the saga and gives back this order's seats, unless its order was added. Returns the job's note.
///
/// # Errors
/// The database's.
pub(super) async fn release(tx: &mut PgConnection, booking: &Booking) -> Result<&'static str, sqlx::Error> {
    barrier::bar(tx, booking.order_id.0, &MqTag::BOOKING_BARRIERS).await?;
    release_barred(tx, booking).await
}

/// The same, of a saga that is barred.
///
/// # Errors
/// The database's.
pub(super) async fn release_barred(
    tx: &mut PgConnection,
    booking: &Booking,
) -> Result<&'static str, sqlx::Error> {
    match barrier::begin_undo(tx, booking.order_id.0, MqTag::OrderAddSeats, MqTag::OrderAdd).await? {
        Undoing::Finished => Ok("nothing to undo: the order was added"),
        Undoing::Nothing => Ok("nothing to undo: the seats were never claimed, or given back already"),
        Undoing::Due => {
            free(tx, booking).await?;
            Ok(GIVEN_BACK)
        }
    }
}

/// Frees the seats that this order owns, and removes its timer. A booking that never learnt the
/// numbers of its seats frees what it owns of the trip.
async fn free(tx: &mut PgConnection, booking: &Booking) -> Result<(), sqlx::Error> {
    let mut seats = booking.seats.clone();
    if seats.is_empty() {
        seats = whole_claim(&mut *tx, booking.order_id, booking.trip_id).await?;
    }
    free_seats(tx, booking.order_id, booking.trip_id, &seats).await?;
    queue::remove(tx, &[(OrderUnpaid::TAG, booking.order_id.to_string())]).await.map(drop)
}

/// All seats of the trip that the orphan holds: its undo passes the barrier only once, so it must free
/// them all.
pub(super) async fn whole_claim(
    conn: &mut PgConnection,
    orphan: OrderId,
    trip: TripId,
) -> Result<Vec<i32>, sqlx::Error> {
    sqlx::query_scalar!(
        "select seat from seat where trip_id = $1 and order_id = $2 order by seat",
        trip.0,
        orphan.0
    )
    .fetch_all(conn)
    .await
}
