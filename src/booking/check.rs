//! Step 1, `order_seats_cancel`: is the trip open, do the seats exist, are they free? Writes nothing.
//!
//! The claim judges the same again, under its locks. So a booking whose seats no other request wants at this
//! moment leaves the check to the claim, and checks only if the claim is lost, to find the reason. In a rush
//! for few seats each booking checks first, for a check is cheaper than a claim that loses.
//!
//! Seats past their deadline are given back here and now, by the code of the unpaid-order job, so that they
//! can be booked again even when no worker runs.

use super::{Request, unpaid};
use crate::{
    batch::InFlightGuard,
    domain::{Error, FieldError, OrderId, Refusal},
    saga::{JobContext, SagaContext, barrier},
    statements::CheckSeatsRequest,
    storage::again,
};
use farebox_jobs::{
    MqTag, OrderSeats,
    queue::{Delivery, JobError, Outcome},
};

/// Checks if the seats are contested; else the claim does.
///
/// # Errors
/// [`check`]'s.
pub async fn run(saga: &SagaContext, request: &Request, in_flight: &InFlightGuard) -> Result<(), Error> {
    if in_flight.is_contested { check(saga, request).await } else { Ok(()) }
}

/// Reads the trip and the seats, refuses what the claim would refuse, and gives back what is overdue.
///
/// # Errors
/// Unknown, departed or cancelled trip; unknown or taken seats; the database's.
pub async fn check(saga: &SagaContext, request: &Request) -> Result<(), Error> {
    let seats = CheckSeatsRequest { trip_id: request.trip_id, seats: request.seats.clone() };
    let found = saga.batchers.check_seats.submit(seats).await?;
    if !found.exists {
        return Err(Refusal::NotFound("trip").into());
    }
    if found.cancelled {
        return Err(Refusal::TripCancelled.into());
    }
    if found.closed {
        return Err(Refusal::TripClosed.into());
    }
    if let Some(seat) = request.seats.without(&found.known).first() {
        return Err(
            Refusal::Invalid(FieldError::new("/seats", format!("the trip has no seat {seat}"))).into()
        );
    }
    if !found.taken.is_empty() {
        let free = request.seats.without(&found.taken);
        return Err(Refusal::SeatsTaken(request.seats.without(&free)).into());
    }
    for order in found.overdue {
        Box::pin(again(|| unpaid::evict(saga, OrderId(order), request))).await?;
    }
    Ok(())
}

/// The undo: bars the writing steps of the saga and proves that none ran.
///
/// # Errors
/// Needs an operator if a seat is held after all; else what may be tried again.
pub async fn undo(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: OrderSeats = delivery.decode()?;
    let booking = job.booking();
    let mut tx = context.begin().await?;
    barrier::bar(&mut tx, booking.order_id.0, &MqTag::BOOKING_BARRIERS).await?;
    let held = sqlx::query_scalar!(
        r#"select count(*) as "held!" from seat
           where trip_id = $1 and order_id = $3
             -- A failed check has no numbers yet of the seats of a model.
             and (seat = any($2) or (select model_id is not null from trip where id = $1))"#,
        booking.trip_id.0,
        &booking.seats,
        booking.order_id.0
    )
    .fetch_one(&mut *tx)
    .await?;
    if held > 0 {
        return Err(JobError::needs_operator(format!(
            "the check of order {} failed, yet {held} seats are held for it",
            booking.order_id
        )));
    }
    context.complete(tx, delivery, "barred; nothing was written").await
}
