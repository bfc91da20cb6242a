//! Waking up when somebody enqueues an immediate job. Only a shortcut: the driver polls as well.

use super::{CANCEL, CHANNEL, Metrics, policy::jittered};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};

/// The longest wait before the next try at listening; the shortest is half of it.
const RELISTEN_WAIT: Duration = Duration::from_secs(2);

/// What the listener tells the driver.
#[derive(Default)]
pub(super) struct Bell {
    /// Something may be due.
    pub(super) rung: Notify,
    /// Somebody may have asked for the end of a job that runs.
    pub(super) cancel: AtomicBool,
}

impl Bell {
    fn ring(&self, cancel: bool) {
        self.cancel.fetch_or(cancel, Ordering::Relaxed);
        self.rung.notify_one();
    }
}

/// Listens for ever, on a connection of its own. Whenever a message may have been missed, the bell rings too.
pub(super) async fn listen(options: PgConnectOptions, bell: Arc<Bell>, worker: String, metrics: Metrics) {
    let line = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    loop {
        let Err(error) = hear(&line, &bell, &metrics).await;
        tracing::warn!(%worker, %error, "not listening; polling until it is back");
        bell.ring(true);
        sleep(jittered(RELISTEN_WAIT)).await;
    }
}

async fn hear(
    line: &sqlx::PgPool,
    bell: &Bell,
    metrics: &Metrics,
) -> Result<std::convert::Infallible, sqlx::Error> {
    let mut listener = PgListener::connect_with(line).await?;
    listener.listen(CHANNEL).await?;
    bell.ring(true);
    loop {
        let message = listener.try_recv().await?;
        if message.is_none() {
            metrics.reconnect("listener");
            tracing::info!("the listening connection was lost; listening again");
        }
        bell.ring(message.is_none_or(|message| message.payload() == CANCEL));
    }
}
