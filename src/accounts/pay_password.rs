//! The pay password: six digits, hashed, locked after a few wrong attempts.
//!
//! An attempt is *reserved* before it is checked: wrong attempts and attempts being checked are
//! together at most [`MAX_TRIES`], on all replicas. Parallel guessing therefore gains nothing, and
//! a rider who pays for many orders at once only waits.

use crate::{
    accounts::{
        passwords::{Busy, HashQueue, Passwords},
        strength,
    },
    domain::{BoxError, Error, FieldError, PayPassword, Refusal, RiderId},
    security::{self, Event},
    storage::again,
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use std::time::Duration;

/// Wrong attempts until it is locked.
pub const MAX_TRIES: i32 = 5;
/// How long it stays locked.
pub(crate) const LOCK: Duration = Duration::from_secs(15 * 60);
/// How old a reserved attempt without a result is when it counts as abandoned by a dead process.
/// Longer than a hash may take.
const ABANDONED_AFTER: Duration = Duration::from_secs(15);
/// How often a request polls for an attempt: together with [`POLL`], how long a rider waits behind
/// other attempts.
const MAX_POLLS: u32 = 400;
/// The pause between two polls.
const POLL: Duration = Duration::from_millis(25);
/// How often a check is repeated because the pay password was changed meanwhile.
pub const MAX_ROUNDS: u32 = 5;
/// How long a repeat of the request that set the pay password is recognized.
const REPEAT_WINDOW: Duration = Duration::from_secs(3600);

/// Checks a pay password; returns the hash that it matches, as it was when the attempt was counted.
/// A check that a change of the pay password overtook is repeated. The future must not be dropped:
/// a reserved attempt without a result blocks others for [`ABANDONED_AFTER`]. Sagas run to their
/// end; other callers run it on a task that is not dropped.
///
/// # Errors
/// Wrong, locked or never set; the database's.
pub async fn verify(
    pool: &PgPool,
    passwords: &Passwords,
    rider: RiderId,
    password: &str,
) -> Result<String, Error> {
    let passwords = passwords.in_queue(HashQueue::Payments);
    for _ in 0..MAX_ROUNDS {
        let stored = again(|| reserve_attempt(pool, rider)).await?;
        let checked = passwords.verify(password, &stored.hash).await;
        match finish_attempt(pool, rider, &stored, checked).await? {
            AttemptResult { overtaken: true, .. } => {}
            AttemptResult { right: true, .. } => {
                return Ok(renew(pool, &passwords, rider, password, stored.hash).await);
            }
            AttemptResult { wrong, .. } => {
                return Err(Refusal::WrongPayPassword { tries_left: MAX_TRIES - wrong }.into());
            }
        }
    }
    Err(Error::Broken(Box::new(Busy)))
}

/// Renews the hash of a pay password that was right, if it is outdated; returns the hash that it
/// has now. A hash that cannot be renewed just now stays, and the payment goes on. A change of the pay
/// password meanwhile wins: the caller compares the hash with the one that is stored.
async fn renew(pool: &PgPool, passwords: &Passwords, rider: RiderId, password: &str, hash: String) -> String {
    if !passwords.is_outdated(&hash) {
        return hash;
    }
    let Ok(new) = passwords.hash(password).await else { return hash };
    let renewed = again(|| {
        sqlx::query!(
            "update pay_password set hash = $2 where rider_id = $1 and hash = $3",
            rider.0,
            new,
            hash
        )
        .execute(pool)
    });
    match renewed.await {
        Ok(done) if done.rows_affected() == 1 => new,
        Ok(_) => hash,
        Err(error) => {
            tracing::warn!(%error, "a pay password's hash could not be renewed");
            hash
        }
    }
}

/// The hash that a reserved attempt is checked against.
struct StoredHash {
    hash: String,
    /// The digest of the change that set it, if a repeat of it is still recognized.
    last_change: Option<Vec<u8>>,
}

/// The result of an attempt.
struct AttemptResult {
    /// Whether the pay password was right.
    right: bool,
    /// Wrong attempts until now.
    wrong: i32,
    /// The pay password was changed while it was checked: the attempt does not count.
    overtaken: bool,
}

/// Waits until an attempt is free and reserves it; returns what to check against.
async fn reserve_attempt(pool: &PgPool, rider: RiderId) -> Result<StoredHash, Error> {
    for _ in 0..MAX_POLLS {
        let stored = sqlx::query_as!(
            StoredHash,
            "update pay_password
             set wrong = case when locked_until is null then wrong else 0 end,
                 locked_until = null,
                 checking = case when checked_at < now() - make_interval(secs => $3) then 0 else checking end + 1,
                 checked_at = now()
             where rider_id = $1 and (locked_until is null or locked_until <= now())
               and case when locked_until is null then wrong else 0 end
                 + case when checked_at < now() - make_interval(secs => $3) then 0 else checking end < $2
             returning hash, case when changed_at > now() - make_interval(secs => $4) then last_change end as last_change",
            rider.0,
            MAX_TRIES,
            ABANDONED_AFTER.as_secs_f64(),
            REPEAT_WINDOW.as_secs_f64(),
        )
        .fetch_optional(pool)
        .await?;
        if let Some(stored) = stored {
            return Ok(stored);
        }
        if let Some(until) = locked_until(pool, rider).await? {
            Event::PayPasswordLocked.record(Some(&security::account(rider)), None);
            return Err(Refusal::PayPasswordLocked { until }.into());
        }
        tokio::time::sleep(POLL).await;
    }
    Err(Refusal::PayPasswordLocked { until: Utc::now() }.into())
}

/// Ends a reserved attempt: it counts, unless it could not be checked.
async fn finish_attempt(
    pool: &PgPool,
    rider: RiderId,
    stored: &StoredHash,
    checked: Result<bool, BoxError>,
) -> Result<AttemptResult, Error> {
    match checked {
        Ok(right) => {
            let result = again(|| record_result(pool, rider, &stored.hash, right)).await?;
            if !result.right && !result.overtaken {
                Event::PayPasswordWrong.record(Some(&security::account(rider)), None);
            }
            Ok(result)
        }
        Err(error) => {
            again(|| release_attempt(pool, rider)).await?;
            Err(Error::Broken(error))
        }
    }
}

/// Releases a reserved attempt that was not checked.
async fn release_attempt(pool: &PgPool, rider: RiderId) -> Result<(), sqlx::Error> {
    sqlx::query!("update pay_password set checking = greatest(checking - 1, 0) where rider_id = $1", rider.0)
        .execute(pool)
        .await
        .map(drop)
}

/// Counts an attempt that was checked against this hash, and for this hash only: after a change,
/// neither a right nor a wrong attempt at the old pay password affects the new one.
async fn record_result(
    pool: &PgPool,
    rider: RiderId,
    hash: &str,
    right: bool,
) -> Result<AttemptResult, sqlx::Error> {
    sqlx::query_as!(
        AttemptResult,
        r#"update pay_password
           set checking = greatest(checking - 1, 0),
               wrong = case when hash <> $5 then wrong when $2 then 0 else wrong + 1 end,
               locked_until = case when hash <> $5 then locked_until
                                   when not $2 and wrong + 1 >= $3 then now() + make_interval(secs => $4) end
           where rider_id = $1
           returning wrong, hash <> $5 as "overtaken!", $2::bool as "right!""#,
        rider.0,
        right,
        MAX_TRIES,
        LOCK.as_secs_f64(),
        hash,
    )
    .fetch_one(pool)
    .await
}

/// Until when the pay password is locked, if it is.
async fn locked_until(pool: &PgPool, rider: RiderId) -> Result<Option<DateTime<Utc>>, Error> {
    let row = sqlx::query!(
        "select case when locked_until > now() then locked_until end as until from pay_password where rider_id = $1",
        rider.0
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.ok_or(Refusal::PayPasswordMissing)?.until)
}

/// The outcome of checking a request to set the pay password.
pub enum ChangeCheck {
    /// A repeat of the request that set the present pay password.
    Repeat,
    /// A change that is to be made.
    Change(Change),
}

/// A checked change, to be made in one transaction.
pub struct Change {
    rider: RiderId,
    /// The hash that `current` was checked against; none for the first pay password.
    from: Option<String>,
    hash: String,
    digest: Vec<u8>,
}

/// Checks a request to set or to change the pay password; a change needs the current one.
///
/// `PUT` may be repeated, also without a key: a client that got no response repeats it with a
/// `current` that is no longer right. A repeat is recognized by the digest of the last change,
/// which covers `current` and `new`. The comparison reveals whether a guess of both is right, so it
/// counts as an attempt: reserved first, and wrong if the digest differs and `current` is wrong. It
/// gives no more guesses than guessing `current`. After [`REPEAT_WINDOW`] a repeat is checked like
/// any request, and so is a first pay password that is set again without `current`.
///
/// # Errors
/// A malformed new one, a wrong or missing current one, a locked one; the database's.
pub async fn check_change(
    pool: &PgPool,
    passwords: &Passwords,
    rider: RiderId,
    current: Option<&str>,
    new: &str,
) -> Result<ChangeCheck, Error> {
    PayPassword::read("/new", new).map_err(Refusal::Invalid)?;
    strength::check_pay_password("/new", new).map_err(Refusal::Invalid)?;
    let passwords = passwords.in_queue(HashQueue::Payments);
    let kind = if current.is_some() { "change" } else { "first" };
    let parts = [&rider.to_string(), kind, current.unwrap_or_default(), new];
    let digests = passwords.digests("the pay password was set", &parts);
    let digest = digests.first().cloned().unwrap_or_default();
    for _ in 0..MAX_ROUNDS {
        let Some(was_first) = again(|| was_first(pool, rider)).await? else {
            let hash = passwords.hash(new).await.map_err(Error::Broken)?;
            return Ok(ChangeCheck::Change(Change { rider, from: None, hash, digest }));
        };
        if current.is_none() && !was_first {
            let rule = "the current pay password is needed";
            return Err(Refusal::Invalid(FieldError::new("/current", rule)).into());
        }
        let stored = again(|| reserve_attempt(pool, rider)).await?;
        let repeat = stored.last_change.as_ref().is_some_and(|last| digests.contains(last));
        let checked = match current {
            _ if repeat => Ok(true),
            Some(current) => passwords.verify(current, &stored.hash).await,
            None => Ok(false),
        };
        match finish_attempt(pool, rider, &stored, checked).await? {
            AttemptResult { overtaken: true, .. } => {}
            AttemptResult { right: false, wrong, .. } => {
                return Err(Refusal::WrongPayPassword { tries_left: MAX_TRIES - wrong }.into());
            }
            _ if repeat => return Ok(ChangeCheck::Repeat),
            _ => {
                let hash = passwords.hash(new).await.map_err(Error::Broken)?;
                return Ok(ChangeCheck::Change(Change { rider, from: Some(stored.hash), hash, digest }));
            }
        }
    }
    Err(Error::Broken(Box::new(Busy)))
}

/// Whether the pay password is the first one and was set within [`REPEAT_WINDOW`]; `None` if there
/// is none.
async fn was_first(pool: &PgPool, rider: RiderId) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select coalesce(was_first and changed_at > now() - make_interval(secs => $2), false) as "first!"
           from pay_password where rider_id = $1"#,
        rider.0,
        REPEAT_WINDOW.as_secs_f64()
    )
    .fetch_optional(pool)
    .await
}

impl Change {
    /// Makes the change and deletes the authorizations of the old pay password, unless another
    /// change was first.
    ///
    /// It takes two statements, since a statement does not see what it waited for. Issuing an
    /// authorization (`payment::authorization::issue`) holds a lock
    /// on the pay password's row; the second statement sees that authorization.
    ///
    /// # Errors
    /// The database's.
    pub async fn make(&self, conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let Self { rider, from, hash, digest } = self;
        let made = match from {
            None => {
                sqlx::query!(
                    "insert into pay_password (rider_id, hash, changed_at, last_change, was_first)
                     values ($1, $2, now(), $3, true) on conflict (rider_id) do nothing",
                    rider.0,
                    hash,
                    digest
                )
                .execute(&mut *conn)
                .await?
            }
            Some(from) => {
                sqlx::query!(
                    "update pay_password
                     set hash = $2, wrong = 0, locked_until = null, changed_at = now(), last_change = $3, was_first = false
                     where rider_id = $1 and hash = $4",
                    rider.0,
                    hash,
                    digest,
                    from
                )
                .execute(&mut *conn)
                .await?
            }
        };
        if made.rows_affected() == 0 {
            return Ok(false);
        }
        // In the order in which payments lock them. Expired ones are left out, so that the index by
        // expiry is used.
        sqlx::query!(
            "delete from payment_authorization where order_id in (
                 select order_id from payment_authorization
                 where rider_id = $1 and used_by is null and expires_at > now()
                 order by order_id for update)",
            rider.0
        )
        .execute(conn)
        .await?;
        Ok(true)
    }
}
