//! What gives rights, and may have ended after the moment: it lives again in the restored database.

use crate::{
    accounts::secret_check,
    domain::Error,
    ops::{
        Attribution,
        audit::{Action, Subject},
    },
    settings::Secrets,
    storage,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};

/// How much of it there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LivingRights {
    /// Sessions that go on.
    pub sessions: i64,
    /// Payments that are authorized.
    pub authorizations: i64,
    /// One-time codes for a new password.
    pub reset_codes: i64,
    /// Recovery codes of second factors that were not used.
    pub recovery_codes: i64,
    /// Whether tokens of sessions that were opened after the moment are accepted: they have no row that
    /// could end, and end with their token key.
    pub later_tokens: bool,
}

impl LivingRights {
    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.later_tokens || *self != Self { later_tokens: self.later_tokens, ..Self::default() }
    }
}

/// Counts it. Tokens of after the moment are accepted while a token key of the settings was used with the
/// database before the moment.
///
/// # Errors
/// The database's.
pub(super) async fn living(
    conn: &mut PgConnection,
    secrets: &Secrets,
    moment: Option<DateTime<Utc>>,
) -> Result<LivingRights, sqlx::Error> {
    let row = sqlx::query!(
        r#"select (select count(*) from session where revoked_at is null and expires_at > now()) as "sessions!",
                  (select count(*) from payment_authorization where used_by is null and expires_at > now())
                      as "authorizations!",
                  (select count(*) from password_reset where expires_at > now()) as "reset_codes!",
                  (select count(*) from recovery_code where used_at is null) as "recovery_codes!""#
    )
    .fetch_one(&mut *conn)
    .await?;
    let since = secret_check::oldest_token_key(conn, secrets).await?;
    let later_tokens = since.is_some_and(|since| moment.is_none_or(|moment| since <= moment));
    Ok(LivingRights {
        sessions: row.sessions,
        authorizations: row.authorizations,
        reset_codes: row.reset_codes,
        recovery_codes: row.recovery_codes,
        later_tokens,
    })
}

/// Ends all of it but the tokens, in one transaction with its row of the audit log; returns what was ended.
/// Sessions end on every replica within a second. A code of a second factor that was used just before
/// counts no second time. Safe to drop: all of it is done, or nothing.
///
/// # Errors
/// The database's.
pub async fn void(pool: &PgPool, by: &Attribution) -> Result<LivingRights, Error> {
    let mut tx = storage::begin(pool).await?;
    // First, since the end of a session deletes its authorizations.
    let authorizations = sqlx::query!("delete from payment_authorization").execute(&mut *tx).await?;
    let sessions =
        sqlx::query!("update session set revoked_at = now() where revoked_at is null and expires_at > now()")
            .execute(&mut *tx)
            .await?;
    let reset_codes = sqlx::query!("delete from password_reset").execute(&mut *tx).await?;
    let recovery_codes = sqlx::query!("update recovery_code set used_at = now() where used_at is null")
        .execute(&mut *tx)
        .await?;
    sqlx::query!(
        "update second_factor set last_step = greatest(last_step, extract(epoch from now())::bigint / 30 + 1)"
    )
    .execute(&mut *tx)
    .await?;
    let count = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
    let ended = LivingRights {
        sessions: count(sessions.rows_affected()),
        authorizations: count(authorizations.rows_affected()),
        reset_codes: count(reset_codes.rows_affected()),
        recovery_codes: count(recovery_codes.rows_affected()),
        later_tokens: false,
    };
    let LivingRights { sessions, authorizations, reset_codes, recovery_codes, .. } = ended;
    let detail = json!({
        "sessions": sessions, "authorizations": authorizations, "reset_codes": reset_codes,
        "recovery_codes": recovery_codes,
    });
    by.record(&mut tx, Action::RestoreVoid, &Subject::of("database", &"rights"), &detail).await?;
    tx.commit().await?;
    Ok(ended)
}
