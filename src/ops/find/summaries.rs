//! Keeps the search for the end of an order's id fast while orders come in.

use crate::storage::note_outage;
use farebox_jobs::queue;
use sqlx::PgPool;
use std::time::Duration;

/// The name of its lock in the queue's table of maintenance tasks.
const TASK: &str = "farebox_summaries";
/// How often a worker checks whether the task is due.
const POLL: Duration = Duration::from_secs(5);
/// How often the blocks of new orders are summarized.
const SUMMARIZE_EVERY: Duration = Duration::from_secs(10);

/// Summarizes new orders when that is due, for as long as the process lives. Safe to drop: each statement is
/// a transaction.
pub async fn run_summary_loop(pool: PgPool) {
    loop {
        tokio::time::sleep(POLL).await;
        if let Err(error) = if_due(&pool).await {
            let outage = note_outage(&error);
            tracing::warn!(%error, outage, "summarizing new orders failed; retrying");
        }
    }
}

async fn if_due(pool: &PgPool) -> Result<(), sqlx::Error> {
    if queue::acquire_task(pool, TASK, SUMMARIZE_EVERY).await? {
        summarize_orders(pool).await?;
    }
    Ok(())
}

/// Summarizes the blocks of new orders, and returns how many ranges of blocks; none while a vacuum works on
/// them.
///
/// # Errors
/// The database's.
pub async fn summarize_orders(pool: &PgPool) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(r#"select summarize_orders() as "ranges!""#).fetch_one(pool).await
}
