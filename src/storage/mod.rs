//! The database: connecting, the schema's version, and which of its errors pass by themselves.
//!
//! # Plans that outlive a schema
//!
//! Every connection keeps the statements that it prepared. A migration may change what one of them returns: PostgreSQL then
//! refuses it on that connection for as long as the connection lives ([`is_stale_plan`]). So the error renews the
//! connections, as an outage does, and the work is done [`again`] on one that was made since.

mod commit;
pub mod redis;

pub use commit::begin_async_commit;

pub use farebox_jobs::queue::{begin, begin_with};

use crate::settings::Database;
use prometheus_client::metrics::counter::Counter;
use sqlx::{
    Connection, PgConnection, PgPool,
    migrate::{Migrate, MigrateError, Migrator},
    postgres::{PgConnectOptions, PgDatabaseError, PgPoolOptions},
};
use std::{
    future::Future,
    str::FromStr,
    sync::{LazyLock, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

/// The migrations, built in.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Oldest and newest server the SQL is meant for, majors.
const SERVERS: std::ops::RangeInclusive<u32> = 15..=18;

/// Why a process refuses a database.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// It lacks migrations, or has some that this build does not know.
    #[error(
        "the database's schema is at migration {found}, this build needs {needed}; run `farebox migrate` of the same build"
    )]
    Version {
        /// What the database has.
        found: i64,
        /// What this build knows last.
        needed: i64,
    },
    /// The server is older or newer than the SQL is meant for.
    #[error("PostgreSQL {0} is not supported; 15 to 18 are")]
    Server(u32),
    /// The database keeps texts in another encoding.
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
    /// Whether it passes by itself: the database was away, or went away while its schema was looked at.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Database(error) | Self::Migration(MigrateError::Execute(error)) => is_outage(error),
            _ => false,
        }
    }
}

/// A pool that connects on first use.
///
/// Plans are kept while tables grow from empty to huge, and a plan made on an empty table would scan it for as long as
/// nobody analyzes it. Every statement of a flow has its index, so scans are switched off here ([`crate::verify`], which
/// reads whole tables, switches them on). An index can be read whole as well, by a join that was planned on a table known to
/// be empty: hot statements look such rows up by `lateral (… offset 0)`, which leaves no choice. Each statement is planned
/// once a connection: a step's has twenty parts, and planning it takes longer than running it. No ping before each use: it
/// would cost every request a round trip, and a broken connection shows itself in the statement. What broke one has mostly
/// broken the others too, so those that were made before the last outage ([`is_outage`]) are not used again.
///
/// # Errors
/// A URL that does not parse.
pub fn pool(url: &str, settings: &Database, name: &str) -> Result<PgPool, sqlx::Error> {
    let options = PgConnectOptions::from_str(url)?.application_name(name).options([
        ("statement_timeout", settings.statement_timeout_ms.to_string()),
        ("lock_timeout", settings.lock_timeout_ms.to_string()),
        ("idle_in_transaction_session_timeout", settings.statement_timeout_ms.to_string()),
        ("enable_seqscan", "off".to_owned()),
        ("plan_cache_mode", "force_generic_plan".to_owned()),
        ("jit", "off".to_owned()),
    ]);
    Ok(PgPoolOptions::new()
        .max_connections(settings.max_connections)
        .acquire_timeout(Duration::from_millis(settings.acquire_timeout_ms))
        .test_before_acquire(false)
        .before_acquire(|_, connection| {
            let made_since = !is_suspect(connection.age);
            Box::pin(async move { Ok(made_since) })
        })
        .connect_lazy_with(options))
}

/// A few more connections of the same kind, which requests cannot take from those who watch.
pub fn reserve(pool: &PgPool, connections: u32) -> PgPool {
    let options = pool.options().clone().max_connections(connections.max(1));
    options.connect_lazy_with(PgConnectOptions::clone(&pool.connect_options()))
}

/// Brings the schema up to this build; safe to run by several at once (the migrator takes an advisory lock). It has a
/// connection of its own, since a migration may rewrite a large table for as long as that takes, and reads tables from end to
/// end. The migrator begins its transactions itself: if this is dropped half way, the connection is closed, and the server
/// rolls back.
///
/// # Errors
/// An unsupported server, a failed migration.
pub async fn migrate(pool: &PgPool) -> Result<(), SchemaError> {
    require_server(pool).await?;
    let unbounded =
        [("statement_timeout", "0"), ("idle_in_transaction_session_timeout", "0"), ("enable_seqscan", "on")];
    let options = PgConnectOptions::clone(&pool.connect_options()).options(unbounded);
    let mut conn = PgConnection::connect_with(&options).await?;
    MIGRATIONS.run(&mut conn).await?;
    Ok(conn.close().await?)
}

/// Refuses a schema other than this build's.
///
/// # Errors
/// [`SchemaError::Version`] with both numbers.
pub async fn require_current(pool: &PgPool) -> Result<(), SchemaError> {
    require_server(pool).await?;
    let needed = MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0);
    let mut conn = pool.acquire().await?;
    let table = &MIGRATIONS.table_name;
    conn.ensure_migrations_table(table).await?;
    let found = conn.list_applied_migrations(table).await?.iter().map(|m| m.version).max().unwrap_or(0);
    if found == needed { Ok(()) } else { Err(SchemaError::Version { found, needed }) }
}

async fn require_server(pool: &PgPool) -> Result<(), SchemaError> {
    let number: String = sqlx::query_scalar("show server_version_num").fetch_one(pool).await?;
    let major = number.parse::<u32>().unwrap_or(0) / 10_000;
    if !SERVERS.contains(&major) {
        return Err(SchemaError::Server(major));
    }
    // Names in any script are kept, and compared in normal forms that only this encoding has.
    let encoding: String = sqlx::query_scalar("show server_encoding").fetch_one(pool).await?;
    if encoding == "UTF8" { Ok(()) } else { Err(SchemaError::Encoding(encoding)) }
}

/// When this process saw an outage, or a stale plan, last.
static LAST_OUTAGE: RwLock<Option<Instant>> = RwLock::new(None);

/// Whether a connection of this age is older than the last outage.
pub(crate) fn is_suspect(age: Duration) -> bool {
    let last = LAST_OUTAGE.read().unwrap_or_else(PoisonError::into_inner);
    last.is_some_and(|last| last.elapsed() < age)
}

/// Whether the database could not be reached or would not write just now: a 503, not a 500. One that breaks connections is
/// remembered: a pool does not use those again that were made before it. So whoever meets an error asks this, be it only what
/// reads in the background: else a rider's request is the first to notice.
pub fn is_outage(error: &sqlx::Error) -> bool {
    if breaks_connections(error) {
        renew_connections();
        return true;
    }
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        // 53: out of resources, be it connections or disk.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("53")),
        _ => false,
    }
}

/// What PostgreSQL says of a value that it cannot keep, by SQLSTATE: too long, out of range, no date or time, no character,
/// no text of its type, not what a constraint asks for.
const UNFIT: [&str; 8] = ["22001", "22003", "22007", "22008", "22021", "22P02", "22P05", "23514"];

/// Whether a value that came in cannot be kept. Types refuse such values before: one that gets here is a hole in them.
pub fn is_unfit(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| UNFIT.contains(&&*code))
}

/// Whether the database gave the statement up because others were in its way: a lock that was waited for too long, a deadlock, a
/// conflict of transactions. It did nothing, and passes.
pub fn is_contended(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| ["55P03", "40P01", "40001"].contains(&&*code))
}

/// No pool uses a connection again that was made before now.
fn renew_connections() {
    *LAST_OUTAGE.write().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

fn breaks_connections(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            true
        }
        // 08 connection, 57P0x shutting down or starting up, 25006 read-only after a failover.
        sqlx::Error::Database(refused) => {
            let code = refused.code();
            code.is_some_and(|code| code.starts_with("08") || code.starts_with("57P0") || code == "25006")
                || is_stale_plan(error)
        }
        _ => false,
    }
}

/// Statements that were refused because the schema changed under their plan, in this process.
pub static STALE_PLANS: LazyLock<Counter> = LazyLock::new(Counter::default);

/// How long stale plans may be met on fresh connections until the process is not ready.
const STALE_LIMIT: Duration = Duration::from_secs(5);
/// After so long without one, they have passed.
const STALE_QUIET: Duration = Duration::from_secs(10);

/// Stale plans that were met although the connection was made after the last one.
static STALE_STREAK: Mutex<Option<Streak>> = Mutex::new(None);

#[derive(Clone, Copy)]
struct Streak {
    first: Instant,
    last: Instant,
}

impl Streak {
    /// With one more, now.
    fn and(streak: Option<Self>, now: Instant) -> Self {
        let goes_on = streak.filter(|streak| now.duration_since(streak.last) < STALE_QUIET);
        Self { first: goes_on.map_or(now, |streak| streak.first), last: now }
    }

    fn persists(self, now: Instant) -> bool {
        now.duration_since(self.last) < STALE_QUIET && self.last.duration_since(self.first) >= STALE_LIMIT
    }
}

/// Whether a statement's plan, or the statement itself, is gone from its connection since the schema changed or a pooler
/// cleared it. PostgreSQL finds that out when it looks the plan up, before the statement does anything; and a statement that fails
/// changes nothing in any case. A column or table that is missing is not of this kind: that stays.
pub fn is_stale_plan(error: &sqlx::Error) -> bool {
    let refused = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    refused.is_some_and(|refused| match refused.code() {
        // "cached plan must not change result type". The text is translated, the name of the function is not.
        "0A000" => refused.routine() == Some("RevalidateCachedQuery"),
        // A prepared statement does not exist, or exists already: DISCARD, or a pooler between us.
        "26000" | "42P05" => true,
        // "cache lookup failed for type 16999": dropped and made anew. Internal errors are not translated.
        "XX000" => refused.message().starts_with("cache lookup failed"),
        _ => false,
    })
}

/// An error that may be the database's.
pub trait OfDatabase {
    /// The database's error, if it is one.
    fn of_database(&self) -> Option<&sqlx::Error>;
}

impl OfDatabase for sqlx::Error {
    fn of_database(&self) -> Option<&sqlx::Error> {
        Some(self)
    }
}

impl OfDatabase for crate::domain::Error {
    fn of_database(&self) -> Option<&sqlx::Error> {
        if let Self::Broken(cause) = self { cause.downcast_ref() } else { None }
    }
}

impl OfDatabase for farebox_jobs::queue::JobError {
    fn of_database(&self) -> Option<&sqlx::Error> {
        if let Self::Retry(cause) = self { cause.downcast_ref() } else { None }
    }
}

/// Does this, and once more on fresh connections if a statement of it met a stale plan ([`is_stale_plan`]). The work is one
/// statement, one transaction, or otherwise bears being done again after it failed.
///
/// # Errors
/// The work's.
pub async fn again<T, E: OfDatabase, F: Future<Output = Result<T, E>>>(work: impl Fn() -> F) -> Result<T, E> {
    let mut renewed = false;
    loop {
        let done = work().await;
        let stale =
            done.as_ref().err().and_then(OfDatabase::of_database).filter(|error| is_stale_plan(error));
        let Some(error) = stale else { return done };
        met_stale_plan(error, renewed);
        if renewed {
            return done;
        }
        renewed = true;
    }
}

/// Counts a stale plan and renews the connections; `renewed` says that this was done for the same work before.
pub(crate) fn met_stale_plan(error: &sqlx::Error, renewed: bool) {
    STALE_PLANS.inc();
    tracing::warn!(%error, renewed, "the schema changed under a prepared statement; connections are renewed");
    renew_connections();
    if renewed {
        stale_plan_persists();
    }
}

/// A stale plan was met on a connection that was made after the last one.
pub(crate) fn stale_plan_persists() {
    let mut streak = STALE_STREAK.lock().unwrap_or_else(PoisonError::into_inner);
    *streak = Some(Streak::and(*streak, Instant::now()));
}

/// Whether stale plans do not pass although connections are renewed: somebody else then has to look.
pub fn is_unsettled() -> bool {
    let streak = *STALE_STREAK.lock().unwrap_or_else(PoisonError::into_inner);
    streak.is_some_and(|streak| streak.persists(Instant::now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_plans_persist_after_a_while_and_pass_after_quiet() {
        let at = |secs| Instant::now() + Duration::from_secs(secs);
        let one = Streak::and(None, at(0));
        assert!(!one.persists(at(1)), "one alone");
        let many = Streak::and(Some(Streak::and(Some(one), at(3))), at(6));
        assert!(many.persists(at(7)), "for longer than the limit");
        assert!(!many.persists(at(17)), "quiet since");
        assert!(!Streak::and(Some(many), at(20)).persists(at(21)), "a new one begins anew");
    }
}
