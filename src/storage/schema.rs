//! Whether this build runs on the schema that it finds.

use super::{
    migrate::{SchemaError, check_applied, floor, require_server},
    migrations::{self, MIGRATIONS},
};
use sqlx::{AssertSqlSafe, PgPool, migrate::AppliedMigration};

/// The SQLSTATE of a table that does not exist, or is in a schema that the role may not use.
const NO_TABLE: &str = "42P01";
/// The SQLSTATE of a missing privilege.
const NO_PRIVILEGE: &str = "42501";

/// A schema that this build runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// No migration of a newer build was applied.
    Own,
    /// A newer build has migrated, and has taken nothing away that this build uses.
    Newer,
}

/// Refuses a schema that this build does not run on: one that lacks an expand migration of this
/// build, one whose floor is above this build, and one of another build. Only reads: a role that
/// owns nothing can do it.
///
/// # Errors
/// [`SchemaError::Version`] and [`SchemaError::TooOld`] with the numbers; [`SchemaError::NotGranted`];
/// [`SchemaError::Unknown`] and [`SchemaError::Changed`].
pub async fn require_schema(pool: &PgPool) -> Result<Schema, SchemaError> {
    require_server(pool).await?;
    let applied = granted(pool, applied(pool).await).await?.unwrap_or_default();
    let found = applied.last().map_or(0, |migration| migration.version);
    let needed = migrations::lowest();
    let mut own = MIGRATIONS.iter().filter(|known| known.version <= needed);
    if !own.all(|known| applied.iter().any(|one| one.version == known.version)) {
        return Err(SchemaError::Version { found, needed });
    }
    if !check_applied(&applied)? {
        return Ok(Schema::Own);
    }
    let mut conn = pool.acquire().await?;
    let lowest = floor(&mut conn).await;
    drop(conn);
    let lowest = granted(pool, lowest).await?.unwrap_or_default();
    let newest = migrations::newest();
    if lowest > newest { Err(SchemaError::TooOld { found, lowest, newest }) } else { Ok(Schema::Newer) }
}

async fn applied(pool: &PgPool) -> Result<Vec<AppliedMigration>, sqlx::Error> {
    let all = format!("select version, checksum from {} order by version", MIGRATIONS.table_name);
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(AssertSqlSafe(all)).fetch_all(pool).await?;
    let applied = rows.into_iter().map(|(version, checksum)| (version, checksum.into()));
    Ok(applied.map(|(version, checksum)| AppliedMigration { version, checksum }).collect())
}

/// What was read; none if the database has no such table.
async fn granted<T>(pool: &PgPool, read: Result<T, sqlx::Error>) -> Result<Option<T>, SchemaError> {
    let error = match read {
        Ok(read) => return Ok(Some(read)),
        Err(sqlx::Error::Database(error)) => error,
        Err(error) => return Err(error.into()),
    };
    match error.code().as_deref() {
        Some(NO_TABLE | NO_PRIVILEGE) if is_migrated(pool).await? => {
            Err(SchemaError::NotGranted(role(pool).await?))
        }
        Some(NO_TABLE) => Ok(None),
        _ => Err(sqlx::Error::Database(error).into()),
    }
}

/// Whether there is a table of migrations, wherever the role may look.
async fn is_migrated(pool: &PgPool) -> Result<bool, sqlx::Error> {
    let there = "select exists(select from pg_class where relname = $1 and relkind = 'r')";
    sqlx::query_scalar(there).bind(&*MIGRATIONS.table_name).fetch_one(pool).await
}

async fn role(pool: &PgPool) -> Result<String, sqlx::Error> {
    sqlx::query_scalar("select current_user::text").fetch_one(pool).await
}
