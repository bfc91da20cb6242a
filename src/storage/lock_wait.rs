//! How long a migration waits for locks.

use sqlx::{AssertSqlSafe, PgConnection, migrate::Migration};
use std::time::Duration;

/// How long a migration waits for one lock at most. Other statements wait behind it for as long, so it
/// is a part of what they wait for a lock (`database.lock_timeout_ms`, 5 s). It is half of the server's
/// `deadlock_timeout` (1 s by default): a migration holds one table while it waits for the next, and a
/// statement may have them the other way round. Then the migration gives way before the server ends
/// the statement.
pub const LOCK_WAIT: Duration = Duration::from_millis(500);
/// How long a concurrent index waits for transactions that were there before it. Nothing waits
/// behind it.
pub const CONCURRENT_WAIT: Duration = Duration::from_secs(600);

/// How long this migration waits: [`CONCURRENT_WAIT`], or [`LOCK_WAIT`], or less on a server that looks
/// for deadlocks sooner.
pub(super) async fn of(conn: &mut PgConnection, migration: &Migration) -> Result<Duration, sqlx::Error> {
    if migration.no_tx {
        return Ok(CONCURRENT_WAIT);
    }
    let setting = "select setting::integer from pg_settings where name = 'deadlock_timeout'";
    let millis: i32 = sqlx::query_scalar(setting).fetch_one(conn).await?;
    // At least a millisecond: zero is no limit.
    let half = Duration::from_millis((u64::from(millis.unsigned_abs()) / 2).max(1));
    Ok(half.min(LOCK_WAIT))
}

/// Sets it for the session; zero is no limit.
pub(super) async fn set(conn: &mut PgConnection, time: Duration) -> Result<(), sqlx::Error> {
    let set = AssertSqlSafe(format!("set lock_timeout = {}", time.as_millis()));
    sqlx::raw_sql(set).execute(conn).await.map(drop)
}
