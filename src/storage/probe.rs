//! Whether the database answers, asked on a connection that nothing else uses.
//!
//! A pool whose connections are all in use looks like a database that does not answer. The probe has
//! no pool, so it tells one from the other.

use super::note_outage;
use sqlx::{ConnectOptions, PgConnection, PgPool, postgres::PgConnectOptions};
use std::{sync::Arc, time::Duration};
use tokio::sync::Mutex;

/// Connections of a probe: the lock of [`Probe`] lets one ask at a time.
pub const PROBE_CONNECTIONS: u32 = 1;

/// Asks the database for an answer. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Probe {
    options: PgConnectOptions,
    kept: Arc<Mutex<Option<PgConnection>>>,
}

impl Probe {
    /// One for the database of this pool. It connects when it is first asked.
    pub fn of(pool: &PgPool) -> Self {
        Self { options: PgConnectOptions::clone(&pool.connect_options()), kept: Arc::default() }
    }

    /// Whether the database answers a statement that does no work in this time, connecting included.
    /// Safe to drop: a connection whose answer has not come is closed, so a slow answer of one probe
    /// is not in the way of the next.
    pub(crate) async fn responds(&self, within: Duration) -> bool {
        tokio::time::timeout(within, self.request()).await.unwrap_or(false)
    }

    async fn request(&self) -> bool {
        let mut kept = self.kept.lock().await;
        // One that was kept may be from before a restart: only a new one is proof.
        if let Some(connection) = kept.take()
            && let Ok(connection) = answered(connection).await
        {
            *kept = Some(connection);
            return true;
        }
        let asked = match self.options.connect().await {
            Ok(connection) => answered(connection).await,
            Err(error) => Err(error),
        };
        match asked {
            Ok(connection) => {
                *kept = Some(connection);
                true
            }
            Err(error) => {
                note_outage(&error);
                false
            }
        }
    }
}

/// The connection, if the database has answered on it. The statement is not prepared, so no pooler
/// can have lost it.
async fn answered(mut connection: PgConnection) -> Result<PgConnection, sqlx::Error> {
    sqlx::raw_sql("select 1").execute(&mut connection).await?;
    Ok(connection)
}
