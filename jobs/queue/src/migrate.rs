//! The schema of the queue, and its versions.

use sqlx::{Connection, PgConnection};

/// The migrations, in the order of their versions.
const MIGRATIONS: &[(i32, &str)] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// The key of the advisory lock that lets one process migrate at a time: "queue" in ASCII.
const LOCK: i64 = 0x71_75_65_75_65;

/// Why the schema cannot be brought up to date, or used.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database has a version that this build does not know.
    #[error("the queue's schema is at version {found}, this build knows {known}")]
    Newer {
        /// The database's version.
        found: i32,
        /// The newest version of this build.
        known: i32,
    },
    /// The database lacks versions that this build needs: call [`migrate`].
    #[error("the queue's schema is at version {found}, this build needs {needed}")]
    Older {
        /// The database's version; 0 without a schema.
        found: i32,
        /// The newest version of this build.
        needed: i32,
    },
    /// A migration or a query failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The version of the schema that this build needs.
pub fn schema_version() -> i32 {
    MIGRATIONS.last().map_or(0, |(version, _)| *version)
}

/// Refuses a schema that is not this build's.
///
/// # Errors
/// [`MigrateError::Older`] or [`MigrateError::Newer`].
pub async fn require_current(conn: &mut PgConnection) -> Result<(), MigrateError> {
    let there: bool = sqlx::query_scalar("select to_regclass('queue.schema_version') is not null")
        .fetch_one(&mut *conn)
        .await?;
    let found = if there { installed(conn).await? } else { 0 };
    match found.cmp(&schema_version()) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(MigrateError::Older { found, needed: schema_version() }),
        std::cmp::Ordering::Greater => Err(MigrateError::Newer { found, known: schema_version() }),
    }
}

async fn installed(conn: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("select coalesce(max(version), 0) from queue.schema_version").fetch_one(conn).await
}

/// Creates the queue's schema, or brings it up to this build. Several processes may call it at once. Each version is one
/// transaction with its entry in `queue.schema_version`.
///
/// # Errors
/// [`MigrateError::Newer`] for a database of a newer build.
pub async fn migrate(conn: &mut PgConnection) -> Result<(), MigrateError> {
    // One transaction for all: DDL is transactional, and the lock ends with it.
    #[allow(
        clippy::disallowed_methods,
        reason = "if this is dropped, the caller closes its connection or rolls back"
    )]
    let mut tx = conn.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *tx).await?;
    sqlx::raw_sql(
        "create schema if not exists queue;
         create table if not exists queue.schema_version (
             version    integer     not null,
             applied_at timestamptz not null default now(),
             constraint schema_version_pkey primary key (version)
         )",
    )
    .execute(&mut *tx)
    .await?;
    let found = installed(&mut tx).await?;
    if found > schema_version() {
        return Err(MigrateError::Newer { found, known: schema_version() });
    }
    for (version, sql) in MIGRATIONS.iter().filter(|(version, _)| *version > found) {
        sqlx::raw_sql(*sql).execute(&mut *tx).await?;
        sqlx::query("insert into queue.schema_version (version) values ($1)")
            .bind(version)
            .execute(&mut *tx)
            .await?;
    }
    Ok(tx.commit().await?)
}
