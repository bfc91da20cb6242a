//! Cancelling an unpaid order, `order_cancel`: one step that closes the order and frees its seats. If it fails, its
//! job finishes it.

use super::unpaid;
use crate::{
    domain::{CloseReason, OrderStatus, Refusal},
    flow::{Desk, Ending, Flow, Rollback, StepError, idempotency, or_roll_back, step},
    orders::{self, Command, OrderView},
};
use farebox_jobs::{
    MqTag, OrderCancel,
    queue::{Delivery, JobError, NewJob, Outcome},
};

/// Cancels the rider's unpaid order.
///
/// # Errors
/// Not his, or not unpaid; on a failure the job that finishes the cancelling has been raised.
pub async fn cancel(flow: &Flow, command: &Command) -> Ending<OrderView> {
    let ended = step(&flow.faults, MqTag::OrderCancel, run(flow, command)).await;
    let owed = |_| Rollback {
        undo: NewJob::of(&OrderCancel::new(command.order_id)),
        replaces: None,
        key: command.key.clone(),
        subject: command.attempt,
    };
    or_roll_back(flow, ended, owed).await
}

async fn run(flow: &Flow, command: &Command) -> Result<OrderView, StepError> {
    let Command { attempt, order_id, rider_id, ref key } = *command;
    let mut tx = flow.pool.begin().await?;
    orders::find(&mut *tx, order_id, Some(rider_id)).await?.ok_or(Refusal::NotFound("order"))?;
    let closed = unpaid::close(&mut tx, order_id, CloseReason::CancelledByRider).await?;
    let order = orders::find(&mut *tx, order_id, Some(rider_id)).await?.ok_or(Refusal::NotFound("order"))?;
    if !closed {
        return Err(Refusal::WrongState(order.status).into());
    }
    idempotency::answer(&mut tx, key.as_ref(), attempt, 200, &order.to_json()).await?;
    tx.commit().await?;
    Ok(order)
}

/// The undo finishes the cancelling; refused once the order is paid.
///
/// # Errors
/// What may be tried again.
pub async fn undo(desk: &Desk, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: OrderCancel = delivery.decode()?;
    let mut tx = desk.begin().await?;
    let note = match orders::lock_status(&mut tx, job.order_id()).await? {
        Some(OrderStatus::Unpaid) => {
            unpaid::close(&mut tx, job.order_id(), CloseReason::CancelledByRider).await?;
            "cancelled"
        }
        Some(OrderStatus::Closed) => "nothing to do: the order is closed",
        Some(_) => "refused: the order has been paid since",
        None => "nothing to do: there is no such order",
    };
    desk.settle(tx, delivery, note).await
}
