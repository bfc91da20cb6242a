//! The one way to begin a transaction.
//!
//! A future may be dropped at any await: its client hung up, its attempt is past its deadline, its
//! process stops. sqlx 0.9.0 counts a transaction only once its BEGIN was answered. A `Pool::begin`
//! that is dropped before that returns a connection to the pool that the server holds inside a
//! transaction; the statements of the next borrower are then answered and never committed
//! (transact-rs/sqlx #4385, #4393). The fix, #4394, is not released; this module may go when it is.
//!
//! BEGIN therefore runs on a task of its own, which no caller can drop. If the caller is gone when
//! it ends, the transaction is dropped there, and a transaction that has begun rolls itself back
//! before its connection is used again. The same holds for a caller that is dropped later: between
//! its statements, in a statement, in COMMIT (whether that committed is then unknown, as after a
//! lost connection).
//!
//! `clippy.toml` refuses every other `begin`.

use sqlx::{PgPool, Postgres, SqlStr, Transaction};
use tracing::Instrument;

/// Begins a transaction. Safe to drop at any moment.
///
/// # Errors
/// The pool's and the database's.
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    begin_with(pool, "begin").await
}

/// Begins a transaction by this statement, which may hold settings as well. Safe to drop at any
/// moment.
///
/// # Errors
/// The pool's and the database's.
pub async fn begin_with(
    pool: &PgPool,
    statement: &'static str,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    // Waiting for a connection may be dropped. Tasks that begin are at most as many as the pool's
    // connections.
    let conn = pool.acquire().await?;
    #[allow(clippy::disallowed_methods, reason = "the one place")]
    let begun = async move { Transaction::begin(conn, Some(SqlStr::from_static(statement))).await };
    match tokio::spawn(begun.in_current_span()).await {
        Ok(begun) => begun,
        // The runtime ends.
        Err(join) => Err(sqlx::Error::Io(std::io::Error::other(join))),
    }
}
