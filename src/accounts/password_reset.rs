//! Resetting a sign-in password: an operator has a one-time code made, and the account's owner sets
//! a new password with it. The old password ends when the code is made, and so do the sessions.

use super::{password_change::Account, passwords::Passwords, user_name};
use crate::{
    domain::{BoxError, Error, Refusal, RiderId},
    storage,
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use chrono::{DateTime, Utc};
use rand::{TryRngCore, rngs::OsRng};
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};

/// The letters of a code: without those that are taken for another one. Each holds five bits.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Letters of a code: 120 bits, too many to guess, so a fast hash of it without a salt is enough.
const CODE_LETTERS: usize = 24;
/// Letters between two hyphens.
const GROUP: usize = 4;
/// Bytes of a password's hash.
const HASH_BYTES: usize = 32;

/// A one-time code, as an operator sees it: the only place where it appears.
#[derive(Serialize, JsonSchema)]
pub struct ResetCode {
    /// For the account's owner.
    pub code: String,
    /// Until when.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub expires_at: DateTime<Utc>,
}

/// A random code in groups, for a person to read and to type.
pub(super) fn random_code() -> Result<String, BoxError> {
    let mut random = [0; CODE_LETTERS];
    OsRng.try_fill_bytes(&mut random)?;
    let letters = random.map(|byte| LETTERS.get(usize::from(byte % 32)).copied().unwrap_or(b'0'));
    let groups: Vec<String> =
        letters.chunks(GROUP).map(|group| group.iter().copied().map(char::from).collect()).collect();
    Ok(groups.join("-"))
}

/// The digest of a code as it is typed: in any case, with any blanks and hyphens.
pub(super) fn digest(code: &str) -> Vec<u8> {
    let plain = code.chars().filter(|c| !c.is_whitespace() && *c != '-');
    let plain: String = plain.map(|c| c.to_ascii_uppercase()).take(CODE_LETTERS + 1).collect();
    Sha256::digest(plain).to_vec()
}

/// Makes a code that lasts `secs`, and ends the old password and every session. The caller has
/// locked the account.
///
/// # Errors
/// [`Refusal::NotFound`]; the database's.
pub async fn issue(conn: &mut PgConnection, rider: RiderId, secs: u32) -> Result<ResetCode, Error> {
    let code = random_code().map_err(Error::Broken)?;
    // A hash of no password: the old one with random bytes in place of its own. It costs as much.
    let mut random = [0; HASH_BYTES];
    OsRng.try_fill_bytes(&mut random).map_err(|error| Error::Broken(error.into()))?;
    let changed = sqlx::query!(
        "update rider set password_hash = regexp_replace(password_hash, '[^$]*$', $2), sessions_from = clock_timestamp()
         where id = $1",
        rider.0,
        STANDARD_NO_PAD.encode(random)
    )
    .execute(&mut *conn)
    .await?;
    if changed.rows_affected() == 0 {
        return Err(Refusal::NotFound("account").into());
    }
    let expires_at = sqlx::query_scalar!(
        "insert into password_reset (rider_id, digest, expires_at) values ($1, $2, now() + make_interval(secs => $3))
         on conflict (rider_id) do update set digest = excluded.digest, expires_at = excluded.expires_at
         returning expires_at",
        rider.0,
        digest(&code),
        f64::from(secs)
    )
    .fetch_one(conn)
    .await?;
    Ok(ResetCode { code, expires_at })
}

/// Sets a new password with a code. A code that is unknown, used, or past its end is refused in one
/// way, and so is an account that does not exist: no password is hashed for any of them. Wrong codes do
/// not void the right one: a client that knows only the name could else take it from its owner. It has
/// too many bits to guess, and tries are delayed as those of a sign-in. Safe to drop: the password is set
/// and the code used up in one transaction.
///
/// # Errors
/// [`Refusal::WrongResetCode`], a password that breaks a rule; the hasher's and the database's.
pub async fn redeem(
    pool: &PgPool,
    passwords: &Passwords,
    name: &str,
    code: &str,
    new: &str,
) -> Result<(), Error> {
    let digest = digest(code);
    let found = sqlx::query!(
        r#"select p.rider_id, p.digest from password_reset p join rider r on r.id = p.rider_id
           where lower(r.user_name collate "C") = $1 and r.state = 'active' and p.expires_at > now()"#,
        user_name::folded(name)
    )
    .fetch_optional(pool)
    .await?;
    let found = found.filter(|found| found.digest == digest).ok_or(Refusal::WrongResetCode)?;
    let rider = RiderId(found.rider_id);
    Account::find(pool, rider).await?.check_new("/new_password", new)?;
    let hash = passwords.hash(new).await.map_err(Error::Broken)?;
    let mut tx = storage::begin(pool).await?;
    let used = sqlx::query!(
        "delete from password_reset where rider_id = $1 and digest = $2 and expires_at > now()",
        rider.0,
        digest
    )
    .execute(&mut *tx)
    .await?;
    if used.rows_affected() == 0 {
        tx.rollback().await?;
        return Err(Refusal::WrongResetCode.into());
    }
    sqlx::query!(
        "update rider set password_hash = $2, sessions_from = clock_timestamp() where id = $1 and state = 'active'",
        rider.0,
        hash
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_known_however_it_is_typed() -> Result<(), BoxError> {
        let code = random_code()?;
        assert_eq!(code.len(), CODE_LETTERS + CODE_LETTERS / GROUP - 1);
        let bits = code.chars().filter(|c| LETTERS.contains(&(*c as u8))).count() * 5;
        assert!(bits >= 112, "{bits} bits can be guessed from a digest");
        assert_ne!(code, random_code()?);
        let typed = format!("  {} ", code.to_lowercase().replace('-', " "));
        assert_eq!(digest(&typed), digest(&code));
        assert_ne!(digest(&format!("{code}A")), digest(&code));
        Ok(())
    }
}
