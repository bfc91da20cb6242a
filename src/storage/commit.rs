//! Which commits wait for the disk.
//!
//! A commit that a response follows waits until it is on the disk, and on the standby if
//! replication is synchronous. The write-ahead log has one order: everything before that commit is
//! then durable too, and a crash only takes the log's end. A commit need not wait if no response
//! follows before a later one that does:
//!
//! - the steps of a saga but its last: the last step or the scheduled rollback follows. A crash
//!   takes a step together with the undo that the step armed;
//! - an undo: a crash takes it together with its job's completion, so the job exists again and is
//!   run again.
//!
//! Locks are released sooner, which matters most for a wallet with many payments. A statement that
//! is a transaction of its own sets this itself, without a round trip:
//! `set_config('synchronous_commit', 'off', true)`.

use crate::storage;
use sqlx::{PgPool, Postgres, Transaction};

/// Begins such a transaction.
const ASYNC_COMMIT: &str = "begin; set local synchronous_commit = off";

/// Begins a transaction whose commit does not wait for the disk.
///
/// # Errors
/// The database's.
pub async fn begin_async_commit(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    storage::begin_with(pool, ASYNC_COMMIT).await
}
