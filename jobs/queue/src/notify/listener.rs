//! Receiving notifications: a worker wakes up as soon as an immediate job is enqueued.

use super::CANCEL;
use crate::{Metrics, QueueConfig, retry_policy::jittered};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};

/// The longest wait before the next attempt to listen; the shortest is half of it.
const RELISTEN_WAIT: Duration = Duration::from_secs(2);

/// What the listener signals to the driver.
#[derive(Default)]
pub(crate) struct WakeSignal {
    /// A job may be due.
    pub(crate) notified: Notify,
    /// The cancellation of a running job may have been requested.
    pub(crate) cancel: AtomicBool,
}

impl WakeSignal {
    fn wake(&self, cancel: bool) {
        self.cancel.fetch_or(cancel, Ordering::Relaxed);
        self.notified.notify_one();
    }
}

/// Listens for ever, on a connection of its own. Whenever a message may have been missed, it wakes
/// the driver too.
pub(crate) async fn listen(
    options: PgConnectOptions,
    signal: Arc<WakeSignal>,
    (queue, worker, metrics): (QueueConfig, String, Metrics),
) {
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    loop {
        let Err(error) = receive(&pool, &signal, &queue, &metrics).await;
        tracing::warn!(%worker, %error, "cannot listen; polling until it is possible again");
        signal.wake(true);
        sleep(jittered(RELISTEN_WAIT)).await;
    }
}

async fn receive(
    pool: &sqlx::PgPool,
    signal: &WakeSignal,
    queue: &QueueConfig,
    metrics: &Metrics,
) -> Result<std::convert::Infallible, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(queue.channel()).await?;
    signal.wake(true);
    loop {
        let message = listener.try_recv().await?;
        if message.is_none() {
            metrics.reconnect("listener");
            tracing::info!("the listening connection was lost; listening again");
        }
        signal.wake(message.is_none_or(|message| message.payload() == CANCEL));
    }
}
