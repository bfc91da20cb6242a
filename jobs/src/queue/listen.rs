//! Waking up when somebody enqueues an immediate job. Only a shortcut: the driver polls as well.

use super::{CHANNEL, policy::jittered};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, time::sleep};

/// The longest wait before the next try at listening; the shortest is half of it.
const RELISTEN_WAIT: Duration = Duration::from_secs(2);

/// Listens for ever, on a connection of its own. Whenever a message may have been missed, the bell rings too.
pub(super) async fn listen(options: PgConnectOptions, bell: Arc<Notify>, worker: String) {
    let line = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    loop {
        let Err(error) = hear(&line, &bell).await;
        tracing::warn!(%worker, %error, "not listening; polling until it is back");
        bell.notify_one();
        sleep(jittered(RELISTEN_WAIT)).await;
    }
}

async fn hear(line: &sqlx::PgPool, bell: &Notify) -> Result<std::convert::Infallible, sqlx::Error> {
    let mut listener = PgListener::connect_with(line).await?;
    listener.listen(CHANNEL).await?;
    loop {
        bell.notify_one();
        if listener.try_recv().await?.is_none() {
            tracing::info!("the listening connection was lost; listening again");
        }
    }
}
