//! Sending notifications after a commit instead of in it.
//!
//! A transaction that has called NOTIFY takes a lock of the whole cluster in its commit and holds
//! it until the commit is on disk, so such commits go one after the other, each waiting for the
//! disk. With a notifier the enqueuing program asks for a message once its commit is done. A
//! connection of its own sends it, in a transaction that does not wait for the disk; a lost message
//! costs no more than a poll, and all requests of a pause share one message.

use crate::{QueueConfig, time_limit::within};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, task::AbortHandle, time::sleep};

/// How long connecting and one message may take together.
const SEND_LIMIT: Duration = Duration::from_secs(5);
/// The pause after a message; requests during it share the next message. A woken worker looks
/// through all its tags, whether there is one job or fifty.
const PAUSE: Duration = Duration::from_millis(50);
/// The pause after a message that could not be sent.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// Wakes workers up for jobs that were enqueued [without a notification](crate::Due::NowSilently)
/// or [expedited](crate::enqueue_or_expedite). Clones share one connection; it closes with the last
/// one.
#[derive(Clone, Debug)]
pub struct Notifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    wanted: Arc<Notify>,
    task: AbortHandle,
}

impl Notifier {
    /// For the default queue. Connects at the first request. Needs a tokio runtime.
    pub fn start(options: PgConnectOptions) -> Self {
        Self::start_for(options, &QueueConfig::default())
    }

    /// For this queue.
    pub fn start_for(options: PgConnectOptions, queue: &QueueConfig) -> Self {
        let wanted = Arc::new(Notify::new());
        let task = tokio::spawn(send_when_wanted(Arc::clone(&wanted), options, queue.clone())).abort_handle();
        Self(Arc::new(Inner { wanted, task }))
    }

    /// Asks for a message that a job may be due. Call it after the commit; it does not wait.
    pub fn notify(&self) {
        self.0.wanted.notify_one();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn send_when_wanted(wanted: Arc<Notify>, options: PgConnectOptions, queue: QueueConfig) {
    let mut conn = None;
    loop {
        wanted.notified().await;
        let pause = match send(&mut conn, &options, queue.channel()).await {
            Ok(()) => PAUSE,
            Err(error) => {
                tracing::warn!(%error, "workers not notified; they find what is due when they poll");
                ERROR_PAUSE
            }
        };
        sleep(pause).await;
    }
}

async fn send(
    conn: &mut Option<PgConnection>,
    options: &PgConnectOptions,
    channel: &str,
) -> Result<(), sqlx::Error> {
    let first = within(SEND_LIMIT, send_once(conn, options, channel)).await;
    // A connection that was idle may turn out to be cut.
    if first.is_ok() { first } else { within(SEND_LIMIT, send_once(conn, options, channel)).await }
}

/// The connection is kept only after a success. Nothing is set on it beyond the statement: behind a
/// pooler other clients use it afterwards.
async fn send_once(
    kept: &mut Option<PgConnection>,
    options: &PgConnectOptions,
    channel: &str,
) -> Result<(), sqlx::Error> {
    let mut conn = match kept.take() {
        Some(conn) => conn,
        None => PgConnection::connect_with(options).await?,
    };
    sqlx::query("select set_config('synchronous_commit', 'off', true), pg_notify($1, '')")
        .bind(channel)
        .execute(&mut conn)
        .await?;
    *kept = Some(conn);
    Ok(())
}
