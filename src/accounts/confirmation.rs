//! The password is asked for again before money moves, and before an account is handed over: a
//! session counts as confirmed for a while after its sign-in, and after its account has given the
//! password (and the code) once more.

use crate::domain::{Error, Refusal};
use sqlx::PgExecutor;
use uuid::Uuid;

/// Refuses a session whose account gave its password longer than `secs` ago.
///
/// # Errors
/// [`Refusal::NotConfirmed`]; the database's.
pub async fn require(db: impl PgExecutor<'_>, session: Uuid, secs: u32) -> Result<(), Error> {
    if is_fresh(db, session, secs).await? { Ok(()) } else { Err(Refusal::NotConfirmed.into()) }
}

/// Whether the session's account gave its password within the last `secs`.
///
/// # Errors
/// The database's.
pub async fn is_fresh(db: impl PgExecutor<'_>, session: Uuid, secs: u32) -> Result<bool, sqlx::Error> {
    let fresh = sqlx::query_scalar!(
        r#"select confirmed_at > now() - make_interval(secs => $2) as "fresh!" from session
           where id = $1 and revoked_at is null"#,
        session,
        f64::from(secs)
    )
    .fetch_optional(db)
    .await?;
    Ok(fresh.unwrap_or(false))
}

/// Notes that the session's account gave its password now, and a code of its second factor if
/// `by_code`.
///
/// # Errors
/// The database's.
pub async fn note(db: impl PgExecutor<'_>, session: Uuid, by_code: bool) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update session set confirmed_at = now(), second_factor = second_factor or $2
         where id = $1 and revoked_at is null",
        session,
        by_code
    )
    .execute(db)
    .await
    .map(drop)
}
