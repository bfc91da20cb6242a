//! The pay password: six digits, hashed, locked after a few wrong tries.
//!
//! A try is *let through* before it is checked: tries known to be wrong and tries being checked together never pass
//! [`MOST_TRIES`], however many run at once, on however many replicas. So nobody guesses more often by guessing in
//! parallel, and a rider who pays for many orders at once only waits his turn.

use crate::{
    domain::{FieldError, PayPassword, Refusal, RiderId},
    flow::{Flow, StepError},
};
use chrono::{DateTime, Utc};
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

/// Checks a pay password.
///
/// # Errors
/// Wrong, locked or never set; the database's.
pub async fn verify(flow: &Flow, rider: RiderId, password: &str) -> Result<(), StepError> {
    let hash = let_through(flow, rider).await?;
    let right = flow.passwords.verify(password, &hash).await.map_err(StepError::Broken)?;
    let wrong = come_back(flow, rider, right).await?;
    if right { Ok(()) } else { Err(Refusal::WrongPayPassword { tries_left: MOST_TRIES - wrong }.into()) }
}

/// Waits for a turn and takes it; the hash to check.
async fn let_through(flow: &Flow, rider: RiderId) -> Result<String, StepError> {
    for _ in 0..TURNS {
        let hash = sqlx::query_scalar!(
            "update pay_password
             set wrong = case when locked_until is null then wrong else 0 end,
                 locked_until = null,
                 checking = case when checked_at < now() - make_interval(secs => $3) then 0 else checking end + 1,
                 checked_at = now()
             where rider_id = $1 and (locked_until is null or locked_until <= now())
               and case when locked_until is null then wrong else 0 end
                 + case when checked_at < now() - make_interval(secs => $3) then 0 else checking end < $2
             returning hash",
            rider.0,
            MOST_TRIES,
            LOST.as_secs_f64(),
        )
        .fetch_optional(&flow.pool)
        .await?;
        if let Some(hash) = hash {
            return Ok(hash);
        }
        if let Some(until) = locked_until(flow, rider).await? {
            return Err(Refusal::PayPasswordLocked { until }.into());
        }
        tokio::time::sleep(TURN).await;
    }
    Err(Refusal::PayPasswordLocked { until: Utc::now() }.into())
}

/// Counts a try that was checked; how many wrong ones there are.
async fn come_back(flow: &Flow, rider: RiderId, right: bool) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(
        "update pay_password
         set checking = greatest(checking - 1, 0),
             wrong = case when $2 then 0 else wrong + 1 end,
             locked_until = case when not $2 and wrong + 1 >= $3 then now() + make_interval(secs => $4) end
         where rider_id = $1
         returning wrong",
        rider.0,
        right,
        MOST_TRIES,
        LOCK.as_secs_f64(),
    )
    .fetch_one(&flow.pool)
    .await
}

/// Until when it is locked, if it is.
async fn locked_until(flow: &Flow, rider: RiderId) -> Result<Option<DateTime<Utc>>, StepError> {
    let row = sqlx::query!(
        "select case when locked_until > now() then locked_until end as until from pay_password where rider_id = $1",
        rider.0
    )
    .fetch_optional(&flow.pool)
    .await?;
    Ok(row.ok_or(Refusal::PayPasswordMissing)?.until)
}

/// Sets or changes the pay password; changing takes the current one.
///
/// # Errors
/// A malformed new one, a wrong or missing current one; the database's.
pub async fn set(flow: &Flow, rider: RiderId, current: Option<&str>, new: &str) -> Result<(), StepError> {
    check_form("/new", new).map_err(Refusal::Invalid)?;
    let has_one = sqlx::query_scalar!(
        r#"select exists(select from pay_password where rider_id = $1) as "has!""#,
        rider.0
    )
    .fetch_one(&flow.pool)
    .await?;
    if has_one {
        let missing = || Refusal::Invalid(FieldError::new("/current", "the current pay password is needed"));
        verify(flow, rider, current.ok_or_else(missing)?).await?;
    }
    let hash = flow.passwords.hash(new).await.map_err(StepError::Broken)?;
    sqlx::query!(
        "insert into pay_password (rider_id, hash) values ($1, $2)
         on conflict (rider_id) do update set hash = excluded.hash, wrong = 0, locked_until = null",
        rider.0,
        hash
    )
    .execute(&flow.pool)
    .await?;
    Ok(())
}

/// Whether the text is a pay password at all.
///
/// # Errors
/// Names `pointer` and the rule.
pub fn check_form(pointer: &str, text: &str) -> Result<(), FieldError> {
    PayPassword::read(pointer, text).map(drop)
}
