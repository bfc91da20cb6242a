//! What the binaries share: settings, the flow's parts, waiting for the database, stop signals.

pub mod maintenance;
pub mod worker;

use crate::telemetry::traffic::Tally;
use crate::{
    accounts::{Sessions, passwords::Passwords},
    batch::InFlightSeats,
    domain::BoxError,
    http::{self, Admission, App},
    limits::Limits,
    ops::debts::KeptOwed,
    saga::{Faults, SagaContext},
    settings::Settings,
    statements::Batchers,
    storage::{self, SchemaError, redis::RedisLink},
    telemetry::{self, metrics::Metrics},
    trips::live::Live,
};
use farebox_jobs::queue::Notifier;
use sqlx::PgPool;
use std::{process::ExitCode, sync::Arc, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How often a process without its database tries again.
const RETRY_DATABASE: Duration = Duration::from_secs(1);

/// Runs a binary's work and tells an error as a sentence, not as a debug dump.
pub fn report(done: Result<ExitCode, BoxError>) -> ExitCode {
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

/// Settings of the environment that `FAREBOX_ENV` names, with logging started and safety checked.
///
/// # Errors
/// Settings that cannot be used, missing secrets, faults in production.
pub fn settings(overrides: &[(&str, String)]) -> Result<Settings, BoxError> {
    let environment = std::env::var("FAREBOX_ENV").unwrap_or_else(|_| "development".to_owned());
    let settings = Settings::load(&environment, overrides)?;
    telemetry::start(&settings.log);
    settings.require_safe_faults()?;
    Ok(settings)
}

/// `DATABASE_URL`, which the server binaries need.
///
/// # Errors
/// If it is not set.
pub fn database_url() -> Result<String, BoxError> {
    std::env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL must be set (only `farebox` brings its own database)".into())
}

/// What flows run with, from the settings.
///
/// # Errors
/// A password cost Argon2 refuses, faults that do not read.
pub fn saga_context(settings: &Settings, pool: PgPool) -> Result<SagaContext, BoxError> {
    let armed = std::env::var("FAREBOX_FAULTS").ok().filter(|_| settings.faults.enabled);
    let faults: Faults = armed.as_deref().unwrap_or_default().parse()?;
    if !faults.is_empty() {
        tracing::warn!(?faults, "faults are armed");
    }
    let passwords = Passwords::new(settings.secrets.pepper.as_bytes(), (&settings.passwords).into())?;
    Ok(SagaContext {
        batchers: Batchers::new(pool.clone(), settings.booking.clone()),
        in_flight: InFlightSeats::default(),
        notifier: Notifier::start((*pool.connect_options()).clone()),
        pool,
        rules: settings.booking.clone(),
        trips: settings.trips.clone(),
        wallets: settings.wallets,
        passwords,
        faults,
        permit: None,
    })
}

/// What handlers share.
///
/// # Errors
/// A Redis URL that does not parse.
pub fn app(settings: Settings, saga: SagaContext) -> Result<App, BoxError> {
    let sessions = Sessions::new(settings.secrets.token_key.as_bytes());
    let live = Live::new(&settings.trips, settings.limits.enabled);
    let redis = RedisLink::new(&settings.redis).map_err(|error| format!("redis.url: {error}"))?;
    Ok(App::from(http::Parts {
        seat_maps: saga.batchers.more(),
        sessions,
        metrics: Metrics::default(),
        limits: Limits::new(&settings, redis.clone()),
        admission: Admission::new(settings.admission),
        operator_pool: storage::reserve(&saga.pool, settings.database.reserved_connections),
        redis,
        live,
        tally: Tally::default(),
        owed: KeptOwed::default(),
        stopping: CancellationToken::new(),
        settings: Arc::new(settings),
        saga,
    }))
}

/// Waits for the database for as long as it is away, then refuses a schema other than this build's.
///
/// # Errors
/// The schema's version, or an error that does not pass by itself.
pub async fn wait_for_schema(pool: &PgPool) -> Result<(), SchemaError> {
    loop {
        match storage::require_current(pool).await {
            Err(error) if error.is_outage() => {
                tracing::warn!(%error, "waiting for the database");
                tokio::time::sleep(RETRY_DATABASE).await;
            }
            other => return other,
        }
    }
}

/// Resolves at SIGINT or SIGTERM.
pub async fn stop_signal() {
    let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::error!("stop signals cannot be heard");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
    tracing::info!("stopping");
}
