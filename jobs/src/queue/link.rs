//! The driver's own connection, outside the pool: handlers that use up the pool cannot keep it from renewing leases.

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
    conn: Option<PgConnection>,
}

impl Link {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        Self { options, conn: None }
    }

    /// Runs one statement, within bounded time. After an error the next call connects anew: what the failed
    /// statement did is unknown, and every statement of the driver stands that.
    pub(super) async fn run<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => limited(CONNECT_LIMIT, connect(&self.options)).await?,
        };
        let answer = limited(STATEMENT_LIMIT + STATEMENT_MARGIN, statement(&mut conn)).await?;
        self.conn = Some(conn);
        Ok(answer)
    }

    /// Says goodbye to the server.
    pub(super) async fn close(mut self) {
        if let Some(conn) = self.conn.take() {
            let _ = limited(CONNECT_LIMIT, conn.close()).await;
        }
    }
}

/// The queue's tables go from empty to huge and back while plans are kept, so the plans are settled here: every
/// statement of the driver walks an index, never reads or sorts a table, and is planned once.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut conn = PgConnection::connect_with(options).await?;
    conn.execute(
        "set enable_seqscan = off; set enable_bitmapscan = off; set enable_hashjoin = off;
         set enable_mergejoin = off; set jit = off; set plan_cache_mode = force_generic_plan",
    )
    .await?;
    sqlx::query!(
        "select set_config('statement_timeout', $1, false) as statement, set_config('lock_timeout', $2, false) as lock",
        STATEMENT_LIMIT.as_millis().to_string(),
        LOCK_LIMIT.as_millis().to_string()
    )
    .fetch_one(&mut conn)
    .await?;
    Ok(conn)
}

async fn limited<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    timeout(limit, work).await.unwrap_or_else(|late| Err(sqlx::Error::Io(std::io::Error::other(late))))
}
