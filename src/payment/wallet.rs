//! Wallets and their ledgers, for reading. Operators' changes are in [`super::by_hand`], payments
//! and refunds in [`crate::payment`].

use crate::domain::{Currency, Money, Page, RiderId};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

/// A ledger entry, as it is answered.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Entry {
    /// Its id.
    pub id: Uuid,
    /// The order it was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Uuid>,
    /// `top_up`, `payment`, `payment_reversed`, `refund`, `refund_fee` or `correction`.
    #[schemars(with = "crate::domain::words::EntryKind")]
    pub kind: String,
    /// What it changed; with a minus sign if money left the wallet.
    pub amount: Money,
    /// The currency of the amounts.
    pub currency: Currency,
    /// What the wallet held after it.
    pub balance_after: Money,
    /// When.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub at: DateTime<Utc>,
}

/// What the wallet holds; `None` for a rider without one.
///
/// # Errors
/// The database's.
pub async fn balance(pool: &PgPool, rider: RiderId) -> Result<Option<Money>, sqlx::Error> {
    let balance = sqlx::query_scalar!("select balance from wallet where rider_id = $1", rider.0)
        .fetch_optional(pool)
        .await?;
    Ok(balance.map(Money::from_database))
}

/// A page of the ledger, newest first; `after` is the number of the entry before it.
///
/// # Errors
/// The database's.
pub async fn entries(
    pool: &PgPool,
    rider: RiderId,
    after: Option<i64>,
    limit: u16,
) -> Result<Page<Entry>, sqlx::Error> {
    let rows = sqlx::query!(
        "select seq, id, order_id, kind, amount, balance_after, at from ledger_entry
         where rider_id = $1 and seq < coalesce($2, 9223372036854775807) order by seq desc limit $3",
        rider.0,
        after,
        i64::from(limit) + 1
    )
    .fetch_all(pool)
    .await?;
    let more = rows.len() > usize::from(limit);
    let next = rows.get(usize::from(limit).saturating_sub(1)).filter(|_| more).map(|row| row.seq.to_string());
    let items = rows.into_iter().take(limit.into()).map(|row| Entry {
        id: row.id,
        order_id: row.order_id,
        kind: row.kind,
        amount: Money::from_database(row.amount),
        currency: Currency::installed(),
        balance_after: Money::from_database(row.balance_after),
        at: row.at,
    });
    Ok(Page { items: items.collect(), next })
}

/// One entry of a rider's ledger, by its id.
///
/// # Errors
/// The database's.
pub async fn entry(pool: &PgPool, rider: RiderId, id: Uuid) -> Result<Option<Entry>, sqlx::Error> {
    let row = sqlx::query!(
        "select id, order_id, kind, amount, balance_after, at from ledger_entry where rider_id = $1 and id = $2",
        rider.0,
        id
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Entry {
        id: row.id,
        order_id: row.order_id,
        kind: row.kind,
        amount: Money::from_database(row.amount),
        currency: Currency::installed(),
        balance_after: Money::from_database(row.balance_after),
        at: row.at,
    }))
}
