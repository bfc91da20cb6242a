//! Whether a connection is a session of the server, or a pooler gives its statements to any.
//!
//! Farebox sets time limits for a session, prepares statements, listens and takes locks that last longer
//! than a transaction. A pooler in transaction mode, or in statement mode, breaks all of them: limits and
//! notifications are lost, statements are unknown. So a process finds out before it does anything else.
//!
//! Two connections show it. The first asks for the number of its backend, the second begins a
//! transaction, which keeps a backend for itself, and the first asks again. In a session the number stays,
//! and is not the other's. A pooler that shares backends has given the free one away meanwhile: whichever
//! of its free backends it takes first, one of the two numbers gives it away. Other clients of the pooler
//! can hide that only if they take and return a backend between two statements of a round.

use sqlx::{Connection, PgConnection, PgPool, Row};
use std::time::Duration;

/// How often it is tried: clients that hide a shared backend would have to do it each time.
const ROUNDS: u32 = 5;
/// How long all rounds may take together. A pooler without a free backend lets a client wait.
const LIMIT: Duration = Duration::from_secs(5);

/// The SQLSTATE with which a pooler refuses a statement that its mode cannot have.
const PROTOCOL_VIOLATION: &str = "08P01";

/// Why a process refuses the way to its database.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// One connection is served by several backends.
    #[error(
        "DATABASE_URL leads to a pooler that gives one connection's transactions to several backends \
         (pool_mode = transaction or statement). Farebox needs sessions: set pool_mode = session, or connect \
         to the server itself"
    )]
    Shared,
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

/// Refuses a pooler that shares backends between transactions. Only reads, by statements that need no
/// preparation. If the future is dropped, its connections close.
///
/// # Errors
/// [`SessionError::Shared`]; the database's, a pooler without a free backend among them.
pub async fn require_sessions(pool: &PgPool) -> Result<(), SessionError> {
    match tokio::time::timeout(LIMIT, is_shared(pool)).await {
        Ok(Ok(false)) => Ok(()),
        Ok(Ok(true)) => Err(SessionError::Shared),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(sqlx::Error::PoolTimedOut.into()),
    }
}

async fn is_shared(pool: &PgPool) -> Result<bool, sqlx::Error> {
    // As requests use it: some poolers keep a session together once something was set in it.
    let mut first = pool.acquire().await?;
    let mut second = PgConnection::connect_with(&pool.connect_options()).await?;
    for _ in 0..ROUNDS {
        let before = backend(&mut first).await?;
        match sqlx::raw_sql("begin").execute(&mut second).await {
            // A server begins every transaction. A pooler in statement mode does not let it.
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(PROTOCOL_VIOLATION) => {
                return Ok(true);
            }
            begun => begun?,
        };
        if backend(&mut second).await? == before || backend(&mut first).await? != before {
            return Ok(true);
        }
        sqlx::raw_sql("rollback").execute(&mut second).await?;
    }
    second.close().await?;
    Ok(false)
}

/// The number of the process that serves this connection now.
async fn backend(conn: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::raw_sql("select pg_backend_pid()").fetch_one(conn).await?.try_get(0)
}
