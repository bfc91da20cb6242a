//! Waiting for a connection of the pool: how many wait now, and how often the wait was given up.
//!
//! sqlx tells neither. Steps and transactions are counted here. A single statement that runs on the
//! pool itself is not, but its error is.

use farebox_jobs::queue;
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use sqlx::{PgPool, Postgres, Transaction};
use std::{future::Future, sync::LazyLock};

/// Steps and transactions of this process that wait for a connection, or for its BEGIN.
pub static POOL_WAITING: LazyLock<Gauge> = LazyLock::new(Gauge::default);
/// Errors of this process that say that a wait for a connection was given up. An error that several
/// callers share may be counted for each.
pub static POOL_TIMEOUTS: LazyLock<Counter> = LazyLock::new(Counter::default);

/// Counts one that waits until it is dropped.
struct Waiting;

impl Drop for Waiting {
    fn drop(&mut self) {
        POOL_WAITING.dec();
    }
}

/// Counts this as waiting until it has ended or is dropped.
pub(crate) async fn waits_for_connection<T>(acquiring: impl Future<Output = T>) -> T {
    POOL_WAITING.inc();
    let _waiting = Waiting;
    acquiring.await
}

/// [`queue::begin`], counted while it waits. Safe to drop at any moment.
///
/// # Errors
/// The pool's and the database's.
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    waits_for_connection(queue::begin(pool)).await
}

/// Begins a transaction for what people search for: it only reads, and each of its statements is stopped
/// after 2 s, whatever the filter. Counted while it waits. Safe to drop at any moment.
///
/// # Errors
/// The pool's and the database's.
pub async fn begin_search(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    begin_with(pool, "begin read only; set local statement_timeout = 2000").await
}

/// [`queue::begin_with`], counted while it waits. Safe to drop at any moment.
///
/// # Errors
/// The pool's and the database's.
pub async fn begin_with(
    pool: &PgPool,
    statement: &'static str,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    waits_for_connection(queue::begin_with(pool, statement)).await
}
