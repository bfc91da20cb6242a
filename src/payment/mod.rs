//! Paying: check → debit → mark paid; and refunding, the way back.
//!
//! | step | tag | writes | undo |
//! |---|---|---|---|
//! | [`check`] | `pay_check_cancle` | nothing | bars late steps and proves it |
//! | [`debit`] | `pay_money_cancle` | wallet, ledger entry, payment; arms the undo | one reversing entry |
//! | [`mark_paid`] | `pay_cancle` | the order; retires the armed undo and the timer | finishes it, or gives the money back |

pub mod authorization;
pub mod check;
pub mod debit;
pub mod impact;
pub mod mark_paid;
pub mod refund;
mod reverse;
pub mod wallet;

pub use authorization::Proof;

use crate::{
    domain::{Error, OrderId, PaymentId, Refusal, RiderId},
    idempotency::IdempotencyKey,
    orders::OrderView,
    saga::{Rollback, SagaContext, SagaError, SagaResult, or_roll_back, step},
    storage::again,
};
use farebox_jobs::{
    MqTag, Pay, PayCheck, PayMoney, Paying,
    queue::{Job, NewJob},
};
use std::sync::Arc;

/// The steps whose barrier rows a payment has, the latest first: an undo bars from the end.
const STEPS: [MqTag; 2] = [MqTag::Pay, MqTag::PayMoney];

/// What a rider asks for.
#[derive(Clone)]
pub struct Request {
    /// The id this try will have.
    pub payment_id: PaymentId,
    /// Which order.
    pub order_id: OrderId,
    /// Who pays.
    pub rider_id: RiderId,
    /// What lets him.
    pub proof: Proof,
    /// The client's idempotency key.
    pub key: Option<IdempotencyKey>,
}

/// Pays the order: the whole flow.
///
/// # Errors
/// Why it stopped; a failure's rollback has been raised by then, and the second value says where it stands.
pub async fn pay(saga: &SagaContext, request: Request) -> SagaResult<OrderView> {
    let (paying, request) = (request.paying(), Arc::new(request));
    let ended = steps(saga, &request, &paying).await;
    let owed = |tag| Rollback {
        undo: undo_of(tag, &paying),
        replaces: Some((PayMoney::TAG, request.payment_id.to_string())),
        key: request.key.clone(),
        subject: request.payment_id.0,
    };
    or_roll_back(saga, ended, owed).await
}

async fn steps(saga: &SagaContext, request: &Arc<Request>, paying: &Paying) -> Result<OrderView, SagaError> {
    let faults = &saga.faults;
    step(faults, MqTag::PayCheck, check::run(saga, request)).await?;
    let debited = step(faults, MqTag::PayMoney, debit::run(saga, request, paying)).await?;
    match step(faults, MqTag::Pay, mark_paid::run(saga, request, &debited)).await? {
        Some(paid) => Ok(paid),
        None => Err(late(saga, request, paying).await),
    }
}

/// The order closed between the debit and here: the money goes back before the client is told. Should that fail, the
/// undo that the debit armed does it.
async fn late(saga: &SagaContext, request: &Request, paying: &Paying) -> SagaError {
    if let Err(error) = again(|| reverse::now(&saga.pool, paying)).await {
        tracing::warn!(payment = %paying.payment_id, %error, "late payment not reversed yet; its armed undo will");
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

/// The undo a failure under `tag` raises. A tag outside this flow cannot fail in it; the debit's undo, which any
/// payment may owe, stands in.
fn undo_of(tag: MqTag, paying: &Paying) -> NewJob {
    match tag {
        MqTag::PayCheck => NewJob::of(&PayCheck::new(paying)),
        MqTag::Pay => NewJob::of(&Pay::new(paying)),
        MqTag::PayMoney
        | MqTag::OrderSeats
        | MqTag::OrderAddSeats
        | MqTag::OrderCalcMoney
        | MqTag::OrderAdd
        | MqTag::OrderCancel
        | MqTag::PayBack
        | MqTag::OrderUnpaid
        | MqTag::Timetable
        | MqTag::TripCancel
        | MqTag::Bulk => NewJob::of(&PayMoney::new(paying)),
    }
}
