//! The currency of a process that serves: learned when it starts and once a second, because the first
//! import of a network may come while it runs.

use super::RETRY_DATABASE;
use crate::{
    domain::{BoxError, Currency},
    settings::{Settings, Wallets},
    storage::{self, note_outage},
};
use sqlx::PgPool;
use std::time::Duration;

/// How often the currency is read.
const REFRESH: Duration = Duration::from_secs(1);

/// Learns the currency, waiting while the database cannot be reached.
///
/// # Errors
/// A setting that is finer than a minor unit of it; a currency that this build does not know.
pub async fn learn(pool: &PgPool, settings: &Settings) -> Result<(), BoxError> {
    let currency = loop {
        match storage::currency::learn(pool).await {
            Err(error) if note_outage(&error) => {
                tracing::warn!(%error, "waiting for the database");
                tokio::time::sleep(RETRY_DATABASE).await;
            }
            other => break other?,
        }
    };
    Ok(settings.wallets.check(currency)?)
}

/// Follows the currency for as long as the process lives; a failed read is repeated.
pub async fn run_refresh_loop(pool: PgPool, wallets: Wallets) {
    loop {
        tokio::time::sleep(REFRESH).await;
        let before = Currency::installed();
        match storage::currency::learn(&pool).await {
            Ok(currency) if currency != before => {
                tracing::info!(%currency, "the installation has another currency");
                if let Err(error) = wallets.check(currency) {
                    tracing::error!(%error, "a setting is cut off at the currency's minor unit");
                }
            }
            Ok(_) => {}
            Err(error) => {
                let outage = note_outage(&error);
                tracing::warn!(%error, outage, "the currency is not read; retrying");
            }
        }
    }
}
