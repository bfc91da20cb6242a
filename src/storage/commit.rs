//! Which commits wait for the disk.
//!
//! Whoever was told something must find it so after a crash of the server: the commit that an answer follows waits until it
//! is on the disk, and on the standby if replication is synchronous. The log has one order, so everything before it is there
//! too, and what a crash takes is always the log's end. Hence a commit need not wait if nobody is told before a later one:
//!
//! - a flow's steps but its last: its last step follows, or its raised rollback. What is lost is a step together with the undo that
//!   it armed;
//! - an undo. It is lost together with its job's completion; the job is there again, and is done again.
//!
//! Locks are let go sooner, which a hot wallet feels most. A statement that is a transaction of its own says so itself, at
//! the price of no round trip: `set_config('synchronous_commit', 'off', true)`.

use crate::storage;
use sqlx::{PgPool, Postgres, Transaction};

/// Begins a transaction whose commit does not wait for the disk.
///
/// # Errors
/// The database's.
pub async fn begin_async_commit(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    storage::begin_with(pool, UNWAITED).await
}

/// Begins such a transaction.
const UNWAITED: &str = "begin; set local synchronous_commit = off";
