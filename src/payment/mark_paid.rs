//! Step 3, `pay_cancle`: unpaid becomes paid, if in time by the database's clock, and its seats are sold. The
//! last step: it removes the undo that the debit armed and the unpaid-order timer.

use super::{Request, debit::Debited, reverse};
use crate::{
    domain::{Error, OrderStatus},
    orders::{self, OrderView},
    saga::{JobContext, SagaContext},
    statements::{self, MarkPaidRequest},
};
use farebox_jobs::{
    Pay, Paying,
    queue::{Delivery, JobError, Outcome},
};

/// Marks one order paid; `None` if it closed before, or its deadline passed.
///
/// # Errors
/// Barred by its own undo; the database's.
pub async fn run(
    saga: &SagaContext,
    request: &Request,
    debited: &Debited,
) -> Result<Option<OrderView>, Error> {
    let (payment, order) = (request.payment_id.0, request.order_id.0);
    let mark = MarkPaidRequest { payment, order, armed: Some(debited.armed) };
    let at = saga.batchers.mark_paid.submit(mark).await?;
    let order = &debited.order;
    Ok(at.map(|at| OrderView { status: OrderStatus::Paid, paid_at: Some(at), ..order.clone() }))
}

/// The undo: if the order can still become paid, finishes it; else gives the money back.
///
/// # Errors
/// Errors that may pass: the job is retried.
pub async fn undo(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: Pay = delivery.decode()?;
    let paying = job.paying();
    let mut tx = context.begin().await?;
    let note = if reverse::is_owed(&mut tx, paying).await? && finish(&mut tx, paying).await? {
        "finished: the order is paid"
    } else {
        reverse::payment(&mut tx, paying).await?
    };
    context.complete(tx, delivery, note).await
}

async fn finish(tx: &mut sqlx::PgConnection, paying: &Paying) -> Result<bool, sqlx::Error> {
    if orders::lock_status(tx, paying.order_id).await? != Some(OrderStatus::Unpaid) {
        return Ok(false);
    }
    let mark = MarkPaidRequest {
        payment: paying.payment_id.0,
        order: paying.order_id.0,
        // Scheduling this job removed it.
        armed: None,
    };
    Ok(!statements::mark_paid(&mut *tx, &[mark]).await?.is_empty())
}
