//! The database: connecting, the schema's version, and classes of its errors.
//!
//! # Plans that outlive a schema
//!
//! Every connection keeps the statements that it prepared. A migration may change what one of them
//! returns: PostgreSQL then refuses it on that connection for as long as the connection lives
//! ([`is_stale_plan`]). Such an error renews the connections, as an outage does, and the work is
//! repeated once ([`again`]).

mod commit;
pub mod currency;
mod lock_wait;
mod locks;
mod migrate;
mod migrations;
mod outage;
mod plan;
mod pooler;
mod probe;
pub mod redis;
pub mod replica;
pub mod roles;
mod schema;
mod stale_plan;
mod tls;
mod waiting;

pub use commit::begin_async_commit;
pub use lock_wait::{CONCURRENT_WAIT, LOCK_WAIT};
pub use locks::{LockMode, RelationLock};
pub use migrate::{LOCK_TRIES, SchemaError, Steps, migrate, migrate_steps};
pub use migrations::{LONGEST_HOLD, MIGRATIONS, Phase, lowest, newest, phase};
pub(crate) use outage::predates_outage;
pub use outage::{error_type, is_contended, is_outage, is_stale_plan, is_stopped, is_unfit, note_outage};
pub use plan::{Pending, Plan, PlannedLock, RelationSize, plan};
pub use pooler::{SessionError, require_sessions};
pub use probe::{PROBE_CONNECTIONS, Probe};
pub use replica::{Freshness, Reads, Replica};
pub use schema::{Schema, require_schema};
pub use stale_plan::{STALE_PLANS, again, is_unsettled};
pub(crate) use stale_plan::{met_stale_plan, stale_plan_persists};
pub use tls::{check_database_url, check_replica_url};
pub(crate) use waiting::waits_for_connection;
pub use waiting::{POOL_TIMEOUTS, POOL_WAITING, begin, begin_search, begin_with};

use crate::settings::Database;
use sqlx::{
    AssertSqlSafe, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{str::FromStr, time::Duration};

/// Reads an enum from a word of the database.
///
/// # Errors
/// A word that this build does not know.
pub fn decode<T: FromStr<Err = String>>(word: &str) -> Result<T, sqlx::Error> {
    word.parse().map_err(|error: String| sqlx::Error::Decode(error.into()))
}

/// A pool that connects on first use.
///
/// A session's settings are set by a statement, in one round trip for each connection: a pooler such as
/// `PgBouncer` refuses them as parameters of the start, or drops them without a word.
///
/// Plans are kept while tables grow from empty to huge, and a plan made on an empty table would
/// scan it until the table is analyzed. Every statement of a saga has its index, so sequential
/// scans are off here; `verify`, which reads whole tables, switches them on. A join that
/// was planned on an empty table can also read a whole index: hot statements prevent that by
/// `lateral (… offset 0)`. Each statement is planned once per connection, since planning a step
/// takes longer than executing it. Such plans guess how much they read: parallel workers, which take longer
/// to start than a page may take, are off. Connections are not pinged before use, which would cost each
/// request a round trip. Those that were made before the last outage ([`note_outage`]) are not used
/// again.
///
/// # Errors
/// A URL that does not parse.
pub fn pool(url: &str, settings: &Database, name: &str) -> Result<PgPool, sqlx::Error> {
    // Numbers are read in binary, so their digits in texts do not matter.
    let options = PgConnectOptions::from_str(url)?.application_name(name).extra_float_digits(None);
    let session = session_settings(settings);
    Ok(PgPoolOptions::new()
        .max_connections(settings.max_connections)
        .acquire_timeout(Duration::from_millis(settings.acquire_timeout_ms))
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let settings = sqlx::raw_sql(AssertSqlSafe(session.clone()));
            Box::pin(async move { settings.execute(connection).await.map(drop) })
        })
        .before_acquire(|_, connection| {
            let usable = !predates_outage(connection.age);
            Box::pin(async move { Ok(usable) })
        })
        .connect_lazy_with(options))
}

/// What every session of a pool is set to. The values are numbers and words of this function, so the
/// text is safe.
fn session_settings(settings: &Database) -> String {
    let Database { statement_timeout_ms, lock_timeout_ms, .. } = settings;
    format!(
        "set statement_timeout = {statement_timeout_ms}; set lock_timeout = {lock_timeout_ms}; \
         set idle_in_transaction_session_timeout = {statement_timeout_ms}; \
         set enable_seqscan = off; set plan_cache_mode = force_generic_plan; \
         set max_parallel_workers_per_gather = 0; set jit = off"
    )
}

/// A second pool with the options of `pool`, for operators and metrics: requests
/// cannot exhaust it.
pub fn operator_pool(pool: &PgPool, connections: u32) -> PgPool {
    let options = pool.options().clone().max_connections(connections.max(1));
    options.connect_lazy_with(PgConnectOptions::clone(&pool.connect_options()))
}
