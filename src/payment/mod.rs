//! Paying: check → debit → mark paid; and refunding, the way back.
//!
//! | step | tag | writes | undo |
//! |---|---|---|---|
//! | [`check`] | `pay_check_cancle` | nothing | bars late steps and proves it |
//! | [`debit`] | `pay_money_cancle` | wallet, ledger entry, payment; arms the undo | one reversing entry |
//! | [`mark_paid`] | `pay_cancle` | the order; removes the armed undo and the timer | finishes it, or gives the money back |

pub mod authorization;
pub mod by_hand;
pub mod check;
pub mod debit;
pub mod impact;
pub mod mark_paid;
mod proof;
pub mod refund;
mod reverse;
pub mod wallet;

pub use proof::Proof;

use crate::{
    domain::{Error, OrderId, PaymentId, Refusal, RiderId},
    idempotency::IdempotencyKey,
    orders::OrderView,
    saga::{Rollback, SagaContext, SagaError, SagaResult, SagaStep, or_roll_back, step},
    storage::again,
};
use farebox_jobs::{
    MqTag, Pay, PayCheck, PayMoney, Paying,
    queue::{Job, NewJob},
};

/// The steps of a payment, in their order.
#[derive(Clone, Copy)]
enum Step {
    Check,
    Debit,
    MarkPaid,
}

impl SagaStep for Step {
    fn tag(self) -> MqTag {
        match self {
            Self::Check => MqTag::PayCheck,
            Self::Debit => MqTag::PayMoney,
            Self::MarkPaid => MqTag::Pay,
        }
    }
}

impl Step {
    /// The job that undoes a payment which failed in this step.
    fn undo(self, paying: &Paying) -> NewJob {
        match self {
            Self::Check => NewJob::of(&PayCheck::new(paying)),
            Self::Debit => NewJob::of(&PayMoney::new(paying)),
            Self::MarkPaid => NewJob::of(&Pay::new(paying)),
        }
    }
}

/// What a rider wants to pay.
#[derive(Clone)]
pub struct Request {
    /// The id this attempt will have.
    pub payment_id: PaymentId,
    /// Which order.
    pub order_id: OrderId,
    /// Who pays.
    pub rider_id: RiderId,
    /// What permits it.
    pub proof: Proof,
    /// The client's idempotency key.
    pub key: Option<IdempotencyKey>,
}

/// Pays the order: the whole saga.
///
/// # Errors
/// Why it stopped. A failure's rollback has been scheduled by then; the second value is its status.
pub async fn pay(saga: &SagaContext, request: Request) -> SagaResult<OrderView> {
    let paying = request.paying();
    let result = steps(saga, &request, &paying).await;
    let rollback = |step: Step| Rollback {
        undo: step.undo(&paying),
        replaces: Some((PayMoney::TAG, request.payment_id.to_string())),
        // The undo of the last step pays the order if it can. The key stays that of this payment, so that a
        // repeated request is answered by what becomes of it.
        key: request.key.clone().filter(|_| !matches!(step, Step::MarkPaid)),
        subject: request.payment_id.0,
        error: String::new(),
    };
    or_roll_back(saga, result, rollback).await
}

async fn steps(saga: &SagaContext, request: &Request, paying: &Paying) -> Result<OrderView, SagaError<Step>> {
    let faults = &saga.faults;
    step(faults, Step::Check, check::run(saga, request)).await?;
    let debited = step(faults, Step::Debit, debit::run(saga, request, paying)).await?;
    match step(faults, Step::MarkPaid, mark_paid::run(saga, request, &debited)).await? {
        Some(paid) => Ok(paid),
        None => Err(reverse_late(saga, request, paying).await),
    }
}

/// The order closed between the debit and here: the money goes back before the response. Should that
/// fail, the undo that the debit armed does it.
async fn reverse_late(saga: &SagaContext, request: &Request, paying: &Paying) -> SagaError<Step> {
    if let Err(error) = again(|| reverse::now(&saga.pool, paying)).await {
        tracing::warn!(payment = %paying.payment_id, %error, "late payment not reversed; its armed undo will");
    }
    SagaError::Refused(match check::order(saga, request).await {
        Err(Error::Refused(refusal)) => refusal,
        _ => Refusal::OrderExpired,
    })
}

impl Request {
    fn paying(&self) -> Paying {
        Paying { payment_id: self.payment_id, order_id: self.order_id, rider_id: self.rider_id }
    }
}
