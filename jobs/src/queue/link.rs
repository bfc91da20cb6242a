//! A connection of the driver's own, outside the pool: handlers that use up the pool cannot keep it from renewing leases.

use sqlx::{Connection, Executor, PgConnection, postgres::PgConnectOptions};
use std::time::Duration;
use tokio::time::timeout;

/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long one statement may take, on the server; the client waits a little longer.
const STATEMENT_LIMIT: Duration = Duration::from_secs(10);
/// By how much.
const STATEMENT_MARGIN: Duration = Duration::from_secs(1);
/// How long one statement may wait for a row that somebody holds. Most pass over such rows anyway.
const LOCK_LIMIT: Duration = Duration::from_millis(50);

/// A connection that is made when it is needed and dropped on the first error.
pub(super) struct Link {
    options: PgConnectOptions,
    pooled: bool,
    conn: Option<PgConnection>,
}

/// The queue's tables go from empty to huge and back while plans are kept, so the plans are settled here: every
/// statement of the driver walks an index, never reads or sorts a table, and is planned once.
///
/// And no commit of the driver's waits for the disk. A database that crashes may forget its last moments: a claim that is
/// forgotten was not made, and its token fences whoever thinks he has it; an ending that is forgotten leaves a lease
/// that runs out, as if the worker had crashed before he wrote it down. What a handler commits with its job is its own
/// transaction, and does as that says.
macro_rules! settings {
    ($set:literal) => {
        concat!(
            $set,
            " enable_seqscan = off; ",
            $set,
            " enable_bitmapscan = off; ",
            $set,
            " enable_hashjoin = off; ",
            $set,
            " enable_mergejoin = off; ",
            $set,
            " jit = off; ",
            $set,
            " plan_cache_mode = force_generic_plan; ",
            $set,
            " synchronous_commit = off"
        )
    };
}

impl Link {
    /// Through a pooler in transaction mode nothing is kept on the connection: no settings, no prepared statements.
    pub(super) fn new(options: PgConnectOptions, pooled: bool) -> Self {
        let options = if pooled { options.statement_cache_capacity(0) } else { options };
        Self { options, pooled, conn: None }
    }

    /// Runs one statement, within bounded time. After an error that may be the connection's, or the server's, the next
    /// call connects anew: what the failed statement did is unknown, and every statement of the driver stands that. A plan that
    /// the schema has outlived is such an error, too. Safe to drop: the connection is closed with it.
    pub(super) async fn run<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => limited(CONNECT_LIMIT, self.connect()).await?,
        };
        let work = async {
            if !self.pooled {
                return statement(&mut conn).await;
            }
            #[allow(
                clippy::disallowed_methods,
                reason = "this connection is nobody else's, and is closed if this is dropped or late"
            )]
            let mut tx = conn.begin().await?;
            tx.execute(settings!("set local")).await?;
            limit(&mut tx, true).await?;
            let answer = statement(&mut tx).await?;
            tx.commit().await?;
            Ok(answer)
        };
        let answer = limited(STATEMENT_LIMIT + STATEMENT_MARGIN, work).await;
        if answer.as_ref().err().is_none_or(harmless) {
            self.conn = Some(conn);
        }
        answer
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let mut conn = PgConnection::connect_with(&self.options).await?;
        if !self.pooled {
            conn.execute(settings!("set")).await?;
            limit(&mut conn, false).await?;
        }
        Ok(conn)
    }

    /// Says goodbye to the server.
    pub(super) async fn close(&mut self) {
        if let Some(conn) = self.conn.take() {
            let _ = limited(CONNECT_LIMIT, conn.close()).await;
        }
    }
}

async fn limit(conn: &mut PgConnection, local: bool) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "select set_config('statement_timeout', $1, $3) as statement, set_config('lock_timeout', $2, $3) as lock",
        STATEMENT_LIMIT.as_millis().to_string(),
        LOCK_LIMIT.as_millis().to_string(),
        local
    )
    .fetch_one(conn)
    .await
    .map(drop)
}

/// Whether the statement alone failed: for its data, a constraint, a deadlock, a lock it did not get.
fn harmless(error: &sqlx::Error) -> bool {
    is_of(error, &["22", "23", "40", "55"])
}

/// Whether the database refuses what a statement says (a data or constraint error), as against being unable to run it.
pub(super) fn refused(error: &sqlx::Error) -> bool {
    is_of(error, &["22", "23"])
}

/// Whether the statement gave up waiting for somebody who holds one of its rows.
pub(super) fn timed_out_on_lock(error: &sqlx::Error) -> bool {
    is_of(error, &["55P03"])
}

/// Whether it is an error of the database of one of these codes, or classes of codes.
fn is_of(error: &sqlx::Error, codes: &[&str]) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| codes.iter().any(|class| code.starts_with(class)))
}

/// The work, or an error once it has taken longer than this.
pub(super) async fn limited<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    timeout(limit, work).await.unwrap_or_else(|late| Err(sqlx::Error::Io(std::io::Error::other(late))))
}
