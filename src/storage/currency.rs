//! The installation's currency in the database: that of its network.
//!
//! A process learns it when it starts, and once a second. An import may change it while the database has
//! no money, so whatever brings money in from outside pins it first ([`pin`]).

use crate::domain::{Currency, Error, FieldError, Refusal};
use sqlx::{PgConnection, PgExecutor};

/// The key of the advisory lock that a change of the currency holds alone, and those who bring money in
/// share: "currency" in ASCII.
const LOCK: i64 = 0x6375_7272_656e_6379;

/// The currency of the database's network, or of a database without one.
///
/// # Errors
/// The database's; a currency that this build does not know, or knows with other decimals.
pub async fn of_database(db: impl PgExecutor<'_>) -> Result<Currency, sqlx::Error> {
    let row =
        sqlx::query!("select currency, decimals from network where is_there").fetch_optional(db).await?;
    let Some(row) = row else { return Ok(Currency::OF_NO_NETWORK) };
    let currency: Currency = super::decode(&row.currency)?;
    if i16::from(currency.decimals()) == row.decimals {
        return Ok(currency);
    }
    let rule = format!("amounts of {currency} are stored with {} decimals", row.decimals);
    Err(sqlx::Error::Decode(rule.into()))
}

/// Makes the database's currency that of this process, and returns it.
///
/// # Errors
/// As [`of_database`].
pub async fn learn(db: impl PgExecutor<'_>) -> Result<Currency, sqlx::Error> {
    let currency = of_database(db).await?;
    currency.install();
    Ok(currency)
}

/// Keeps the currency as it is until the transaction ends. Call it before an amount of a request is
/// written.
///
/// # Errors
/// The currency has other decimals than that in which the amount, which is at `pointer`, was read; the
/// database's.
pub async fn pin(conn: &mut PgConnection, pointer: &str) -> Result<(), Error> {
    sqlx::query("select pg_advisory_xact_lock_shared($1)").bind(LOCK).execute(&mut *conn).await?;
    // A statement of its own: the one before does not see what it waited for.
    let (read, is) = (Currency::installed(), of_database(conn).await?);
    if read == is {
        return Ok(());
    }
    is.install();
    if read.decimals() == is.decimals() {
        return Ok(()); // The amount is the same number of minor units.
    }
    let rule = format!("the currency has become {is}: give the amount in it");
    Err(Refusal::Invalid(FieldError::new(pointer, rule)).into())
}

/// Waits until nobody brings money in, and keeps others from it until the transaction ends.
///
/// # Errors
/// The database's.
pub async fn keep_money_away(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(conn).await.map(drop)
}
