//! When an import may change the currency.

use super::ImportError;
use crate::{domain::Currency, network::Network, storage::currency};
use sqlx::PgConnection;

/// Refuses another currency than the database's once it has an amount: a ledger entry, a change of a
/// wallet that waited for approval, an order or a trip. A departure of before networks is none, because
/// an import ends it. Amounts of before networks have two decimals and no currency: the first network
/// names one of two decimals. With `lock`, nobody brings money in until the transaction ends.
///
/// # Errors
/// The rule; the database's.
pub(super) async fn check(
    conn: &mut PgConnection,
    old: Option<&Network>,
    new: &Network,
    lock: bool,
) -> Result<(), ImportError> {
    let (is, wanted) = (old.map_or(Currency::OF_NO_NETWORK, |old| old.currency), new.currency);
    let is_named_first = old.is_none() && wanted.decimals() == is.decimals();
    if is == wanted || is_named_first {
        return Ok(());
    }
    if lock {
        currency::keep_money_away(&mut *conn).await?;
    }
    let has_money = sqlx::query_scalar!(
        r#"select (exists(select from trip) or exists(select from orders) or exists(select from ledger_entry)
                   or exists(select from wallet_approval)) as "has_money!""#
    )
    .fetch_one(conn)
    .await?;
    if has_money {
        return Err(ImportError::Refused(format!(
            "the currency stays {is}: trips, orders or wallets have amounts in it, and the files say {wanted}"
        )));
    }
    Ok(())
}
