//! What the binaries share: settings, the parts of sagas, waiting for the database, stop signals.

pub mod maintenance;
pub mod worker;

use crate::{
    accounts::{Sessions, passwords::Passwords},
    batch::InFlightSeats,
    domain::BoxError,
    http::{self, Admission, App},
    limits::Limits,
    ops::undos::CachedUndoBacklog,
    saga::{Faults, SagaContext},
    security,
    settings::Settings,
    statements::Batchers,
    storage::{self, SchemaError, redis::RedisLink},
    telemetry::{self, metrics::Metrics, traffic::TrafficCounters},
    trips::live::Live,
};
use farebox_jobs::queue::Notifier;
use sqlx::PgPool;
use std::{process::ExitCode, sync::Arc, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How often a process without its database tries again.
const RETRY_DATABASE: Duration = Duration::from_secs(1);

/// Prints an error as a sentence, not as a debug dump, and returns the exit code.
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
        .map_err(|_| "DATABASE_URL must be set (only `farebox` starts its own database)".into())
}

/// What sagas run with, from the settings.
///
/// # Errors
/// A password cost that Argon2 refuses, faults that do not parse.
pub fn saga_context(settings: &Settings, pool: PgPool) -> Result<SagaContext, BoxError> {
    let armed = std::env::var("FAREBOX_FAULTS").ok().filter(|_| settings.faults.enabled);
    let faults: Faults = armed.as_deref().unwrap_or_default().parse()?;
    if !faults.is_empty() {
        tracing::warn!(?faults, "faults are armed");
    }
    let passwords = Passwords::new(settings.secrets.pepper.as_bytes(), settings.passwords)?;
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

/// What request handlers share.
///
/// # Errors
/// A Redis URL that does not parse.
pub fn app(settings: Settings, saga: SagaContext) -> Result<App, BoxError> {
    security::set_key(security::digest_key(settings.secrets.token_key.as_bytes()));
    let sessions = Sessions::new(settings.secrets.token_key.as_bytes());
    let live = Live::new(&settings.trips, settings.limits.enabled);
    let redis = RedisLink::new(&settings.redis).map_err(|error| format!("redis.url: {error}"))?;
    Ok(App::from(http::Parts {
        seat_maps: saga.batchers.more(),
        sessions,
        metrics: Metrics::default(),
        limits: Limits::new(&settings, redis.clone()),
        admission: Admission::new(settings.admission),
        operator_pool: storage::operator_pool(&saga.pool, settings.database.reserved_connections),
        redis,
        live,
        tally: TrafficCounters::default(),
        owed: CachedUndoBacklog::default(),
        stopping: CancellationToken::new(),
        settings: Arc::new(settings),
        saga,
    }))
}

/// Waits until the database is reachable, then refuses a schema other than this build's.
///
/// # Errors
/// Another schema version, or an error that is no outage.
pub async fn wait_for_schema(pool: &PgPool) -> Result<(), SchemaError> {
    loop {
        match storage::require_current(pool).await {
            Err(error) if error.note_outage() => {
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
        tracing::error!("cannot install signal handlers");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
    tracing::info!("stopping");
}
