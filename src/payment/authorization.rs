//! An authorization permits its rider to pay one order once, without the pay password. The pay password
//! is checked beforehand, so that its hash, which is slow on purpose, is not in the payment's path.
//!
//! It is used up in the statement that debits the wallet, so a crash leaves either both or neither. A
//! debit that is refused (balance too low, another payment under way) uses nothing up. One that is
//! undone later does: an authorization is for one debit, and a rider who pays again after a failure
//! shows the pay password again.
//!
//! It ends with the pay password that was checked for it: a change deletes it in its own transaction. It
//! also ends with the session that asked for it, however that ends: a trigger deletes it with the
//! revocation.

use super::{Proof, Request, check};
use crate::{
    accounts::{passwords::Busy, pay_password},
    domain::{Error, OrderId, PaymentId, Refusal, RiderId},
    saga::SagaContext,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use rand::{TryRngCore, rngs::OsRng};
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

/// Random bytes of a token: too many to guess, so a fast hash of it is enough.
const TOKEN: usize = 32;

/// A new authorization, as a response shows it: the only place where its token appears.
#[derive(Serialize, JsonSchema)]
pub struct Authorization {
    /// Goes into the payment in the pay password's place.
    pub authorization: String,
    /// Until when.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub expires_at: DateTime<Utc>,
}

/// Checks the pay password and authorizes one payment of the rider's unpaid order, for
/// `booking.pay_authorization_secs`. An earlier authorization of the order is void.
///
/// # Errors
/// Another rider's order, a wrong state, the deadline, the pay password; the database's.
pub async fn issue(
    saga: &SagaContext,
    order_id: OrderId,
    (rider_id, session): (RiderId, Uuid),
    pay_password: &str,
) -> Result<Authorization, Error> {
    let proof = Proof::PayPassword(pay_password.to_owned());
    let request = Request { payment_id: PaymentId::new(), order_id, rider_id, proof, key: None };
    // The order first, since a wrong state must cost no attempt.
    check::order(saga, &request).await?;
    let mut token = [0; TOKEN];
    OsRng.try_fill_bytes(&mut token).map_err(|error| Error::Broken(error.into()))?;
    let authorization = URL_SAFE_NO_PAD.encode(token);
    for _ in 0..pay_password::MAX_ROUNDS {
        let checked = pay_password::verify(&saga.pool, &saga.passwords, rider_id, pay_password).await?;
        if let Some(expires_at) = insert(saga, &request, session, &authorization, &checked).await? {
            return Ok(Authorization { authorization, expires_at });
        }
        if !is_open(&saga.pool, session).await? {
            return Err(Refusal::SessionOver.into());
        }
    }
    Err(Error::Broken(Box::new(Busy)))
}

/// Until when it holds; `None` if the pay password is not the one that was checked any more, or the
/// session has ended. Their rows are locked against a change, which either comes first and is seen here,
/// or waits and then deletes this.
async fn insert(
    saga: &SagaContext,
    request: &Request,
    session: Uuid,
    authorization: &str,
    checked: &str,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar!(
        "insert into payment_authorization (order_id, rider_id, token_hash, expires_at, session_id)
         select $1, p.rider_id, $3, now() + make_interval(secs => $4), s.id
         from pay_password p join session s on s.id = $6 and s.rider_id = p.rider_id and s.revoked_at is null
         where p.rider_id = $2 and p.hash = $5 for share
         on conflict (order_id) do update
             set rider_id = excluded.rider_id, token_hash = excluded.token_hash,
                 expires_at = excluded.expires_at, session_id = excluded.session_id, used_by = null
         returning expires_at",
        request.order_id.0,
        request.rider_id.0,
        Sha256::digest(authorization).to_vec(),
        saga.rules.pay_authorization_secs,
        checked,
        session
    )
    .fetch_optional(&saga.pool)
    .await
}

/// Whether the session goes on, as the database says.
async fn is_open(pool: &PgPool, session: Uuid) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!("select id from session where id = $1 and revoked_at is null", session);
    Ok(found.fetch_optional(pool).await?.is_some())
}

/// Deletes authorizations that ended a day ago or longer, at most `batch`; returns how many.
///
/// # Errors
/// The database's.
pub async fn prune(db: impl PgExecutor<'_>, batch: u32) -> Result<u64, sqlx::Error> {
    let pruned = sqlx::query!(
        "delete from payment_authorization where order_id in (
             select order_id from payment_authorization where expires_at < now() - interval '1 day'
             order by expires_at limit $1 for update skip locked)",
        i64::from(batch)
    )
    .execute(db)
    .await?;
    Ok(pruned.rows_affected())
}
