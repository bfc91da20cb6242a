//! The bounds of what operators change: of one change, and of 24 hours for each wallet and operator.

use crate::{
    domain::{Error, FieldError, Money, Refusal, RiderId},
    payment::by_hand::{self, LockedWallet, WalletChange},
    settings::Wallets,
};
use rust_decimal::Decimal;
use sqlx::PgConnection;

/// Locks the operator's account, so that the operator's changes take turns.
pub(super) async fn lock_operator(conn: &mut PgConnection, operator: RiderId) -> Result<(), sqlx::Error> {
    sqlx::query!("select id from rider where id = $1 for no key update", operator.0)
        .fetch_optional(conn)
        .await
        .map(drop)
}

/// Refuses a change beyond a bound: its own, that of the balance, and those of a day. The operator's
/// account and the wallet are locked.
///
/// # Errors
/// The bound and what is left of it; the database's.
pub(super) async fn check(
    conn: &mut PgConnection,
    operator: RiderId,
    change: &WalletChange,
    wallet: &LockedWallet,
    rules: &Wallets,
) -> Result<(), Error> {
    let size = change.amount.size();
    if size > rules.max_change.money() {
        return Err(refused(format!("at most {} at once", rules.max_change.money())).into());
    }
    by_hand::check_room(change, wallet, rules.max_balance.money())?;
    let done = sqlx::query!(
        r#"select (select coalesce(sum(abs(amount)), 0) from wallet_change
                   where rider_id = $1 and at > now() - interval '24 hours') as "wallet!",
                  (select coalesce(sum(abs(amount)), 0) from wallet_change
                   where operator = $2 and at > now() - interval '24 hours') as "operator!""#,
        change.rider.0,
        operator.0
    )
    .fetch_one(conn)
    .await?;
    let bounds = [
        (done.wallet, rules.max_day_per_wallet.money(), "a wallet is changed"),
        (done.operator, rules.max_day_per_operator.money(), "an operator changes wallets"),
    ];
    for (done, most, what) in bounds {
        if done + size.decimal() > most.decimal() {
            let left = Money::from_database((most.decimal() - done).max(Decimal::ZERO));
            let rule = format!("at most {left} now: {what} by at most {most} within 24 hours");
            return Err(refused(rule).into());
        }
    }
    Ok(())
}

fn refused(rule: String) -> Refusal {
    Refusal::Invalid(FieldError::new("/amount", rule))
}
