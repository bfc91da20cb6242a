//! Cancelling an unpaid order, `order_cancel`: one step that closes the order and frees its seats. If it
//! fails, its job finishes it.
//!
//! The order is read first, without a lock. None of its fields changes but its state, so the response is
//! known before the statement that makes it true, and that statement stores it under the client's key
//! ([`CancelOrders`](crate::statements::CancelOrders)).

use super::unpaid;
use crate::{
    domain::{CloseReason, Error, OrderStatus, Refusal},
    orders::{self, Command, OrderView},
    saga::{JobContext, Rollback, SagaContext, SagaResult, or_roll_back, step},
    statements::{CancelOutput, CancelRequest},
};
use farebox_jobs::{
    MqTag, OrderCancel,
    queue::{Delivery, JobError, NewJob, Outcome},
};

/// Cancels the rider's unpaid order.
///
/// # Errors
/// Not the rider's, or not unpaid; on a failure the job that finishes the cancelling has been scheduled.
pub async fn cancel(saga: &SagaContext, command: &Command) -> SagaResult<OrderView> {
    let result = step(&saga.faults, MqTag::OrderCancel, run(saga, command)).await;
    let rollback = |_| Rollback {
        undo: NewJob::of(&OrderCancel::new(command.order_id)),
        replaces: None,
        key: command.key.clone(),
        subject: command.attempt,
        error: String::new(),
    };
    or_roll_back(saga, result, rollback).await
}

async fn run(saga: &SagaContext, command: &Command) -> Result<OrderView, Error> {
    let closed = OrderView {
        status: OrderStatus::Closed,
        closed_reason: Some(CloseReason::CancelledByRider.as_str().to_owned()),
        ..still_unpaid(saga, command).await?
    };
    let response = command.key.as_ref().map(|_| closed.to_json());
    match saga.batchers.cancel_orders.submit(CancelRequest { command: command.clone(), response }).await? {
        CancelOutput::Cancelled => Ok(closed),
        CancelOutput::KeyTaken => Err(Error::KeyTaken),
        // Another request was first; its effect decides the refusal.
        CancelOutput::NotUnpaid => {
            let order = still_unpaid(saga, command).await?;
            Err(Refusal::WrongState(order.status).into())
        }
    }
}

/// The rider's order, if nothing has settled it.
async fn still_unpaid(saga: &SagaContext, command: &Command) -> Result<OrderView, Error> {
    let order = orders::find_batched(&saga.batchers.find_orders, command.order_id, command.rider_id).await?;
    let order = order.ok_or(Refusal::NotFound("order"))?;
    match order.status {
        OrderStatus::Unpaid | OrderStatus::Paying => Ok(order),
        status => Err(Refusal::WrongState(status).into()),
    }
}

/// The undo finishes the cancelling; refused once the order is paid.
///
/// # Errors
/// Errors that may pass: the job is retried.
pub async fn undo(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: OrderCancel = delivery.decode()?;
    let mut tx = context.begin().await?;
    let note = match orders::lock_status(&mut tx, job.order_id()).await? {
        Some(OrderStatus::Unpaid) => {
            unpaid::close(&mut tx, job.order_id(), CloseReason::CancelledByRider).await?;
            "cancelled"
        }
        Some(OrderStatus::Closed) => "nothing to do: the order is closed",
        Some(_) => "refused: the order has been paid since",
        None => "nothing to do: there is no such order",
    };
    context.complete(tx, delivery, note).await
}
