//! The sessions of one account, as its owner sees and ends them.

use crate::domain::RiderId;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

/// Most sessions that are listed: the setting allows no more.
const MAX_LISTED: i64 = 1_000;

/// A session that goes on.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "OpenSession")]
pub struct OpenSession {
    /// Its id.
    pub id: Uuid,
    /// When it began.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub created_at: DateTime<Utc>,
    /// When it expires.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub expires_at: DateTime<Utc>,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// All sessions of an account that go on.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "OpenSessions")]
pub struct OpenSessions {
    /// The newest first.
    pub items: Vec<OpenSession>,
}

/// The account's sessions, newest first.
///
/// # Errors
/// The database's.
pub async fn list(
    db: impl PgExecutor<'_>,
    rider: RiderId,
    current: Uuid,
) -> Result<OpenSessions, sqlx::Error> {
    let items = sqlx::query_as!(
        OpenSession,
        r#"select id, created_at, expires_at, id = $2 as "current!" from session
           where rider_id = $1 and revoked_at is null and expires_at > now() order by id desc limit $3"#,
        rider.0,
        current,
        MAX_LISTED
    )
    .fetch_all(db)
    .await?;
    Ok(OpenSessions { items })
}

/// Ends one session of the account, or all of them; returns how many ended. On every replica within a
/// second.
///
/// # Errors
/// The database's.
pub async fn end(pool: &PgPool, rider: RiderId, one: Option<Uuid>) -> Result<u64, sqlx::Error> {
    let ended = sqlx::query!(
        "update session set revoked_at = now()
         where rider_id = $1 and revoked_at is null and expires_at > now() and ($2::uuid is null or id = $2)",
        rider.0,
        one
    )
    .execute(pool)
    .await?;
    Ok(ended.rows_affected())
}

/// Ends the account's sessions but this one; returns how many ended.
///
/// # Errors
/// The database's.
pub async fn end_others(pool: &PgPool, rider: RiderId, keep: Uuid) -> Result<u64, sqlx::Error> {
    let ended = sqlx::query!(
        "update session set revoked_at = now() where rider_id = $1 and revoked_at is null and id <> $2",
        rider.0,
        keep
    )
    .execute(pool)
    .await?;
    Ok(ended.rows_affected())
}
