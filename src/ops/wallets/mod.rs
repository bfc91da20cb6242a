//! Changes of wallets by operators: top-ups and corrections.
//!
//! Nobody changes the own wallet. Amounts are bounded for each change, and for 24 hours of each
//! wallet and each operator. A large change waits for a second operator ([`approvals`]).
//!
//! Rows are locked in one order: the operator's account, the wallet, the approval. The locks make
//! the sums of a day exact: of two changes at once, the second sees the first.

pub mod approvals;
mod limits;
pub mod refunds;

use super::Attribution;
use crate::{
    domain::{Error, Refusal, RiderId},
    ops::audit::{Action, Subject},
    payment::{
        by_hand::{self, ChangeKind, Entered, LockedWallet, WalletChange},
        wallet::Entry,
    },
    security::{self, Event},
    settings::Wallets,
};
use approvals::Approval;
use serde_json::{Value, json};
use sqlx::PgConnection;

/// What became of a change.
#[derive(Clone, Debug)]
pub enum Changed {
    /// It is in the ledger.
    Entered(Entry),
    /// It waits for a second operator; no money has moved.
    Waits(Approval),
}

/// Changes a rider's wallet, once for each reference: a repeat returns the first entry, or the
/// approval that still waits, and is not audited again.
///
/// # Errors
/// The operator's own wallet, an amount beyond a limit, a correction without a reason; as
/// [`by_hand::lock`], [`by_hand::find`] and [`by_hand::enter`].
pub async fn change(
    conn: &mut PgConnection,
    by: &Attribution,
    change: &WalletChange,
    rules: &Wallets,
) -> Result<Changed, Error> {
    change.check()?;
    if change.kind != ChangeKind::TopUp {
        by.reason()?;
    }
    let operator = mover(by, change.rider)?;
    limits::lock_operator(&mut *conn, operator).await?;
    let wallet = by_hand::lock(&mut *conn, change.rider).await?;
    if let Some(before) = by_hand::find(&mut *conn, change).await? {
        return Ok(Changed::Entered(before.entry));
    }
    if let Some(waiting) = approvals::waiting(&mut *conn, change).await? {
        return Ok(Changed::Waits(waiting));
    }
    limits::check(&mut *conn, operator, change, &wallet, rules).await?;
    if change.amount.size() > rules.approval_above.money() {
        return approvals::request(conn, by, operator, change, rules).await.map(Changed::Waits);
    }
    let entered = enter(&mut *conn, change, &wallet, rules, operator, None).await?;
    if entered.is_new {
        let action = match change.kind {
            ChangeKind::TopUp => Action::WalletTopUp,
            ChangeKind::Correction { .. } => Action::WalletCorrect,
        };
        let mut detail = describe(change);
        detail["entry"] = json!(entered.entry.id);
        by.record(conn, action, &Subject::of("wallet", &change.rider), &detail).await?;
    }
    Ok(Changed::Entered(entered.entry))
}

/// The account that moves the money. The command line moves none: it has no account that a second
/// person could differ from.
fn mover(by: &Attribution, rider: RiderId) -> Result<RiderId, Refusal> {
    match by.actor.rider {
        Some(operator) if operator == rider => {
            Event::OwnMoney.record(Some(&security::account(operator)), None);
            Err(Refusal::OwnWallet)
        }
        Some(operator) => Ok(operator),
        None => Err(Refusal::NotFound("operator's account")),
    }
}

/// Enters a change, and writes down whose it is.
async fn enter(
    conn: &mut PgConnection,
    change: &WalletChange,
    wallet: &LockedWallet,
    rules: &Wallets,
    operator: RiderId,
    approved_by: Option<RiderId>,
) -> Result<Entered, Error> {
    let entered = by_hand::enter(&mut *conn, change, wallet, rules.max_balance.money()).await?;
    if entered.is_new {
        sqlx::query!(
            "insert into wallet_change (rider_id, seq, operator, approved_by, amount) values ($1, $2, $3, $4, $5)",
            change.rider.0,
            entered.seq,
            operator.0,
            approved_by.map(|rider| rider.0),
            change.amount.decimal()
        )
        .execute(conn)
        .await?;
    }
    Ok(entered)
}

/// The details of a change in the audit log.
fn describe(change: &WalletChange) -> Value {
    let mut detail = json!({ "amount": change.amount, "reference": change.reference.as_str() });
    if let Some(entry) = change.kind.corrects() {
        detail["corrects"] = json!(entry);
    }
    detail
}
