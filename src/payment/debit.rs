//! Step 2, `pay_money_cancle`: the wallet pays. The statement is
//! [`DebitWallets`](crate::statements::DebitWallets). The check finds the reason of a refusal.

use super::{Request, check, reverse};
use crate::{
    domain::{Error, Refusal},
    orders::OrderView,
    saga::{JobContext, SagaContext},
    statements::{DebitOutput, DebitRequest},
};
use farebox_jobs::{
    PayMoney, Paying,
    queue::{Delivery, JobError, NewJob, Outcome},
};
use std::sync::Arc;
use uuid::Uuid;

/// What a debit returns for the step after it.
pub struct Debited {
    /// The order, still unpaid.
    pub order: OrderView,
    /// The undo that the debit armed: a job's id.
    pub armed: Uuid,
}

/// Debits one payment. A refused one is checked; if there is no reason (any more), it is tried once more: the
/// sum of several payments of one wallet may have exceeded it, of which others were refused then.
///
/// # Errors
/// The check's; another payment of the order under way, key taken; barred by its own undo; the database's.
pub async fn run(saga: &SagaContext, request: &Request, paying: &Paying) -> Result<Debited, Error> {
    let debit = Arc::new(DebitRequest {
        payment_id: request.payment_id,
        order_id: request.order_id,
        rider_id: request.rider_id,
        token_hash: request.proof.token_hash().map(<[u8]>::to_vec),
        key: request.key.clone(),
        undo: NewJob::of(&PayMoney::new(paying)),
    });
    let mut output = saga.batchers.debit_wallets.submit(Arc::clone(&debit)).await?;
    if !matches!(output, DebitOutput::Debited(_)) {
        check::recheck(saga, request).await?;
        output = saga.batchers.debit_wallets.submit(Arc::clone(&debit)).await?;
    }
    match output {
        DebitOutput::Debited(order) => Ok(Debited { order, armed: debit.undo.id }),
        DebitOutput::NotPayable => Err(Refusal::OrderExpired.into()),
        DebitOutput::BalanceTooLow { balance } => Err(Refusal::BalanceTooLow { balance }.into()),
        DebitOutput::NotAuthorized => Err(Refusal::NotAuthorized.into()),
        DebitOutput::KeyTaken => Err(Error::KeyTaken),
        DebitOutput::AlreadyPaying => Err(Refusal::AlreadyPaying.into()),
    }
}

/// The undo: one reversing entry for this payment, unless its order was marked paid.
///
/// # Errors
/// Errors that may pass: the job is retried.
pub async fn undo(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    let job: PayMoney = delivery.decode()?;
    let mut tx = context.begin().await?;
    let note = reverse::payment(&mut tx, job.paying()).await?;
    context.complete(tx, delivery, note).await
}
