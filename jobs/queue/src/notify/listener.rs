//! Receiving notifications: a worker wakes up as soon as an immediate job is enqueued.

use super::CANCEL;
use crate::{WorkerConfig, retry_policy::jittered};
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
pub(crate) async fn listen(options: PgConnectOptions, signal: Arc<WakeSignal>, config: WorkerConfig) {
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    loop {
        let Err(error) = receive(&pool, &signal, &config).await;
        tracing::warn!(worker = %config.id, %error, "cannot listen; polling until it is possible again");
        signal.wake(true);
        sleep(jittered(RELISTEN_WAIT)).await;
    }
}

async fn receive(
    pool: &sqlx::PgPool,
    signal: &WakeSignal,
    config: &WorkerConfig,
) -> Result<std::convert::Infallible, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(config.queue.channel()).await?;
    signal.wake(true);
    loop {
        let message = listener.try_recv().await?;
        if message.is_none() {
            config.metrics.reconnect("listener");
            tracing::info!("the listening connection was lost; listening again");
        }
        signal.wake(message.is_none_or(|message| message.payload() == CANCEL));
    }
}
