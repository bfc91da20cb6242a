//! Compares the secrets of a process with those that its database was used with.
//!
//! The database stores a fingerprint of each token key and pepper that was in force. A process may
//! start if its own is among them, or if it knows the latest one as its predecessor: then the
//! change is recorded. With any other secret, every session and every password would be refused,
//! one by one.

use super::token_keys::fingerprint;
use crate::{
    settings::{Ring, Secrets},
    storage,
};
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use sqlx::{PgConnection, PgPool};

/// The secrets that are compared: the word in SQL, and the setting.
const KINDS: [(&str, &str); 2] = [("token_key", "secrets.token_key"), ("pepper", "secrets.pepper")];

/// Why a process may not work with a database.
#[derive(Debug, thiserror::Error)]
pub enum SecretMismatch {
    /// The secret is another than the one that the database was used with.
    #[error(
        "{setting} is not the one that this database was used with, and that one is not among \
         {setting}'s old ones: set it again, or accept the change with `farebox secrets accept` \
         (docs/operators/security.md)"
    )]
    Other {
        /// The setting.
        setting: &'static str,
    },
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

/// Compares the secrets with the database's, and records them if they are its first, or its next
/// ones. Safe to drop: it is one transaction.
///
/// # Errors
/// A secret that the database was never used with; the database's.
pub async fn check(pool: &PgPool, secrets: &Secrets) -> Result<(), SecretMismatch> {
    let mut tx = storage::begin(pool).await?;
    compare(&mut tx, secrets).await?;
    Ok(tx.commit().await?)
}

/// Whether [`check`] would accept the secrets; nothing is recorded.
///
/// # Errors
/// As [`check`].
pub async fn would_accept(pool: &PgPool, secrets: &Secrets) -> Result<(), SecretMismatch> {
    let mut tx = storage::begin(pool).await?;
    compare(&mut tx, secrets).await?;
    Ok(tx.rollback().await?)
}

async fn compare(tx: &mut PgConnection, secrets: &Secrets) -> Result<(), SecretMismatch> {
    for ((kind, setting), ring) in KINDS.into_iter().zip(rings(secrets)) {
        if is_recorded(&mut *tx, kind, &ring).await? {
            continue;
        }
        // The lock makes one process's first secret the database's, and the others compare with it.
        sqlx::query("lock table secret_fingerprint in share row exclusive mode").execute(&mut *tx).await?;
        let latest = sqlx::query_scalar!(
            "select fingerprint from secret_fingerprint where kind = $1 order by since desc limit 1",
            kind
        )
        .fetch_optional(&mut *tx)
        .await?;
        let knows = |latest: &[u8]| ring.all().any(|one| print(one.expose_secret()) == latest);
        if latest.is_some_and(|latest| !knows(&latest)) {
            return Err(SecretMismatch::Other { setting });
        }
        record(&mut *tx, kind, &ring).await?;
    }
    Ok(())
}

/// Makes the secrets those of the database, whatever they were: for an operator who has lost the
/// old ones.
///
/// # Errors
/// The database's.
pub async fn accept(conn: &mut PgConnection, secrets: &Secrets) -> Result<(), sqlx::Error> {
    for ((kind, _), ring) in KINDS.into_iter().zip(rings(secrets)) {
        record(&mut *conn, kind, &ring).await?;
    }
    Ok(())
}

/// Since when the oldest of the settings' token keys is the database's; `None` if none of them is.
///
/// # Errors
/// The database's.
pub async fn oldest_token_key(
    conn: &mut PgConnection,
    secrets: &Secrets,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    let prints: Vec<Vec<u8>> = secrets.token_keys().all().map(|key| print(key.expose_secret())).collect();
    sqlx::query_scalar!(
        "select min(since) from secret_fingerprint where kind = 'token_key' and fingerprint = any($1)",
        &prints
    )
    .fetch_one(conn)
    .await
}

fn rings(secrets: &Secrets) -> [Ring; 2] {
    [secrets.token_keys(), secrets.peppers()]
}

fn print(secret: &str) -> Vec<u8> {
    fingerprint(secret.as_bytes()).to_vec()
}

/// Whether the secret in force was in force before.
async fn is_recorded(conn: &mut PgConnection, kind: &str, ring: &Ring) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists(select from secret_fingerprint where kind = $1 and fingerprint = $2) as "is!""#,
        kind,
        print(ring.current.expose_secret())
    )
    .fetch_one(conn)
    .await
}

async fn record(conn: &mut PgConnection, kind: &str, ring: &Ring) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into secret_fingerprint (kind, fingerprint, since) values ($1, $2, clock_timestamp())
         on conflict (kind, fingerprint) do update set since = excluded.since",
        kind,
        print(ring.current.expose_secret())
    )
    .execute(conn)
    .await
    .map(drop)
}
