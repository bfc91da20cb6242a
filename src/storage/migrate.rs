//! Applying the migrations beside processes that run.
//!
//! Each migration waits for a lock a short time, because every statement that comes after it waits
//! behind it. Then it is taken back and tried again.

use super::{
    is_contended, lock_wait,
    migrations::{self, MIGRATIONS, Phase, longest_hold, phase},
    note_outage, roles,
};
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool,
    migrate::{AppliedMigration, Migrate, MigrateError, Migration},
    postgres::PgConnectOptions,
};
use std::{pin::pin, time::Duration};

/// Oldest and newest server the SQL is meant for, majors.
const SERVERS: std::ops::RangeInclusive<u32> = 15..=19;

/// What a migration does not keep of a session's settings.
const UNBOUNDED: &str =
    "set statement_timeout = 0; set idle_in_transaction_session_timeout = 0; set enable_seqscan = on";

/// The key of the advisory lock of the one process that migrates: "schema" in ASCII.
const TURN: i64 = 0x73_63_68_65_6D_61;
/// How often a process looks whether it is its turn.
const TURN_LOOK: Duration = Duration::from_millis(200);
/// How often at most: for an hour, since another process may validate a large table.
const TURN_LOOKS: u32 = 18_000;

/// How often a migration is tried until it has its locks.
pub const LOCK_TRIES: u32 = 120;
/// The pause between two tries, in which what waited goes on.
const LOCK_PAUSE: Duration = Duration::from_secs(1);
/// Which migrations are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// All of them, because no process of an older build runs.
    Stopped,
    /// All of them, unless a contract migration takes something from the build that the database was
    /// migrated by before.
    Beside,
    /// Those before the first contract migration, so that the older build can still be started.
    Expand,
}

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
        /// The newest expand migration of this build.
        needed: i64,
    },
    /// A contract migration of a newer build has taken away what this build uses.
    #[error(
        "the database's schema is at migration {found} and runs builds that know {lowest} or a later one; this build knows {newest}: start a newer build"
    )]
    TooOld {
        /// What the database has.
        found: i64,
        /// The floor of the schema.
        lowest: i64,
        /// What this build knows last.
        newest: i64,
    },
    /// A migration among those of this build was applied and is none of them.
    #[error(
        "migration {0} of the database is of another build; start the build that the database was migrated by"
    )]
    Unknown(i64),
    /// A migration was applied that has another text in this build.
    #[error(
        "migration {0} was applied with another text than this build's; start the build that the database was migrated by"
    )]
    Changed(i64),
    /// A contract migration would break processes of the release before the last.
    #[error(
        "migration {version} ends builds that do not know migration {lowest}, and the database is at {found}: processes of such a build may run. Upgrade to the release before first, or stop every process and run `farebox migrate --stopped`"
    )]
    WouldBreak {
        /// The contract migration.
        version: i64,
        /// The floor that it sets.
        lowest: i64,
        /// What the database has.
        found: i64,
    },
    /// Locks that a migration needs were never free.
    #[error(
        "migration {version} waited {tries} times for a lock that another transaction held, and has changed nothing; end long transactions and run `farebox migrate` again"
    )]
    Busy {
        /// The migration.
        version: i64,
        /// How often it was tried.
        tries: u32,
    },
    /// A migration held locks for too long and was taken back.
    #[error(
        "migration {version} held locks that others wait for longer than {secs} s, and was taken back; run it with every process stopped: `farebox migrate --stopped`"
    )]
    TooLong {
        /// The migration.
        version: i64,
        /// The bound, seconds.
        secs: u64,
    },
    /// Another process migrates for longer than this one waits.
    #[error("another process migrates this database for more than an hour; see pg_stat_activity")]
    NoTurn,
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

/// Applies all migrations of this build, for a database that no process of an older build uses.
///
/// # Errors
/// As [`migrate_steps`].
pub async fn migrate(pool: &PgPool) -> Result<(), SchemaError> {
    migrate_steps(pool, Steps::Stopped).await.map(drop)
}

/// Applies migrations of this build, and returns the newest one that the database has then. Several
/// processes may call it at once: each waits for its turn. It uses a connection of its own without a
/// statement timeout, since a migration may work on a large table. If the future is dropped, the
/// connection is closed and the server rolls back.
///
/// A database of a newer build is left as it is if this build runs on it.
///
/// # Errors
/// An unsupported server; a database of another or a newer build; locks that are never free; a
/// migration that holds locks too long, or fails.
pub async fn migrate_steps(pool: &PgPool, steps: Steps) -> Result<i64, SchemaError> {
    require_server(pool).await?;
    let options = PgConnectOptions::clone(&pool.connect_options());
    let mut conn = PgConnection::connect_with(&options).await?;
    sqlx::raw_sql(UNBOUNDED).execute(&mut conn).await?;
    // Builds of before take this lock alone, without a bound. The turn comes first: a statement that
    // waits for a lock holds a snapshot, and a concurrent index waits for all snapshots.
    wait_for_turn(&mut conn).await?;
    lock_wait::set(&mut conn, Duration::ZERO).await?;
    conn.lock().await?;
    let table = &MIGRATIONS.table_name;
    conn.ensure_migrations_table(table).await?;
    if let Some(version) = conn.dirty_version(table).await? {
        return Err(MigrateError::Dirty(version).into());
    }
    let applied = conn.list_applied_migrations(table).await?;
    let found = applied.last().map_or(0, |migration| migration.version);
    let newer = check_applied(&applied)?;
    if newer {
        let lowest = floor(&mut conn).await?;
        let newest = migrations::newest();
        if lowest > newest {
            return Err(SchemaError::TooOld { found, lowest, newest });
        }
    }
    let pending = chosen(&applied, found, steps)?;
    let reached = pending.iter().map(|migration| migration.version).fold(found, i64::max);
    if !pending.is_empty() {
        roles::meanwhile::allow(&mut conn).await?;
        let done = apply_all(&mut conn, &options, pending, steps).await;
        let ended = roles::meanwhile::end(&mut conn).await;
        done?;
        ended?;
    }
    conn.close().await?;
    Ok(reached)
}

async fn apply_all(
    conn: &mut PgConnection,
    options: &PgConnectOptions,
    pending: Vec<&Migration>,
    steps: Steps,
) -> Result<(), SchemaError> {
    for migration in pending {
        let hold = longest_hold(migration).filter(|_| steps != Steps::Stopped);
        apply(conn, options, migration, hold).await?;
    }
    Ok(())
}

/// Compares what was applied with this build's; returns whether a newer build migrated.
///
/// # Errors
/// [`SchemaError::Unknown`], [`SchemaError::Changed`].
pub(super) fn check_applied(applied: &[AppliedMigration]) -> Result<bool, SchemaError> {
    let newest = migrations::newest();
    let mut newer = false;
    for one in applied {
        match MIGRATIONS.iter().find(|known| known.version == one.version) {
            Some(known) if known.checksum != one.checksum => return Err(SchemaError::Changed(one.version)),
            Some(_) => {}
            None if one.version > newest => newer = true,
            None => return Err(SchemaError::Unknown(one.version)),
        }
    }
    Ok(newer)
}

/// Those of the migrations that were not applied which `steps` asks for.
fn chosen(
    applied: &[AppliedMigration],
    found: i64,
    steps: Steps,
) -> Result<Vec<&'static Migration>, SchemaError> {
    let mut chosen = Vec::new();
    for migration in MIGRATIONS.iter() {
        let version = migration.version;
        if applied.iter().any(|one| one.version == version) {
            continue;
        }
        match (steps, phase(migration)) {
            (Steps::Expand, Phase::Contract { .. }) if found > 0 => break,
            (Steps::Beside, Phase::Contract { lowest }) if found > 0 && lowest > found => {
                return Err(SchemaError::WouldBreak { version, lowest, found });
            }
            _ => chosen.push(migration),
        }
    }
    Ok(chosen)
}

/// Tries a migration until it has its locks.
async fn apply(
    conn: &mut PgConnection,
    options: &PgConnectOptions,
    migration: &Migration,
    hold: Option<Duration>,
) -> Result<(), SchemaError> {
    let version = migration.version;
    let wait = lock_wait::of(conn, migration).await?;
    for attempt in 1..=LOCK_TRIES {
        if migration.no_tx {
            drop_half_built(conn, migration.sql.as_str()).await?;
        }
        lock_wait::set(conn, wait).await?;
        match within_its_time(conn, options, migration, hold).await {
            Err(SchemaError::Migration(error)) if waited_in_vain(&error) => {
                tracing::warn!(version, attempt, "the migration waited for a lock; trying again");
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            done => return done,
        }
    }
    Err(SchemaError::Busy { version, tries: LOCK_TRIES })
}

fn waited_in_vain(error: &MigrateError) -> bool {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => is_contended(error),
        _ => false,
    }
}

/// Applies it, and has the server cancel it when it has held its locks for as long as it may. Only
/// another session can: the time limit of a statement is one of each statement.
async fn within_its_time(
    conn: &mut PgConnection,
    options: &PgConnectOptions,
    migration: &Migration,
    hold: Option<Duration>,
) -> Result<(), SchemaError> {
    let table = &MIGRATIONS.table_name;
    let Some(hold) = hold else {
        return Ok(conn.apply(table, migration).await.map(drop)?);
    };
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *conn).await?;
    let mut applying = pin!(conn.apply(table, migration));
    tokio::select! {
        done = &mut applying => return Ok(done.map(drop)?),
        () = tokio::time::sleep(hold) => {}
    }
    let mut other = PgConnection::connect_with(options).await?;
    sqlx::query("select pg_cancel_backend($1)").bind(pid).execute(&mut other).await?;
    other.close().await?;
    // It may have committed just now.
    match applying.await {
        Err(_) => Err(SchemaError::TooLong { version: migration.version, secs: hold.as_secs() }),
        Ok(_) => Ok(()),
    }
}

/// An index that was built half way is invalid, and its name is taken. No migration that was applied
/// made it, so nothing relies on it.
async fn drop_half_built(conn: &mut PgConnection, sql: &str) -> Result<(), SchemaError> {
    let Some(index) = concurrent_index(sql) else { return Ok(()) };
    let drop = format!("drop index concurrently if exists {index}");
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(conn).await?;
    Ok(())
}

/// The name of the index that a migration builds beside writers.
fn concurrent_index(sql: &str) -> Option<&str> {
    let statement = sql.lines().find(|line| !line.starts_with("--") && !line.trim().is_empty())?;
    let (create, rest) = statement.split_once(" index concurrently ")?;
    (create == "create" || create == "create unique").then(|| rest.split(' ').next())?
}

async fn wait_for_turn(conn: &mut PgConnection) -> Result<(), SchemaError> {
    for _ in 0..TURN_LOOKS {
        let turn = sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(TURN);
        if turn.fetch_one(&mut *conn).await? {
            return Ok(());
        }
        tokio::time::sleep(TURN_LOOK).await;
    }
    Err(SchemaError::NoTurn)
}

/// The oldest newest migration of a build that the schema still runs; 0 for a schema of before it.
pub(super) async fn floor(conn: &mut PgConnection) -> Result<i64, sqlx::Error> {
    let there = "select to_regclass('schema_floor') is not null";
    if !sqlx::query_scalar(there).fetch_one(&mut *conn).await? {
        return Ok(0);
    }
    let lowest: Option<i64> =
        sqlx::query_scalar("select lowest from schema_floor").fetch_optional(conn).await?;
    Ok(lowest.unwrap_or(0))
}

/// Refuses a server that the SQL is not meant for.
///
/// # Errors
/// [`SchemaError::Server`], [`SchemaError::Encoding`].
pub(super) async fn require_server(pool: &PgPool) -> Result<(), SchemaError> {
    let number: String = sqlx::query_scalar("show server_version_num").fetch_one(pool).await?;
    let major = number.parse::<u32>().unwrap_or(0) / 10_000;
    if !SERVERS.contains(&major) {
        return Err(SchemaError::Server(major));
    }
    // Names of any script are stored, and compared in normal forms that only this encoding has.
    let encoding: String = sqlx::query_scalar("show server_encoding").fetch_one(pool).await?;
    if encoding == "UTF8" { Ok(()) } else { Err(SchemaError::Encoding(encoding)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_built_index_is_found_by_its_statement() {
        let named = |sql| concurrent_index(sql);
        let head = "-- no-transaction\n-- phase: expand\n\n";
        let create = format!("{head}create unique index concurrently a_by_b on a (b);");
        assert_eq!(named(&create), Some("a_by_b"));
        assert_eq!(named("create index concurrently a_by_b\n    on a (b);"), Some("a_by_b"));
        for other in ["create index a_by_b on a (b);", "drop index concurrently a_by_b;", "", head] {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
