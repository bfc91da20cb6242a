//! Step 4, `order_add_cancle`: the order, unpaid. The last step: it removes the undo that the claim armed.

use super::{Request, claim::Claimed, release, unpaid};
use crate::{
    domain::{CloseReason, Error, OrderStatus},
    orders::{self, OrderView},
    saga::{JobContext, SagaContext, barrier},
    statements::NewOrder,
};
use farebox_jobs::{
    MqTag, OrderAdd,
    queue::{Delivery, JobError, Outcome},
};

/// Adds one order, and removes the undo that its claim armed. The order is what the client is answered
/// again for the same key.
///
/// # Errors
/// Barred by its own undo; the database's.
pub async fn run(
    saga: &SagaContext,
    request: &Request,
    order: &OrderView,
    claimed: &Claimed,
) -> Result<(), Error> {
    let seats = claimed.seats.iter().map(|seat| seat.number).collect();
    let has_labels = claimed.seats.iter().any(|seat| seat.label.is_some());
    let new = NewOrder {
        rider_id: request.rider_id,
        seats,
        has_labels,
        order: order.clone(),
        refund: claimed.refund,
        armed: claimed.armed,
    };
    Ok(saga.batchers.add_orders.submit(new).await?)
}

/// The undo: closes the order as cancelled by the system and gives its seats back; refused once it is paid.
///
/// # Errors
/// Errors that may pass: the job is retried.
pub async fn undo(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: OrderAdd = delivery.decode()?;
    if release::release_batched(context, delivery, job.booking()).await? {
        return Ok(Outcome::Settled);
    }
    let order_id = job.booking().order_id;
    let mut tx = context.begin().await?;
    barrier::bar(&mut tx, order_id.0, &MqTag::BOOKING_BARRIERS).await?;
    let note = match orders::lock_status(&mut tx, order_id).await? {
        None => release::release_barred(&mut tx, job.booking()).await?,
        Some(OrderStatus::Unpaid) => {
            unpaid::close(&mut tx, order_id, CloseReason::CancelledBySystem).await?;
            barrier::mark_undone(&mut tx, order_id.0, &MqTag::BOOKING_BARRIERS).await?;
            "order closed, seats given back"
        }
        Some(OrderStatus::Closed) => "the order was closed already",
        Some(_) => "refused: the order has been paid since",
    };
    context.complete(tx, delivery, note).await
}
