//! A connection of the driver's own, outside the pool: handlers that use up the pool cannot keep it
//! from renewing leases.

use crate::{QueueConfig, location::OnQueue, time_limit::within};
use sqlx::{Connection, Executor, PgConnection, postgres::PgConnectOptions};
use std::time::Duration;

/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long one statement may take, on the server; the client waits a little longer.
const STATEMENT_LIMIT: Duration = Duration::from_secs(10);
/// How much longer the client waits.
const STATEMENT_MARGIN: Duration = Duration::from_secs(1);
/// How long one statement may wait for a locked row. Most statements pass over such rows anyway.
const LOCK_LIMIT: Duration = Duration::from_millis(50);

/// A connection that is made when it is needed and dropped on the first error.
pub(crate) struct DriverConnection {
    options: PgConnectOptions,
    pooled: bool,
    queue: QueueConfig,
    conn: Option<PgConnection>,
}

/// The queue's tables go from empty to huge and back while plans are kept, so the plans are fixed
/// here: every statement of the driver walks an index, never reads or sorts a table, and is planned
/// once.
///
/// No commit of the driver waits for the disk. A database that crashes may forget its last moments.
/// A claim that is forgotten was not made, and its token lease_ids the worker that believes it has
/// it. A completion that is forgotten leaves a lease that runs out, as if the worker had crashed
/// before writing it. What a handler commits with its job is its own transaction, with that
/// transaction's settings.
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

impl DriverConnection {
    /// Through a pooler in transaction mode nothing is kept on the connection: no settings, no
    /// prepared statements.
    pub(crate) fn new(options: PgConnectOptions, pooled: bool, queue: QueueConfig) -> Self {
        let options = if pooled { options.statement_cache_capacity(0) } else { options };
        Self { options, pooled, queue, conn: None }
    }

    /// Runs one statement, within bounded time. After an error that may be the connection's or the
    /// server's, the next call connects anew. What the failed statement did is unknown, and every
    /// statement of the driver tolerates that. A plan that is older than a change of the schema is
    /// such an error, too. Safe to drop: the connection closes with it.
    pub(crate) async fn run<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut OnQueue<&mut PgConnection>) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => within(CONNECT_LIMIT, self.connect()).await?,
        };
        let work = async {
            if !self.pooled {
                return statement(&mut self.queue.on(&mut conn)).await;
            }
            #[allow(
                clippy::disallowed_methods,
                reason = "this connection is the driver's alone, and closes if this is dropped or late"
            )]
            let mut tx = conn.begin().await?;
            tx.execute(settings!("set local")).await?;
            set_limits(&mut tx, true).await?;
            let answer = statement(&mut self.queue.on(&mut *tx)).await?;
            tx.commit().await?;
            Ok(answer)
        };
        let answer = within(STATEMENT_LIMIT + STATEMENT_MARGIN, work).await;
        if answer.as_ref().err().is_none_or(is_benign) {
            self.conn = Some(conn);
        }
        answer
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let mut conn = PgConnection::connect_with(&self.options).await?;
        if !self.pooled {
            conn.execute(settings!("set")).await?;
            set_limits(&mut conn, false).await?;
        }
        Ok(conn)
    }

    /// Closes the connection in order.
    pub(crate) async fn close(&mut self) {
        if let Some(conn) = self.conn.take() {
            let _ = within(CONNECT_LIMIT, conn.close()).await;
        }
    }
}

async fn set_limits(conn: &mut PgConnection, local: bool) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "select set_config('statement_timeout', $1, $3) as statement,
                set_config('lock_timeout', $2, $3) as lock",
        STATEMENT_LIMIT.as_millis().to_string(),
        LOCK_LIMIT.as_millis().to_string(),
        local
    )
    .fetch_one(conn)
    .await
    .map(drop)
}

/// Whether the statement alone failed: for its data, a constraint, a deadlock, a lock it did not
/// get.
fn is_benign(error: &sqlx::Error) -> bool {
    is_of(error, &["22", "23", "40", "55"])
}

/// Whether the database refuses a statement for its contents (a data or constraint error).
pub(crate) fn is_refused(error: &sqlx::Error) -> bool {
    is_of(error, &["22", "23"])
}

/// Whether the statement gave up waiting for a row that another transaction holds.
pub(crate) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    is_of(error, &["55P03"])
}

/// Whether it is an error of the database of one of these codes, or classes of codes.
fn is_of(error: &sqlx::Error, codes: &[&str]) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| codes.iter().any(|class| code.starts_with(class)))
}
