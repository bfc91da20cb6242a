//! The second factor of accounts of the operations side: codes by time (RFC 6238), and recovery codes
//! for an operator who has lost the device.
//!
//! The secret is stored nowhere: it is derived from a random nonce in the database with the pepper,
//! so neither a copy of the database nor the pepper alone makes a code. A code counts once, on all
//! replicas: its time step must be newer than the last one used. A try is counted before it is
//! checked, so guessing in parallel gains nothing; a client that guesses knows the password already.

use super::{
    password_reset::{digest, random_code},
    passwords::Passwords,
};
use crate::{
    domain::{BoxError, Error, Refusal, RiderId},
    security::{self, Event},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Utc;
use rand::{TryRngCore, rngs::OsRng};
use sqlx::{PgConnection, PgExecutor, PgPool};
use totp_rs::{Builder, Totp};

/// Wrong codes in a row until the second factor is locked; as many again lock it for twice as long.
const TRIES: i32 = 5;
/// The first lock, seconds.
const FIRST_LOCK_SECS: f64 = 900.0;
/// The longest lock, seconds.
const LONGEST_LOCK_SECS: f64 = 86_400.0;
/// Recovery codes of a second factor.
const RECOVERY_CODES: usize = 10;
/// Bytes of a secret, as the standard recommends.
const SECRET_BYTES: usize = 20;
/// Longest code that is looked at, bytes.
const MAX_CODE_BYTES: usize = 40;
/// The name of the service in an authenticator.
const ISSUER: &str = "Farebox";

/// A nonce from which a secret is derived.
pub type Nonce = [u8; 16];

/// A random nonce, for a new enrolment.
///
/// # Errors
/// The operating system has no random bytes.
pub fn new_nonce() -> Result<Nonce, BoxError> {
    let mut nonce = Nonce::default();
    OsRng.try_fill_bytes(&mut nonce)?;
    Ok(nonce)
}

/// The codes of a nonce by the pepper in force; `name` is what an authenticator shows.
///
/// # Errors
/// None in practice: the secret has the length that the standard asks for.
pub fn codes(passwords: &Passwords, rider: RiderId, name: &str, nonce: &Nonce) -> Result<Totp, BoxError> {
    let secret = secrets(passwords, rider, nonce).into_iter().next();
    codes_of(secret.ok_or("there is no pepper")?, name)
}

/// The secrets that a nonce may stand for: that by the pepper in force first, then those by the other
/// peppers that are known, since an enrolment outlives a change of the pepper.
fn secrets(passwords: &Passwords, rider: RiderId, nonce: &Nonce) -> Vec<Vec<u8>> {
    let (rider, nonce) = (rider.to_string(), URL_SAFE_NO_PAD.encode(nonce));
    passwords.digests("the secret of a second factor", &[&rider, &nonce])
}

fn codes_of(mut secret: Vec<u8>, name: &str) -> Result<Totp, BoxError> {
    secret.truncate(SECRET_BYTES);
    let codes = Builder::new().with_secret(secret).with_account_name(name).with_issuer(Some(ISSUER)).build();
    codes.map_err(|error| error.to_string().into())
}

/// Whether the account has a second factor.
///
/// # Errors
/// The database's.
pub async fn is_enrolled(db: impl PgExecutor<'_>, rider: RiderId) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!("select rider_id from second_factor where rider_id = $1", rider.0);
    Ok(found.fetch_optional(db).await?.is_some())
}

/// Enrols the account if the code is one of the nonce; returns its recovery codes, which are shown
/// once. The caller commits.
///
/// # Errors
/// [`Refusal::WrongCode`], also if the account has a second factor already; the database's.
pub async fn enrol(
    conn: &mut PgConnection,
    passwords: &Passwords,
    rider: RiderId,
    nonce: &Nonce,
    code: &str,
) -> Result<Vec<String>, Error> {
    let step = step_of(passwords, rider, nonce, code).map_err(Error::Broken)?.ok_or(Refusal::WrongCode)?;
    let enrolled = sqlx::query!(
        "insert into second_factor (rider_id, nonce, last_step) values ($1, $2, $3) on conflict do nothing",
        rider.0,
        nonce.as_slice(),
        step
    )
    .execute(&mut *conn)
    .await?;
    if enrolled.rows_affected() == 0 {
        return Err(Refusal::WrongCode.into());
    }
    let recovery: Result<Vec<String>, BoxError> = (0..RECOVERY_CODES).map(|_| random_code()).collect();
    let recovery = recovery.map_err(Error::Broken)?;
    let digests: Vec<Vec<u8>> = recovery.iter().map(|code| digest(code)).collect();
    sqlx::query!(
        "insert into recovery_code (rider_id, digest) select $1, digest from unnest($2::bytea[]) as d(digest)",
        rider.0,
        &digests
    )
    .execute(conn)
    .await?;
    Event::SecondFactorEnrolled.record(Some(&security::account(rider)), None);
    Ok(recovery)
}

/// Removes the second factor with its recovery codes; returns whether there was one.
///
/// # Errors
/// The database's.
pub async fn remove(db: impl PgExecutor<'_>, rider: RiderId) -> Result<bool, sqlx::Error> {
    let removed = sqlx::query!("delete from second_factor where rider_id = $1", rider.0).execute(db).await?;
    Ok(removed.rows_affected() > 0)
}

/// Checks a code by time or a recovery code, and uses it up. Safe to drop: the try is counted by
/// then, and a right code is used up and forgives the tries in one statement.
///
/// # Errors
/// [`Refusal::WrongCode`], [`Refusal::TooSoon`] while it is locked; the database's.
pub async fn verify(pool: &PgPool, passwords: &Passwords, rider: RiderId, code: &str) -> Result<(), Error> {
    let counted = sqlx::query!(
        "update second_factor
         set wrong = wrong + 1,
             locked_until = case when (wrong + 1) % $2 = 0
                 then now() + make_interval(secs => least($3::float8 * power(2, (wrong + 1) / $2 - 1), $4::float8)) end
         where rider_id = $1 and (locked_until is null or locked_until <= now())
         returning nonce",
        rider.0,
        TRIES,
        FIRST_LOCK_SECS,
        LONGEST_LOCK_SECS
    )
    .fetch_optional(pool)
    .await?;
    let Some(counted) = counted else { return Err(locked(pool, rider).await?.into()) };
    let nonce = Nonce::try_from(counted.nonce.as_slice()).map_err(|error| Error::Broken(error.into()))?;
    let used = match step_of(passwords, rider, &nonce, code).map_err(Error::Broken)? {
        Some(step) => {
            let used = sqlx::query!(
                "update second_factor set last_step = $2, wrong = 0, locked_until = null
                 where rider_id = $1 and last_step < $2",
                rider.0,
                step
            );
            used.execute(pool).await?.rows_affected()
        }
        None => {
            let used = sqlx::query!(
                "with used as (
                     update recovery_code set used_at = now()
                     where rider_id = $1 and digest = $2 and used_at is null returning rider_id
                 )
                 update second_factor f set wrong = 0, locked_until = null from used where f.rider_id = used.rider_id",
                rider.0,
                digest(code)
            );
            used.execute(pool).await?.rows_affected()
        }
    };
    if used == 0 {
        Event::SecondFactorWrong.record(Some(&security::account(rider)), None);
        return Err(Refusal::WrongCode.into());
    }
    Ok(())
}

/// The time step whose code this is.
fn step_of(
    passwords: &Passwords,
    rider: RiderId,
    nonce: &Nonce,
    code: &str,
) -> Result<Option<i64>, BoxError> {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).take(MAX_CODE_BYTES).collect();
    let now = u64::try_from(Utc::now().timestamp())?;
    for secret in secrets(passwords, rider, nonce) {
        if let Some(step) = codes_of(secret, "")?.check(&code, now) {
            return Ok(Some(i64::try_from(step)?));
        }
    }
    Ok(None)
}

/// Why a try is not let through.
async fn locked(pool: &PgPool, rider: RiderId) -> Result<Refusal, sqlx::Error> {
    let wait = sqlx::query_scalar!(
        r#"select extract(epoch from locked_until - now())::float8 as "wait" from second_factor where rider_id = $1"#,
        rider.0
    )
    .fetch_optional(pool)
    .await?;
    Ok(match wait {
        None => Refusal::WrongCode,
        Some(wait) => {
            let wait = wait.unwrap_or(1.0).clamp(1.0, LONGEST_LOCK_SECS);
            Refusal::TooSoon { retry_after_secs: wait.ceil() as u64 }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Cost, Ring};

    const CHEAP: Cost = Cost { memory_kib: 64, passes: 2, parallel: 1 };

    #[test]
    fn codes_outlive_a_change_of_the_pepper() -> Result<(), BoxError> {
        let (first, second) = (Ring::alone("the first pepper"), Ring::alone("the second pepper"));
        let before = Passwords::new(&first, CHEAP)?;
        let rotated = Passwords::new(&Ring { old: vec![first.current], ..second.clone() }, CHEAP)?;
        let after = Passwords::new(&second, CHEAP)?;
        let (rider, nonce) = (RiderId::new(), new_nonce()?);
        let now = u64::try_from(Utc::now().timestamp())?;
        let old = codes(&before, rider, "ops", &nonce)?.generate(now).to_string();
        let new = codes(&rotated, rider, "ops", &nonce)?.generate(now).to_string();
        assert_ne!(old, new, "the pepper in force makes new enrolments");
        for (passwords, code, counts) in [
            (&before, &old, true),
            (&rotated, &old, true),
            (&rotated, &new, true),
            (&after, &new, true),
            (&after, &old, false),
        ] {
            assert_eq!(step_of(passwords, rider, &nonce, code)?.is_some(), counts);
        }
        Ok(())
    }
}
