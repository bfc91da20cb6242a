//! Waking workers up after a commit instead of in it.
//!
//! A transaction that has called NOTIFY takes a lock of the whole cluster in its commit and holds it until the commit is
//! on disk, so commits that ring go one after the other, each waiting for the disk. Here the one who enqueued rings once
//! his commit is done: a connection of its own sends the message, whose loss costs no more than a poll, in a transaction
//! that does not wait for the disk, and however many ring meanwhile are one message.

use super::{CHANNEL, link::limited};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, task::AbortHandle, time::sleep};

/// How long connecting and one message may take together.
const RING_LIMIT: Duration = Duration::from_secs(5);
/// The pause after a message: who rings meanwhile rings together. A worker that is woken looks through all its tags, which
/// costs a millisecond, be there one job or fifty. Nobody waits for a rollback but the seats that it gives back.
const PAUSE: Duration = Duration::from_millis(50);
/// The rest after a message that could not be sent.
const REST: Duration = Duration::from_secs(1);

/// Rings for jobs that were enqueued [quietly](super::Due::Quietly) or [hurried](super::hurry). Clones ring the same
/// bell; with the last one it ends.
#[derive(Clone, Debug)]
pub struct Ringer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    wanted: Arc<Notify>,
    task: AbortHandle,
}

impl Ringer {
    /// Connects when it is first rung. Needs a tokio runtime.
    pub fn start(options: PgConnectOptions) -> Self {
        let wanted = Arc::new(Notify::new());
        let task = tokio::spawn(ring_on(Arc::clone(&wanted), options)).abort_handle();
        Self(Arc::new(Inner { wanted, task }))
    }

    /// Tells the workers that something may be due. Call it after the commit; it does not wait.
    pub fn ring(&self) {
        self.0.wanted.notify_one();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn ring_on(wanted: Arc<Notify>, options: PgConnectOptions) {
    let mut line = None;
    loop {
        wanted.notified().await;
        let pause = match ring(&mut line, &options).await {
            Ok(()) => PAUSE,
            Err(error) => {
                tracing::warn!(%error, "workers not woken up; they find what is due when they poll");
                REST
            }
        };
        sleep(pause).await;
    }
}

async fn ring(line: &mut Option<PgConnection>, options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let first = limited(RING_LIMIT, send(line, options)).await;
    // A connection that was idle may turn out to be cut.
    if first.is_ok() { first } else { limited(RING_LIMIT, send(line, options)).await }
}

/// The connection is kept only if nothing went wrong on it. Nothing is set on it for longer than the statement: behind a
/// pooler others get it afterwards.
async fn send(line: &mut Option<PgConnection>, options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let mut conn = match line.take() {
        Some(conn) => conn,
        None => PgConnection::connect_with(options).await?,
    };
    sqlx::query("select set_config('synchronous_commit', 'off', true), pg_notify($1, '')")
        .bind(CHANNEL)
        .execute(&mut conn)
        .await?;
    *line = Some(conn);
    Ok(())
}
