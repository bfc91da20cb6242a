//! Wallets and their ledgers: reading, and topping up. Payments and refunds are in [`crate::payment`].

use crate::domain::{Error, FieldError, Money, Page, Reference, Refusal, RiderId};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// A ledger entry, as it is answered.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Entry {
    /// Its id.
    pub id: Uuid,
    /// The order it was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Uuid>,
    /// `top_up`, `payment`, `payment_reversed` or `refund`.
    pub kind: String,
    /// Signed.
    pub amount: Money,
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
        balance_after: Money::from_database(row.balance_after),
        at: row.at,
    });
    Ok(Page { items: items.collect(), next })
}

/// Puts money into a rider's wallet, once for each reference; a repeat answers the first entry. The
/// wallet may hold at most `cap` afterwards. Reversals and refunds have no cap: they always succeed.
///
/// # Errors
/// An amount that is not positive or too much for the cap, the same reference with another amount or for
/// another rider, no such wallet; the database's.
pub async fn top_up(
    conn: &mut PgConnection,
    rider: RiderId,
    amount: Money,
    reference: &Reference,
    cap: Money,
) -> Result<Entry, Error> {
    if !amount.is_positive() {
        return Err(Refusal::Invalid(FieldError::new("/amount", "an amount above zero")).into());
    }
    // The wallet's row lock comes first, so that of two top-ups with one reference the second sees the
    // first's entry, and neither of two passes the cap.
    let locked =
        sqlx::query!("select balance, last_entry from wallet where rider_id = $1 for update", rider.0)
            .fetch_optional(&mut *conn)
            .await?
            .ok_or(Refusal::NotFound("wallet"))?;
    let balance: Decimal = locked.balance + amount.decimal();
    // Of two riders' top-ups at once with one reference, the second waits here for the first.
    let entered = sqlx::query!(
        r#"with claimed as (
               insert into top_up_reference (key, rider_id, seq)
               select $7, $1, $3
               where $6 <= $9::numeric
                 and not exists(select from ledger_entry where rider_id = $1 and reference in ($2, $8))
               on conflict (key) do nothing
               returning seq
           ), entered as (
               insert into ledger_entry (rider_id, seq, id, kind, amount, balance_after, reference)
               select $1, seq, $4, 'top_up', $5, $6, $2 from claimed
               returning id, balance_after, at
           ), moved as (
               update wallet set balance = e.balance_after, last_entry = $3 from entered e where rider_id = $1
           )
           select id, balance_after, at from entered"#,
        rider.0,
        reference.as_str(),
        locked.last_entry.unwrap_or(0) + 1,
        Uuid::now_v7(),
        amount.decimal(),
        balance,
        reference.key(),
        reference.as_sent(),
        cap.decimal(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let entry = |id, balance_after, at| Entry {
        id,
        order_id: None,
        kind: "top_up".to_owned(),
        amount,
        balance_after: Money::from_database(balance_after),
        at,
    };
    if let Some(row) = entered {
        return Ok(entry(row.id, row.balance_after, row.at));
    }
    match first_entry(conn, rider, reference).await? {
        None => Err(exceeds_cap(cap, Money::from_database(locked.balance)).into()),
        Some(first) if first.rider_id != rider.0 => {
            Err(Refusal::ReferenceUsed { rider: RiderId(first.rider_id), entry: first.id }.into())
        }
        Some(first) if first.amount != amount.decimal() => {
            let rule = "the reference was used for another amount";
            Err(Refusal::Invalid(FieldError::new("/reference", rule)).into())
        }
        Some(first) => Ok(entry(first.id, first.balance_after, first.at)),
    }
}

/// The entry that a reference was used for.
struct FirstEntry {
    rider_id: Uuid,
    id: Uuid,
    amount: Decimal,
    balance_after: Decimal,
    at: DateTime<Utc>,
}

/// The entry that this reference was used for, if it was.
async fn first_entry(
    conn: &mut PgConnection,
    rider: RiderId,
    reference: &Reference,
) -> Result<Option<FirstEntry>, sqlx::Error> {
    // A reference from before keys were stored may have no key.
    sqlx::query_as!(
        FirstEntry,
        r#"select e.rider_id as "rider_id!", e.id as "id!", e.amount as "amount!",
                  e.balance_after as "balance_after!", e.at as "at!"
           from (select 1 as nr, rider_id, seq from ledger_entry where rider_id = $1 and reference in ($2, $4)
                 union all
                 select 2, rider_id, seq from top_up_reference where key = $3) as used
           join ledger_entry e using (rider_id, seq) order by nr limit 1"#,
        rider.0,
        reference.as_str(),
        reference.key(),
        reference.as_sent(),
    )
    .fetch_optional(conn)
    .await
}

/// The wallet would hold more than it may.
fn exceeds_cap(cap: Money, holds: Money) -> Refusal {
    let room = cap.decimal() - holds.decimal();
    let rule = if room > Decimal::ZERO {
        format!("at most {} now: a wallet may be topped up to {cap}", Money::from_database(room))
    } else {
        format!("nothing now: the wallet holds {holds}, and may be topped up to {cap}")
    };
    Refusal::Invalid(FieldError::new("/amount", rule))
}
