//! The pay password: six digits, hashed, locked after a few wrong tries.
//!
//! A try is *let through* before it is checked: tries known to be wrong and tries being checked together never pass
//! [`MOST_TRIES`], however many run at once, on however many replicas. So nobody guesses more often by guessing in
//! parallel, and a rider who pays for many orders at once only waits his turn.

use crate::{
    accounts::passwords::Busy,
    domain::{BoxError, Error, FieldError, PayPassword, Refusal, RiderId},
    saga::SagaContext,
    storage::again,
};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::time::Duration;

/// Wrong tries until it locks, as the contract says.
pub const MOST_TRIES: i32 = 5;
/// How long it stays locked.
const LOCK: Duration = Duration::from_secs(15 * 60);
/// After so long a try that has not come back is taken for dead with its process. Longer than a hash may take.
const LOST: Duration = Duration::from_secs(15);
/// How often a try waits for its turn, and how long each time.
const TURNS: u32 = 400;
/// Pause between two looks for a turn.
const TURN: Duration = Duration::from_millis(25);
/// How often something is judged again because the pay password was changed meanwhile.
pub const ROUNDS: u32 = 5;
/// For how long the request that set the pay password is known again.
const REPEATED: Duration = Duration::from_secs(3600);

/// Checks a pay password; the hash that it fits, as it was when the try was counted. A check that a change overtook is
/// made again: what is right is what is right then. Not to be dropped: a try that was let through and does not come back stands
/// in the way of others for [`LOST`]. Flows end by themselves; other callers use [`run_undropped`](crate::saga::run_undropped).
///
/// # Errors
/// Wrong, locked or never set; the database's.
pub async fn verify(saga: &SagaContext, rider: RiderId, password: &str) -> Result<String, Error> {
    for _ in 0..ROUNDS {
        let kept = again(|| let_through(saga, rider)).await?;
        let checked = saga.passwords.verify(password, &kept.hash).await;
        match settled(saga, rider, &kept, checked).await? {
            Counted { overtaken: true, .. } => {}
            Counted { right: true, .. } => return Ok(kept.hash),
            Counted { wrong, .. } => {
                return Err(Refusal::WrongPayPassword { tries_left: MOST_TRIES - wrong }.into());
            }
        }
    }
    Err(Error::Broken(Box::new(Busy)))
}

/// What a try that was let through is checked against.
struct Kept {
    hash: String,
    /// The digest of the change that set it, if a repeat of that can still be told.
    last_change: Option<Vec<u8>>,
}

/// What became of a try.
struct Counted {
    /// Whether it was right.
    right: bool,
    /// Wrong ones.
    wrong: i32,
    /// The pay password was changed while it was checked, and the try does not count.
    overtaken: bool,
}

/// Waits for a turn and takes it; what to check against.
async fn let_through(saga: &SagaContext, rider: RiderId) -> Result<Kept, Error> {
    for _ in 0..TURNS {
        let kept = sqlx::query_as!(
            Kept,
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
            MOST_TRIES,
            LOST.as_secs_f64(),
            REPEATED.as_secs_f64(),
        )
        .fetch_optional(&saga.pool)
        .await?;
        if let Some(kept) = kept {
            return Ok(kept);
        }
        if let Some(until) = locked_until(saga, rider).await? {
            return Err(Refusal::PayPasswordLocked { until }.into());
        }
        tokio::time::sleep(TURN).await;
    }
    Err(Refusal::PayPasswordLocked { until: Utc::now() }.into())
}

/// Ends a try that was let through: it counts, unless it could not be checked, and then it is as if it had not been made.
async fn settled(
    saga: &SagaContext,
    rider: RiderId,
    kept: &Kept,
    checked: Result<bool, BoxError>,
) -> Result<Counted, Error> {
    match checked {
        Ok(right) => Ok(again(|| come_back(saga, rider, &kept.hash, right)).await?),
        Err(error) => {
            again(|| withdraw(saga, rider)).await?;
            Err(Error::Broken(error))
        }
    }
}

/// Takes a try back that was let through.
async fn withdraw(saga: &SagaContext, rider: RiderId) -> Result<(), sqlx::Error> {
    sqlx::query!("update pay_password set checking = greatest(checking - 1, 0) where rider_id = $1", rider.0)
        .execute(&saga.pool)
        .await
        .map(drop)
}

/// Counts a try that was checked against this hash. It counts for that hash only: a right one wipes no slate of a pay
/// password that it does not fit, and a wrong one is none of the next's.
async fn come_back(
    saga: &SagaContext,
    rider: RiderId,
    hash: &str,
    right: bool,
) -> Result<Counted, sqlx::Error> {
    sqlx::query_as!(
        Counted,
        r#"update pay_password
           set checking = greatest(checking - 1, 0),
               wrong = case when hash <> $5 then wrong when $2 then 0 else wrong + 1 end,
               locked_until = case when hash <> $5 then locked_until
                                   when not $2 and wrong + 1 >= $3 then now() + make_interval(secs => $4) end
           where rider_id = $1
           returning wrong, hash <> $5 as "overtaken!", $2::bool as "right!""#,
        rider.0,
        right,
        MOST_TRIES,
        LOCK.as_secs_f64(),
        hash,
    )
    .fetch_one(&saga.pool)
    .await
}

/// Until when it is locked, if it is.
async fn locked_until(saga: &SagaContext, rider: RiderId) -> Result<Option<DateTime<Utc>>, Error> {
    let row = sqlx::query!(
        "select case when locked_until > now() then locked_until end as until from pay_password where rider_id = $1",
        rider.0
    )
    .fetch_optional(&saga.pool)
    .await?;
    Ok(row.ok_or(Refusal::PayPasswordMissing)?.until)
}

/// What a request to set the pay password comes to, once all that is slow about it is done.
pub enum Judged {
    /// It was done: this is the request that set the present one, again.
    Repeat,
    /// It is to be done.
    Change(Change),
}

/// A change that is left to be made, in one transaction.
pub struct Change {
    rider: RiderId,
    /// The hash that `current` was checked against; none for the first pay password.
    from: Option<String>,
    hash: String,
    digest: Vec<u8>,
}

/// Judges a request to set or to change the pay password; changing takes the current one.
///
/// `PUT` may be repeated, also without a key: who did not get the answer asks again with a `current` that is right no more. A
/// repeat is known by the digest of the last change, which covers `current` and `new`. Comparing tells whoever knows what was
/// before whether he guessed what is now, so it is a try like any other: let through first, and counted as wrong if the digest
/// differs and `current` is wrong. Nobody gets more guesses by it than by guessing `current`. After [`REPEATED`] a repeat is
/// judged as any request, and so is a first pay password that is set again without `current`.
///
/// # Errors
/// A malformed new one, a wrong or missing current one, locked; the database's.
pub async fn judge(
    saga: &SagaContext,
    rider: RiderId,
    current: Option<&str>,
    new: &str,
) -> Result<Judged, Error> {
    check_form("/new", new).map_err(Refusal::Invalid)?;
    let kind = if current.is_some() { "change" } else { "first" };
    let parts = [&rider.to_string(), kind, current.unwrap_or_default(), new];
    let digest = saga.passwords.digest("the pay password was set", &parts).map_err(Error::Broken)?;
    for _ in 0..ROUNDS {
        let Some(was_first) = again(|| was_first(saga, rider)).await? else {
            let hash = saga.passwords.hash(new).await.map_err(Error::Broken)?;
            return Ok(Judged::Change(Change { rider, from: None, hash, digest }));
        };
        if current.is_none() && !was_first {
            let rule = "the current pay password is needed";
            return Err(Refusal::Invalid(FieldError::new("/current", rule)).into());
        }
        let kept = again(|| let_through(saga, rider)).await?;
        let repeat = kept.last_change.as_ref() == Some(&digest);
        let checked = match current {
            _ if repeat => Ok(true),
            Some(current) => saga.passwords.verify(current, &kept.hash).await,
            None => Ok(false),
        };
        match settled(saga, rider, &kept, checked).await? {
            Counted { overtaken: true, .. } => {}
            Counted { right: false, wrong, .. } => {
                return Err(Refusal::WrongPayPassword { tries_left: MOST_TRIES - wrong }.into());
            }
            _ if repeat => return Ok(Judged::Repeat),
            _ => {
                let hash = saga.passwords.hash(new).await.map_err(Error::Broken)?;
                return Ok(Judged::Change(Change { rider, from: Some(kept.hash), hash, digest }));
            }
        }
    }
    Err(Error::Broken(Box::new(Busy)))
}

/// Whether the pay password is a first one that was set so lately that a repeat can be told; `None` if there is none.
async fn was_first(saga: &SagaContext, rider: RiderId) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select coalesce(was_first and changed_at > now() - make_interval(secs => $2), false) as "first!"
           from pay_password where rider_id = $1"#,
        rider.0,
        REPEATED.as_secs_f64()
    )
    .fetch_optional(&saga.pool)
    .await
}

impl Change {
    /// Makes the change, and ends what the old pay password authorized, unless another change was first.
    ///
    /// Two statements, for a statement does not see what it waited for: an authorization that is being issued holds a lock
    /// on the pay password's row ([`authorization::issue`](crate::payment::authorization::issue)), and is to be seen by the second.
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
        // In the order in which payments lock them. Those that are past their end matter to nobody; the index by end finds
        // the others.
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

/// Whether the text is a pay password at all.
///
/// # Errors
/// Names `pointer` and the rule.
pub fn check_form(pointer: &str, text: &str) -> Result<(), FieldError> {
    PayPassword::read(pointer, text).map(drop)
}
