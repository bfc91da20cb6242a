//! What is held of a person: export, erasure, and the verified e-mail address.

mod export;
mod forget;
pub mod places;

pub use export::export;
pub use forget::{IdlePage, forget, forget_idle};

use crate::{
    accounts::user_name,
    domain::{Error, FieldError, Refusal, RiderId},
    ops::{
        Attribution,
        audit::{Action, Subject},
    },
};
use serde_json::json;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// The account of an id or a user name.
///
/// # Errors
/// There is none; the database's.
pub async fn account_of(db: impl PgExecutor<'_>, text: &str) -> Result<RiderId, Error> {
    let found = sqlx::query_scalar!(
        r#"select id from rider where id = $1 or lower(user_name collate "C") = $2 limit 1"#,
        text.parse::<Uuid>().unwrap_or_default(),
        user_name::folded(text)
    )
    .fetch_optional(db)
    .await?;
    found.map(RiderId).ok_or_else(|| Refusal::NotFound("rider").into())
}

/// Marks the account's e-mail address as its owner's, for a reason: how that was checked. Farebox
/// sends no mail. Of all accounts that claim an address, one is verified. A repeat changes nothing.
///
/// # Errors
/// No such account, no address, an address that is verified for another account; the database's.
pub async fn verify_email(conn: &mut PgConnection, by: &Attribution, rider: RiderId) -> Result<(), Error> {
    by.reason()?;
    let row =
        sqlx::query!("select email, email_verified_at from rider where id = $1 for no key update", rider.0)
            .fetch_optional(&mut *conn)
            .await?
            .ok_or(Refusal::NotFound("rider"))?;
    let refused = |rule: &str| Error::from(Refusal::Invalid(FieldError::new("/email", rule)));
    let email = row.email.ok_or_else(|| refused("the account has no e-mail address"))?;
    if row.email_verified_at.is_some() {
        return Ok(());
    }
    let taken = sqlx::query_scalar!(
        r#"select exists(select from rider where email_verified_at is not null
           and lower(normalize(email, nfc) collate "C") = lower(normalize($1::text, nfc) collate "C")) as "taken!""#,
        email
    )
    .fetch_one(&mut *conn)
    .await?;
    let taken_rule = "the address is verified for another account";
    if taken {
        return Err(refused(taken_rule));
    }
    let verified = sqlx::query!("update rider set email_verified_at = now() where id = $1", rider.0)
        .execute(&mut *conn)
        .await;
    if let Err(error) = verified {
        // Another account got it at the same moment.
        let is_taken = error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation);
        return Err(if is_taken { refused(taken_rule) } else { error.into() });
    }
    by.record(conn, Action::EmailVerify, &Subject::of("account", &rider), &json!({})).await?;
    Ok(())
}
