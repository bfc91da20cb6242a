//! Step 2, `order_add_seats_cancle`: the seats get this order as their owner, all of them or none.
//!
//! The statement is [`ClaimSeats`](crate::statements::ClaimSeats). A lost claim has written nothing; the
//! check then finds the reason. If the seats belonged to an order past its deadline, the check gives
//! them back, and the booking claims once more.
//!
//! The number of unpaid orders of a rider is limited here too, by the rider's row of `open_hold`. What
//! the row lists counts unless the statement sees it settled, undone or overdue. None of the three ever
//! turns back, so a statement that sees too little can only refuse too much.

use super::{Request, check, release};
use crate::{
    domain::{Error, RefundRules, Refusal},
    saga::{JobContext, SagaContext},
    statements::{ClaimOutput, ClaimRequest, ClaimedSeat},
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    Booking, OrderAddSeats, OrderUnpaid,
    queue::{Delivery, JobError, NewJob, Outcome},
};
use std::sync::Arc;
use uuid::Uuid;

/// What a claim returns for the steps after it.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The seats with their prices, ascending by number.
    pub seats: Vec<ClaimedSeat>,
    /// The database's time of the claim, microseconds.
    pub at: DateTime<Utc>,
    /// Until when the seats are held: the hold, but never past the trip's cut-off.
    pub expires_at: DateTime<Utc>,
    /// The rules of refunds that the seats are sold by.
    pub refund: RefundRules,
    /// The undo that the claim armed: a job's id.
    pub armed: Uuid,
}

/// Claims the seats of one booking.
///
/// # Errors
/// Seats taken, trip closed, too many unpaid orders, key taken; barred by its own undo; the database's.
pub async fn run(saga: &SagaContext, request: &Request, booking: &Booking) -> Result<Claimed, Error> {
    let claim = Arc::new(ClaimRequest {
        order_id: request.order_id,
        rider_id: request.rider_id,
        trip_id: request.trip_id,
        seats: request.seats.clone(),
        key: request.key.clone(),
        undo: NewJob::of(&OrderAddSeats::new(booking)),
        timer: NewJob::of(&OrderUnpaid::new(booking)),
    });
    let mut output = saga.batchers.claim_seats.submit(Arc::clone(&claim)).await?;
    if matches!(output, ClaimOutput::TripClosed | ClaimOutput::SeatsTaken(_)) {
        check::check(saga, request).await?;
        output = saga.batchers.claim_seats.submit(Arc::clone(&claim)).await?;
    }
    match output {
        ClaimOutput::Won { seats, at, expires_at, refund } => {
            Ok(Claimed { seats, at, expires_at, refund, armed: claim.undo.id })
        }
        ClaimOutput::TripClosed => Err(Refusal::TripClosed.into()),
        ClaimOutput::SeatsTaken(taken) => Err(Refusal::SeatsTaken(taken).into()),
        ClaimOutput::TooManyHolds => Err(Refusal::TooManyHolds { most: saga.rules.max_open_holds }.into()),
        ClaimOutput::KeyTaken => Err(Error::KeyTaken),
    }
}

/// The undo: gives this order's seats back, unless the booking went on and its order was added.
///
/// # Errors
/// Errors that may pass: the job is retried.
pub async fn undo(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: OrderAddSeats = delivery.decode()?;
    release::undo(context, delivery, job.booking()).await
}
