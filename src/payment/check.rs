//! Step 1, `pay_check_cancle`: the order is the rider's, unpaid and in time; the pay password is right,
//! or the payment was authorized; the balance suffices. Moves no money.
//!
//! The debit judges the same again, under its locks, except the pay password. So an authorized payment
//! leaves the check to the debit, and is checked only if the debit refuses it, to find the reason.

use super::{Proof, Request};
use crate::{
    accounts::pay_password,
    domain::{CloseReason, Error, OrderStatus, Refusal},
    orders::OrderView,
    saga::{JobContext, SagaContext, barrier},
    statements::{CheckPaymentRequest, PaymentFacts},
};
use farebox_jobs::{
    MqTag, PayCheck,
    queue::{Delivery, JobError, Outcome},
};

/// Checks, if there is a pay password, and refuses what the later steps would refuse anyway. The order comes
/// first, since a wrong state costs no password attempt; the balance last, since only its owner may learn it.
///
/// # Errors
/// Another rider's order, a wrong state, the deadline, the pay password, the balance; the database's.
pub async fn run(saga: &SagaContext, request: &Request) -> Result<(), Error> {
    let Proof::PayPassword(password) = &request.proof else { return Ok(()) };
    let facts = fresh(saga, request).await?;
    pay_password::verify(&saga.pool, &saga.passwords, request.rider_id, password).await?;
    Ok(suffices(&facts)?)
}

/// Why a payment was refused whose pay password, if it has one, was right. Succeeds if it could be made now.
///
/// # Errors
/// [`run`]'s; an authorization unknown, used, expired or for another order.
pub(crate) async fn recheck(saga: &SagaContext, request: &Request) -> Result<(), Error> {
    let facts = fresh(saga, request).await?;
    if matches!(request.proof, Proof::Authorization(_)) && !facts.authorized {
        return Err(Refusal::NotAuthorized.into());
    }
    Ok(suffices(&facts)?)
}

async fn fresh(saga: &SagaContext, request: &Request) -> Result<PaymentFacts, Error> {
    let facts = read(saga, request).await?;
    payable(&facts)?;
    // A repeated request is answered from its key: it must not cost an attempt.
    if facts.is_key_used { Err(Error::KeyTaken) } else { Ok(facts) }
}

/// The rider's order, if it can be paid.
///
/// # Errors
/// Another rider's order, a wrong state, the deadline; the database's.
pub(crate) async fn order(saga: &SagaContext, request: &Request) -> Result<OrderView, Error> {
    let facts = read(saga, request).await?;
    payable(&facts)?;
    Ok(facts.order)
}

async fn read(saga: &SagaContext, request: &Request) -> Result<PaymentFacts, Error> {
    let check = CheckPaymentRequest {
        payment: request.payment_id.0,
        order: request.order_id.0,
        rider: request.rider_id.0,
        token_hash: request.proof.token_hash().map(<[u8]>::to_vec),
        key: request.key.as_ref().map(|key| key.key.clone()),
    };
    let facts = saga.batchers.check_payments.submit(check).await?;
    Ok(facts.ok_or(Refusal::NotFound("order"))?)
}

/// Whether the order's state lets it be paid.
fn payable(facts: &PaymentFacts) -> Result<(), Refusal> {
    let closed_as = |reason: CloseReason| facts.order.closed_reason.as_deref() == Some(reason.as_str());
    match facts.order.status {
        OrderStatus::Unpaid => Ok(()),
        OrderStatus::Paying => Err(Refusal::AlreadyPaying),
        OrderStatus::Closed if closed_as(CloseReason::Expired) => Err(Refusal::OrderExpired),
        OrderStatus::Closed if closed_as(CloseReason::CancelledBySystem) && facts.cancelled => {
            Err(Refusal::TripCancelled)
        }
        status => Err(Refusal::WrongState(status)),
    }
}

/// Whether what comes after the proof is in order.
fn suffices(facts: &PaymentFacts) -> Result<(), Refusal> {
    if facts.cancelled {
        Err(Refusal::TripCancelled)
    } else if facts.overdue {
        Err(Refusal::OrderExpired)
    } else if facts.balance < facts.order.amount {
        Err(Refusal::BalanceTooLow { balance: facts.balance })
    } else {
        Ok(())
    }
}

/// The undo: bars the writing steps of the saga and proves that no money moved.
///
/// # Errors
/// Needs an operator if money moved after all; else what may be tried again.
pub async fn undo(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: PayCheck = delivery.decode()?;
    let payment = job.paying().payment_id;
    let mut tx = context.begin().await?;
    barrier::bar(&mut tx, payment.0, &MqTag::PAYING_BARRIERS).await?;
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
    context.complete(tx, delivery, "barred; no money moved").await
}
