//! Erasure: an account loses its name, its contacts, its comments and its sessions. Ids, orders and
//! the ledger stay, since money and seats are counted in them, and name nobody then.

use crate::{
    accounts::Role,
    domain::{Error, FieldError, Refusal, RiderId},
    ops::{
        Attribution,
        audit::{Action, Subject},
    },
    security::{self, Event},
    storage::decode,
};
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// A hash of no password: an output of zeros, which nobody can find a password for. It parses, so a
/// sign-in is refused as for any wrong password.
const NO_PASSWORD: &str =
    "$argon2id$v=19$m=8,t=1,p=1$bm9ib2R5IGhlcmU$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Forgets an account, for a reason. A repeat changes nothing.
///
/// Refused for an account that still has something: money in its wallet (pay it out, and correct the
/// wallet to zero), an approval that waits, an order that is unpaid, refunding, or paid for a trip
/// that has neither arrived nor been cancelled; and for an account of the operations side, which
/// becomes a rider's first.
///
/// # Errors
/// One of these, with what is in the way; no such account, no reason; the database's.
pub async fn forget(conn: &mut PgConnection, by: &Attribution, rider: RiderId) -> Result<(), Error> {
    by.reason()?;
    // The account first and then its wallet, as operators' changes lock them.
    let account =
        sqlx::query!("select role, forgotten_at from rider where id = $1 for no key update", rider.0)
            .fetch_optional(&mut *conn)
            .await?
            .ok_or(Refusal::NotFound("rider"))?;
    if account.forgotten_at.is_some() {
        return Ok(());
    }
    if decode::<Role>(&account.role)?.may_view() {
        return Err(in_the_way("an account of the operations side becomes a rider's first"));
    }
    refuse_if_open(&mut *conn, rider).await?;
    // Sessions end on every replica within a second.
    sqlx::query!("select erase_rider($1, $2)", rider.0, NO_PASSWORD).execute(&mut *conn).await?;
    by.record(conn, Action::RiderForget, &Subject::of("account", &rider), &json!({})).await?;
    Event::AccountForgotten.record(Some(&security::account(rider)), None);
    Ok(())
}

/// Refuses while the account has money or open orders. The wallet stays locked, so that no money
/// comes in meanwhile; afterwards it takes none.
async fn refuse_if_open(conn: &mut PgConnection, rider: RiderId) -> Result<(), Error> {
    let balance = sqlx::query_scalar!("select balance from wallet where rider_id = $1 for update", rider.0)
        .fetch_optional(&mut *conn)
        .await?;
    if balance.is_some_and(|balance| !balance.is_zero()) {
        return Err(in_the_way("there is money in the wallet: pay it out, and correct the wallet to zero"));
    }
    let open = sqlx::query!(
        r#"select exists(select from wallet_approval where rider_id = $1 and outcome is null and expires_at > now())
                      as "approval!",
                  exists(select from orders o join trip t on t.id = o.trip_id
                         where o.rider_id = $1
                           and (o.status in ('unpaid', 'refunding')
                                or o.status = 'paid' and (t.arrives_at > now() or t.cancelled_at is not null)))
                      as "orders!",
                  exists(select from payment p join orders o on o.id = p.order_id
                         where o.rider_id = $1 and p.state = 'debited') as "payment!""#,
        rider.0
    )
    .fetch_one(conn)
    .await?;
    if open.approval {
        return Err(in_the_way("a change of the wallet waits for its approval"));
    }
    if open.orders || open.payment {
        return Err(in_the_way("an order is open: unpaid, to be refunded, or paid for a trip to come"));
    }
    Ok(())
}

/// A page of the search for accounts that nobody uses.
#[derive(Clone, Copy, Debug)]
pub struct IdlePage {
    /// The last account that was looked at; none when there was none left.
    pub reached: Option<Uuid>,
    /// How many were forgotten.
    pub forgotten: u64,
}

/// Looks at the accounts after `after`, at most `most`, and forgets the riders among them who have
/// neither booked nor had money moved for `days`, are signed in nowhere, and have nothing open and no
/// money. Sessions end on every replica within a second. One transaction: a dropped future forgets the
/// page or leaves it.
///
/// # Errors
/// The database's.
pub async fn forget_idle(pool: &PgPool, after: Uuid, days: u16, most: u32) -> Result<IdlePage, sqlx::Error> {
    let page = sqlx::query!(
        r#"select reached, forgotten as "forgotten!"
           from forget_idle_riders($1, make_interval(days => $2), $3, $4)"#,
        after,
        i32::from(days),
        i32::try_from(most).unwrap_or(i32::MAX),
        NO_PASSWORD
    )
    .fetch_one(pool)
    .await?;
    for rider in &page.forgotten {
        Event::AccountForgotten.record(Some(&security::account(RiderId(*rider))), None);
    }
    Ok(IdlePage { reached: page.reached, forgotten: page.forgotten.len() as u64 })
}

fn in_the_way(rule: &str) -> Error {
    Refusal::Invalid(FieldError::new("rider", rule)).into()
}
