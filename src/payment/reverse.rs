//! Giving a payment's money back: exactly its own amount, once, whatever the balance has become since.

use crate::{
    domain::PaymentState,
    saga::barrier::{self, Undoing},
    storage, traces,
};
use farebox_jobs::{
    MqTag, PayMoney, Paying,
    queue::{self, Job},
};
use rust_decimal::Decimal;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// Bars the saga and reverses this payment, unless its order was marked paid; returns the job's note.
///
/// # Errors
/// The database's.
pub(crate) async fn payment(tx: &mut PgConnection, paying: &Paying) -> Result<&'static str, sqlx::Error> {
    let id = paying.payment_id.0;
    barrier::bar(tx, id, &MqTag::PAYING_BARRIERS).await?;
    match barrier::begin_undo(tx, id, MqTag::PayMoney, MqTag::Pay).await? {
        Undoing::Finished => Ok("nothing to undo: the order is paid"),
        Undoing::Nothing => Ok("nothing to undo: no money was taken, or it is back already"),
        Undoing::Due => {
            give_back(tx, paying, GiveBack::Reversal).await?;
            Ok("money given back")
        }
    }
}

/// Reverses a late payment in the request itself, and removes its armed undo.
///
/// # Errors
/// The database's.
pub(crate) async fn now(pool: &PgPool, paying: &Paying) -> Result<(), sqlx::Error> {
    let mut tx = storage::begin(pool).await?;
    payment(&mut tx, paying).await?;
    queue::remove(&mut tx, &[(PayMoney::TAG, paying.payment_id.to_string())]).await?;
    tx.commit().await
}

/// Whether the payment's money is debited and neither settled nor given back.
///
/// # Errors
/// The database's.
pub(crate) async fn is_owed(tx: &mut PgConnection, paying: &Paying) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists(select from payment where id = $1 and state = $2) as "is_owed!""#,
        paying.payment_id.0,
        PaymentState::Debited.as_str()
    )
    .fetch_one(tx)
    .await
}

/// Why a payment's money goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum GiveBack {
    /// The payment failed after its debit.
    Reversal,
    /// The paid order is refunded.
    Refund {
        /// What of it the rider does not get back, taken with an entry of its own.
        fee: Decimal,
    },
}

impl GiveBack {
    /// The kind of the ledger's entry.
    fn entry_kind(self) -> &'static str {
        match self {
            Self::Reversal => "payment_reversed",
            Self::Refund { .. } => "refund",
        }
    }

    fn fee(self) -> Decimal {
        match self {
            Self::Reversal => Decimal::ZERO,
            Self::Refund { fee } => fee,
        }
    }

    /// The payment's states before and after.
    fn states(self) -> (PaymentState, PaymentState) {
        match self {
            Self::Reversal => (PaymentState::Debited, PaymentState::Reversed),
            Self::Refund { .. } => (PaymentState::Settled, PaymentState::Refunded),
        }
    }
}

/// Puts the payment's own amount back on its wallet with one entry, and takes the fee of a refund with
/// another, which continues from it. Returns whether money moved; a repetition moves none.
///
/// # Errors
/// The database's.
pub(crate) async fn give_back(
    tx: &mut PgConnection,
    paying: &Paying,
    why: GiveBack,
) -> Result<bool, sqlx::Error> {
    let (from, to) = why.states();
    let work = sqlx::query_scalar!(
        r#"with locked as materialized (
               -- The wallet first, as in a debit: the other way round the two could deadlock.
               select rider_id from wallet where rider_id = $6 for update
           ), back as (
               update payment p set state = $3, changed_at = now()
               from locked l where p.id = $1 and p.state = $2 and p.rider_id = l.rider_id
               returning p.id, p.order_id, p.rider_id, p.amount
           ), moved as (
               update wallet w set balance = w.balance + b.amount - $7::numeric,
                                   last_entry = coalesce(w.last_entry, 0) + 1 + ($7 > 0)::int
               from back b where w.rider_id = b.rider_id
               returning w.rider_id, w.balance, w.last_entry
           ), entered as (
               insert into ledger_entry (rider_id, seq, id, kind, amount, balance_after, order_id, payment_id)
               select m.rider_id, m.last_entry - ($7 > 0)::int, $5::uuid, $4, b.amount, m.balance + $7, b.order_id, b.id
               from moved m join back b using (rider_id)
               union all
               select m.rider_id, m.last_entry, $8::uuid, 'refund_fee', -$7, m.balance, b.order_id, b.id
               from moved m join back b using (rider_id) where $7 > 0
           )
           select exists(select from moved) as "moved!""#,
        paying.payment_id.0,
        from.as_str(),
        to.as_str(),
        why.entry_kind(),
        Uuid::now_v7(),
        paying.rider_id.0,
        why.fee(),
        Uuid::now_v7(),
    )
    .fetch_one(tx);
    traces::statement("give_money_back", work).await
}
