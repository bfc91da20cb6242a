//! Step 1, `pay_check_cancle`: the order is the rider's, unpaid and in time; the pay password is right, or the payment was
//! authorized; the balance suffices. Moves no money.

use super::{Request, STEPS, authorization};
use crate::{
    domain::{Money, OrderStatus, Refusal},
    flow::{Desk, Flow, StepError, barrier, idempotency},
    orders::{self, OrderView},
};
use farebox_jobs::{
    PayCheck,
    queue::{Delivery, JobError, Outcome},
};

/// Looks, and refuses what the later steps would refuse anyway. The order first, since a wrong state costs no
/// password try; the balance last, since only its owner may learn it.
///
/// # Errors
/// Somebody else's order, a wrong state, the deadline, the pay password, the balance; the database's.
pub async fn run(flow: &Flow, request: &Request) -> Result<OrderView, StepError> {
    let order = order(flow, request).await?;
    // A repeat is answered from its key: it must not cost a try.
    if let Some(key) = &request.key
        && idempotency::load(&flow.pool, key).await?.is_some()
    {
        return Err(StepError::KeyTaken);
    }
    authorization::check(flow, request).await?;
    let seen = sqlx::query!(
        r#"select w.balance, o.expires_at <= now() as "overdue!", t.cancelled_at is not null as "cancelled!"
           from orders o join wallet w on w.rider_id = o.rider_id join trip t on t.id = o.trip_id where o.id = $1"#,
        request.order_id.0
    )
    .fetch_one(&flow.pool)
    .await?;
    if seen.cancelled {
        return Err(Refusal::TripCancelled.into());
    }
    if seen.overdue {
        return Err(Refusal::OrderExpired.into());
    }
    let balance = Money::from_database(seen.balance);
    if balance < order.amount {
        return Err(Refusal::BalanceTooLow { balance }.into());
    }
    Ok(order)
}

/// The rider's order, if it can be paid.
///
/// # Errors
/// Somebody else's order, a wrong state, the deadline; the database's.
pub(super) async fn order(flow: &Flow, request: &Request) -> Result<OrderView, StepError> {
    let order = orders::find(&flow.pool, request.order_id, Some(request.rider_id)).await?;
    let order = order.ok_or(Refusal::NotFound("order"))?;
    match (order.status, order.closed_reason.as_deref()) {
        (OrderStatus::Unpaid, _) => {}
        (OrderStatus::Paying, _) => return Err(Refusal::AlreadyPaying.into()),
        (OrderStatus::Closed, Some("expired")) => return Err(Refusal::OrderExpired.into()),
        (OrderStatus::Closed, Some("cancelled_by_system")) if of_cancelled_trip(flow, &order).await? => {
            return Err(Refusal::TripCancelled.into());
        }
        (status, _) => return Err(Refusal::WrongState(status).into()),
    }
    Ok(order)
}

async fn of_cancelled_trip(flow: &Flow, order: &OrderView) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists(select from trip where id = $1 and cancelled_at is not null) as "cancelled!""#,
        order.trip_id.0
    )
    .fetch_one(&flow.pool)
    .await
}

/// The undo: bars the flow's writing steps and proves that no money moved.
///
/// # Errors
/// Needs an operator if money moved after all; else what may be tried again.
pub async fn undo(desk: &Desk, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: PayCheck = delivery.decode()?;
    let payment = job.paying().payment_id;
    let mut tx = desk.begin().await?;
    barrier::bar(&mut tx, payment.0, &STEPS).await?;
    let moved = sqlx::query_scalar!(
        r#"select exists(select from ledger_entry where payment_id = $1) as "moved!""#,
        payment.0
    )
    .fetch_one(&mut *tx)
    .await?;
    if moved {
        return Err(JobError::needs_operator(format!(
            "the check of payment {payment} failed, yet money moved"
        )));
    }
    desk.settle(tx, delivery, "barred; no money moved").await
}
