//! The schema's version: applying the migrations, and refusing a database that does not fit this
//! build.

use super::note_outage;
use sqlx::{
    AssertSqlSafe, Connection, PgPool,
    migrate::{MigrateError, Migrator},
};

/// The migrations, built in.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Oldest and newest server the SQL is meant for, majors.
const SERVERS: std::ops::RangeInclusive<u32> = 15..=19;

/// What a migration does not keep of a session's settings.
const UNBOUNDED: &str =
    "set statement_timeout = 0; set idle_in_transaction_session_timeout = 0; set enable_seqscan = on";

/// The SQLSTATE of a table that does not exist, or is in a schema that the role may not use.
const NO_TABLE: &str = "42P01";
/// The SQLSTATE of a missing privilege.
const NO_PRIVILEGE: &str = "42501";

/// Why a process refuses a database.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Migrations are missing, or this build does not know some of them.
    #[error(
        "the database's schema is at migration {found}, this build needs {needed}; run `farebox migrate` of the same build, as the owner of the tables"
    )]
    Version {
        /// What the database has.
        found: i64,
        /// What this build knows last.
        needed: i64,
    },
    /// The role may not read which migrations there are.
    #[error("{0} may not use the schema; run `farebox roles --apply` as the owner of the tables")]
    NotGranted(String),
    /// The server is older or newer than the SQL is meant for.
    #[error("PostgreSQL {0} is not supported; 15 to 19 are")]
    Server(u32),
    /// The database has another encoding.
    #[error(
        "the database's encoding is {0}, and must be UTF8: create it with `encoding 'UTF8' template template0`"
    )]
    Encoding(String),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// A migration failed.
    #[error("migration: {0}")]
    Migration(#[from] MigrateError),
}

impl SchemaError {
    /// Whether an outage of the database is the cause, as [`note_outage`] does.
    pub fn note_outage(&self) -> bool {
        match self {
            Self::Database(error) | Self::Migration(MigrateError::Execute(error)) => note_outage(error),
            _ => false,
        }
    }
}

/// Applies the migrations of this build. Several processes may call it at once: the migrator takes
/// an advisory lock. It uses a connection of its own without a statement timeout, since a migration
/// may rewrite a large table. If the future is dropped, the connection is closed and the server
/// rolls back.
///
/// # Errors
/// An unsupported server, a failed migration.
pub async fn migrate(pool: &PgPool) -> Result<(), SchemaError> {
    require_server(pool).await?;
    let mut conn = pool.acquire().await?.detach();
    sqlx::raw_sql(UNBOUNDED).execute(&mut conn).await?;
    MIGRATIONS.run(&mut conn).await?;
    Ok(conn.close().await?)
}

/// Refuses a schema other than this build's. Only reads: a role that owns nothing can do it.
///
/// # Errors
/// [`SchemaError::Version`] with both numbers; [`SchemaError::NotGranted`].
pub async fn require_current(pool: &PgPool) -> Result<(), SchemaError> {
    require_server(pool).await?;
    let needed = MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0);
    let table = &MIGRATIONS.table_name;
    let newest = AssertSqlSafe(format!("select coalesce(max(version), 0) from {table}"));
    let found = match sqlx::query_scalar(newest).fetch_one(pool).await {
        Ok(version) => version,
        Err(sqlx::Error::Database(error)) => match error.code().as_deref() {
            Some(NO_TABLE | NO_PRIVILEGE) if is_migrated(pool).await? => {
                return Err(SchemaError::NotGranted(role(pool).await?));
            }
            Some(NO_TABLE) => 0,
            _ => return Err(sqlx::Error::Database(error).into()),
        },
        Err(error) => return Err(error.into()),
    };
    if found == needed { Ok(()) } else { Err(SchemaError::Version { found, needed }) }
}

/// Whether there is a table of migrations, wherever the role may look.
async fn is_migrated(pool: &PgPool) -> Result<bool, sqlx::Error> {
    let there = "select exists(select from pg_class where relname = $1 and relkind = 'r')";
    sqlx::query_scalar(there).bind(&*MIGRATIONS.table_name).fetch_one(pool).await
}

async fn role(pool: &PgPool) -> Result<String, sqlx::Error> {
    sqlx::query_scalar("select current_user::text").fetch_one(pool).await
}

async fn require_server(pool: &PgPool) -> Result<(), SchemaError> {
    let number: String = sqlx::query_scalar("show server_version_num").fetch_one(pool).await?;
    let major = number.parse::<u32>().unwrap_or(0) / 10_000;
    if !SERVERS.contains(&major) {
        return Err(SchemaError::Server(major));
    }
    // Names of any script are stored, and compared in normal forms that only this encoding has.
    let encoding: String = sqlx::query_scalar("show server_encoding").fetch_one(pool).await?;
    if encoding == "UTF8" { Ok(()) } else { Err(SchemaError::Encoding(encoding)) }
}
