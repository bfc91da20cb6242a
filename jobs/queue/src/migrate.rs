//! The schema of the queue, and its versions.

use crate::QueueConfig;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::cmp::Ordering;

/// The migrations, in the order of their versions.
const MIGRATIONS: &[(i32, &str)] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// The key of the advisory lock that lets one process migrate at a time: "queue" in ASCII.
const LOCK: i64 = 0x71_75_65_75_65;

/// The table of the applied versions.
const VERSIONS: &str = "create table if not exists queue.schema_version (
    version    integer     not null,
    applied_at timestamptz not null default now(),
    constraint schema_version_pkey primary key (version)
)";

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

/// [`QueueConfig::require_current`] of the default queue.
pub async fn require_current(conn: &mut PgConnection) -> Result<(), MigrateError> {
    QueueConfig::default().require_current(conn).await
}

/// [`QueueConfig::migrate`] of the default queue.
pub async fn migrate(conn: &mut PgConnection) -> Result<(), MigrateError> {
    QueueConfig::default().migrate(conn).await
}

impl QueueConfig {
    /// Refuses a schema that is not this build's.
    ///
    /// # Errors
    /// [`MigrateError::Older`] or [`MigrateError::Newer`].
    pub async fn require_current(&self, conn: &mut PgConnection) -> Result<(), MigrateError> {
        let there: bool = sqlx::query_scalar("select to_regclass('queue.schema_version') is not null")
            .fetch_one(self.on(&mut *conn))
            .await?;
        let found = if there { self.installed(conn).await? } else { 0 };
        match found.cmp(&schema_version()) {
            Ordering::Equal => Ok(()),
            Ordering::Less => Err(MigrateError::Older { found, needed: schema_version() }),
            Ordering::Greater => Err(MigrateError::Newer { found, known: schema_version() }),
        }
    }

    /// Creates the queue's schema, or brings it up to this build, in one transaction. Several
    /// processes may call it at once.
    ///
    /// # Errors
    /// [`MigrateError::Newer`] for a database of a newer build.
    pub async fn migrate(&self, conn: &mut PgConnection) -> Result<(), MigrateError> {
        #[allow(
            clippy::disallowed_methods,
            reason = "if this is dropped, the transaction rolls back before its connection is used again"
        )]
        let mut tx = conn.begin().await?;
        sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *tx).await?;
        self.run(&mut tx, &format!("create schema if not exists {}", self.schema())).await?;
        self.run(&mut tx, VERSIONS).await?;
        let found = self.installed(&mut tx).await?;
        if found > schema_version() {
            return Err(MigrateError::Newer { found, known: schema_version() });
        }
        for (version, sql) in MIGRATIONS.iter().filter(|(version, _)| *version > found) {
            self.run(&mut tx, sql).await?;
            sqlx::query("insert into queue.schema_version (version) values ($1)")
                .bind(version)
                .execute(self.on(&mut *tx))
                .await?;
        }
        Ok(tx.commit().await?)
    }

    /// Runs one or more statements without parameters.
    async fn run(&self, conn: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(self.rewrite(sql))).execute(conn).await.map(drop)
    }

    async fn installed(&self, conn: &mut PgConnection) -> Result<i32, sqlx::Error> {
        sqlx::query_scalar("select coalesce(max(version), 0) from queue.schema_version")
            .fetch_one(self.on(conn))
            .await
    }
}
