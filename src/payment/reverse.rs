//! Giving a payment's money back: exactly its own amount, once, whatever the balance has become since.

use super::STEPS;
use crate::{
    saga::barrier::{self, Undoing},
    storage,
};
use farebox_jobs::queue::Job;
use farebox_jobs::{MqTag, PayMoney, Paying, queue};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// Bars the flow and reverses this payment, unless its order was marked paid; says what it did.
///
/// # Errors
/// The database's.
pub(crate) async fn payment(tx: &mut PgConnection, paying: &Paying) -> Result<&'static str, sqlx::Error> {
    let id = paying.payment_id.0;
    barrier::bar(tx, id, &STEPS).await?;
    match barrier::begin_undo(tx, id, MqTag::PayMoney, MqTag::Pay).await? {
        Undoing::Finished => Ok("nothing to undo: the order is paid"),
        Undoing::Nothing => Ok("nothing to undo: no money was taken, or it is back already"),
        Undoing::Due => {
            give_back(tx, paying, "payment_reversed").await?;
            Ok("money given back")
        }
    }
}

/// Reverses a late payment in the request itself, and retires its armed undo.
///
/// # Errors
/// The database's.
pub(crate) async fn now(pool: &PgPool, paying: &Paying) -> Result<(), sqlx::Error> {
    let mut tx = storage::begin(pool).await?;
    payment(&mut tx, paying).await?;
    queue::take_off(&mut tx, &[(PayMoney::TAG, paying.payment_id.to_string())]).await?;
    tx.commit().await
}

/// Whether the payment's money is debited and neither settled nor given back.
///
/// # Errors
/// The database's.
pub(crate) async fn is_owed(tx: &mut PgConnection, paying: &Paying) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists(select from payment where id = $1 and state = 'debited') as "owed!""#,
        paying.payment_id.0
    )
    .fetch_one(tx)
    .await
}

/// Puts the payment's own amount back on its wallet with one entry of `kind`: `payment_reversed` for a payment that
/// is debited, `refund` for one that is settled. Returns whether money moved; a repeat moves none.
///
/// # Errors
/// The database's.
pub(crate) async fn give_back(
    tx: &mut PgConnection,
    paying: &Paying,
    kind: &'static str,
) -> Result<bool, sqlx::Error> {
    let (from, to) = if kind == "refund" { ("settled", "refunded") } else { ("debited", "reversed") };
    sqlx::query_scalar!(
        r#"with purse as materialized (
               -- The wallet first, as in a debit: the other way round the two could deadlock.
               select rider_id from wallet where rider_id = $6 for update
           ), back as (
               update payment p set state = $3, changed_at = now()
               from purse where p.id = $1 and p.state = $2 and p.rider_id = purse.rider_id
               returning p.id, p.order_id, p.rider_id, p.amount
           ), moved as (
               update wallet w set balance = w.balance + b.amount, last_entry = coalesce(w.last_entry, 0) + 1
               from back b where w.rider_id = b.rider_id
               returning w.rider_id, w.balance, w.last_entry
           ), entered as (
               insert into ledger_entry (rider_id, seq, id, kind, amount, balance_after, order_id, payment_id)
               select m.rider_id, m.last_entry, $5, $4, b.amount, m.balance, b.order_id, b.id
               from moved m join back b using (rider_id)
           )
           select exists(select from moved) as "moved!""#,
        paying.payment_id.0,
        from,
        to,
        kind,
        Uuid::now_v7(),
        paying.rider_id.0
    )
    .fetch_one(tx)
    .await
}
