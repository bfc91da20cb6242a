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
use sqlx::PgConnection;
use uuid::Uuid;

/// A hash of no password: an output of zeros, which nobody can find a password for. It parses, so a
/// sign-in is refused as for any wrong password.
const NO_PASSWORD: &str =
    "$argon2id$v=19$m=8,t=1,p=1$bm9ib2R5IGhlcmU$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// Characters of the random part of the name that a forgotten account gets.
const RANDOM_CHARS: usize = 24;

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
    erase(&mut *conn, rider).await?;
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
                                or o.status = 'paid' and t.arrives_at > now() and t.cancelled_at is null))
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
        return Err(in_the_way("an order is open: unpaid, being refunded, or paid for a trip to come"));
    }
    Ok(())
}

/// Replaces or deletes what names the person. Sessions end on every replica within a second.
async fn erase(conn: &mut PgConnection, rider: RiderId) -> Result<(), sqlx::Error> {
    let random: String = Uuid::new_v4().simple().to_string().chars().take(RANDOM_CHARS).collect();
    sqlx::query!(
        "update rider
         set user_name = $2, password_hash = $3, nick_name = null, sex = null, email = null, phone = null,
             email_verified_at = null, forgotten_at = now()
         where id = $1",
        rider.0,
        format!("forgotten-{random}"),
        NO_PASSWORD
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("update session set revoked_at = now() where rider_id = $1 and revoked_at is null", rider.0)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("delete from pay_password where rider_id = $1", rider.0).execute(&mut *conn).await?;
    sqlx::query!("delete from idempotency where actor = $1", rider.0).execute(&mut *conn).await?;
    sqlx::query!(
        "delete from payment_authorization
         where order_id in (select id from orders where rider_id = $1) and used_by is null",
        rider.0
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update evaluation set comment = null where order_id in (select id from orders where rider_id = $1)",
        rider.0
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("update bulk set actor = $2 where actor_id = $1", rider.0, rider.to_string())
        .execute(conn)
        .await
        .map(drop)
}

fn in_the_way(rule: &str) -> Error {
    Refusal::Invalid(FieldError::new("rider", rule)).into()
}
