//! Actions upon a wallet.

use super::Attribution;
use crate::{
    domain::{Error, Money, Reference, RiderId},
    ops::audit::{Action, Subject},
    payment::wallet::{self, Entry},
};
use serde_json::json;
use sqlx::PgConnection;

/// Tops up a rider's wallet, once for each reference.
///
/// # Errors
/// As [`wallet::top_up`].
pub async fn top_up(
    conn: &mut PgConnection,
    by: &Attribution,
    rider: RiderId,
    amount: Money,
    reference: &Reference,
    cap: Money,
) -> Result<Entry, Error> {
    let entry = wallet::top_up(&mut *conn, rider, amount, reference, cap).await?;
    let detail = json!({ "amount": amount, "reference": reference.as_str(), "entry": entry.id });
    by.record(conn, Action::WalletTopUp, &Subject::of("wallet", &rider), &detail).await?;
    Ok(entry)
}
