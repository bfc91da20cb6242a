//! What the binaries share: settings, the parts of sagas, waiting for the database, stop signals.

mod attempt;
pub mod currency;
mod dumps;
pub mod maintenance;
pub mod service_manager;
pub mod worker;

pub use dumps::forbid_core_dumps;

use crate::{
    accounts::{
        Sessions,
        passwords::Passwords,
        secret_check::{self, SecretMismatch},
    },
    batch::{Batcher, InFlightSeats},
    domain::BoxError,
    http::{self, Admission, App},
    limits::Limits,
    ops::{
        bulk::{CachedJudgements, CachedPreviews},
        history::{CachedHistory, CachedPauses},
        undos::CachedUndoBacklog,
    },
    saga::{Faults, SagaContext},
    security,
    settings::{self, Environment, Settings},
    statements::Batchers,
    storage::{self, Probe, Reads, Replica, Schema, SchemaError, SessionError, redis::RedisLink},
    telemetry::{
        self,
        metrics::{Metrics, Program, Sources, WatchedPool},
        traffic::TrafficCounters,
    },
    traces::Tracer,
    trips::{layouts::Layouts, live::Live, seat_map::SeatMaps},
};
use farebox_jobs::queue::Notifier;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use std::{fmt::Display, process::ExitCode, sync::Arc, time::Duration};
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
/// An unknown environment, or none beside a database; settings that cannot be used; faults in
/// production.
pub fn settings(overrides: &[(&str, String)]) -> Result<Settings, BoxError> {
    let named = std::env::var_os("FAREBOX_ENV").map(|name| name.to_string_lossy().into_owned());
    let has_database = settings::database_url()?.is_some();
    let environment = Environment::choose(named.as_deref(), has_database)?;
    let settings = Settings::load(environment.as_str(), overrides)?;
    telemetry::start(&settings.log);
    settings.require_safe_faults()?;
    Ok(settings)
}

/// `DATABASE_URL`, which the server binaries need.
///
/// # Errors
/// If it is not set, or, in production, not encrypted.
pub fn database_url(settings: &Settings) -> Result<SecretString, BoxError> {
    let url = settings::database_url()?
        .ok_or("DATABASE_URL must be set (only `farebox` starts its own database)")?;
    storage::check_database_url(url.expose_secret(), settings.environment, &settings.database)?;
    Ok(url)
}

/// The pool of a process that serves.
///
/// # Errors
/// As [`database_url`].
pub fn pool(settings: &Settings, name: &str) -> Result<PgPool, BoxError> {
    Ok(storage::pool(database_url(settings)?.expose_secret(), &settings.database, name)?)
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
    let passwords = Passwords::new(&settings.secrets.peppers(), settings.passwords)?;
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
        tracer: None,
    })
}

/// The standby that the settings name, if they do, once it was compared with the primary.
///
/// # Errors
/// A URL that is in clear in production, or leads to another cluster, to another database, or to a pooler
/// that shares sessions. One that cannot be reached is no error: the primary is read meanwhile.
pub async fn replica(settings: &Settings, primary: &PgPool, name: &str) -> Result<Option<Replica>, BoxError> {
    storage::check_replica_url(settings.environment, &settings.database)?;
    let Some(replica) = Replica::new(&settings.database, name)? else { return Ok(None) };
    replica.require_same(primary).await?;
    Ok(Some(replica))
}

/// What sagas of the program `service` run with, its traces exported if the settings say so.
///
/// # Errors
/// As [`saga_context`]; traces that cannot be exported.
pub fn traced_saga_context(
    settings: &Settings,
    pool: PgPool,
    service: &str,
) -> Result<SagaContext, BoxError> {
    let tracer = Tracer::start(&settings.otel, settings.environment, service)?;
    Ok(SagaContext { tracer, ..saga_context(settings, pool)? })
}

/// Exports the spans that are left, within a bound of time.
pub async fn close_traces(saga: &SagaContext) {
    if let Some(tracer) = &saga.tracer {
        tracer.close().await;
    }
}

/// What request handlers share, in this program.
///
/// # Errors
/// A Redis URL that does not parse.
pub fn app(
    settings: Settings,
    saga: SagaContext,
    replica: Option<Replica>,
    program: Program,
) -> Result<App, BoxError> {
    let key = settings.secrets.token_key.expose_secret().as_bytes();
    security::set_key(security::digest_key(key));
    let sessions = Sessions::new(&settings.secrets.token_keys());
    let layouts = Layouts::default();
    let live = Live::new(&settings.trips, settings.limits.enabled, layouts.clone());
    let redis = RedisLink::new(&settings.redis, settings.environment)
        .map_err(|error| format!("redis.url: {error}"))?;
    let admission = Admission::new(settings.admission);
    let operator_pool = storage::operator_pool(&saga.pool, settings.database.reserved_connections);
    let probe = Probe::of(&saga.pool);
    let metrics = Metrics::new(Sources {
        program,
        pools: vec![pool_of_steps(&saga), WatchedPool::of_operators(operator_pool.clone())],
        admission: admission.classes(),
    });
    Ok(App::from(http::Parts {
        seat_maps: Batcher::new(Arc::new(SeatMaps::new(saga.batchers.context(), layouts))),
        itineraries: Arc::default(),
        trip_lists: Arc::default(),
        reads: Reads::new(saga.pool.clone(), replica),
        sessions,
        metrics,
        limits: Limits::new(&settings, redis.clone()),
        admission,
        operator_pool,
        probe,
        redis,
        live,
        tally: TrafficCounters::default(),
        owed: CachedUndoBacklog::default(),
        history: CachedHistory::default(),
        pauses: CachedPauses::default(),
        previews: CachedPreviews::default(),
        judgements: CachedJudgements::default(),
        stopping: CancellationToken::new(),
        settings: Arc::new(settings),
        saga,
    }))
}

/// The metrics of a worker.
pub fn worker_metrics(saga: &SagaContext) -> Metrics {
    let pools = vec![pool_of_steps(saga)];
    Metrics::new(Sources { program: Program::Worker, pools, admission: Vec::new() })
}

fn pool_of_steps(saga: &SagaContext) -> WatchedPool {
    WatchedPool::of_steps(saga.pool.clone(), saga.batchers.context())
}

/// Tells that the process waits for the database, and waits a moment.
async fn retry_database(error: &impl Display) {
    tracing::warn!(%error, "waiting for the database");
    service_manager::notify_waiting("the database");
    tokio::time::sleep(RETRY_DATABASE).await;
}

/// Waits until the database is reachable, then refuses a pooler that shares sessions.
///
/// # Errors
/// Such a pooler, or an error that is no outage.
pub async fn wait_for_sessions(pool: &PgPool) -> Result<(), SessionError> {
    loop {
        match storage::require_sessions(pool).await {
            Err(SessionError::Database(error)) if storage::note_outage(&error) => {
                retry_database(&error).await;
            }
            other => return other,
        }
    }
}

/// Waits until the database is reachable, then refuses a schema that this build does not run on.
///
/// # Errors
/// Another schema version, or an error that is no outage.
pub async fn wait_for_schema(pool: &PgPool) -> Result<(), SchemaError> {
    loop {
        match storage::require_schema(pool).await {
            Err(error) if error.note_outage() => {
                retry_database(&error).await;
            }
            Ok(Schema::Newer) => {
                tracing::info!("a newer build has migrated the database; this one runs beside it");
                return Ok(());
            }
            other => return other.map(drop),
        }
    }
}

/// Warns in production if the process connects as a role that may do more than it needs: an
/// intruder in the process could then switch off the guards of the ledger and the audit log. No
/// error, because an upgrade of a database with one role must not stop the service.
pub async fn note_role(pool: &PgPool, settings: &Settings) {
    if !settings.environment.is_production() {
        return;
    }
    match storage::roles::excess(pool).await {
        Ok(None) => {}
        Ok(Some(excess)) => {
            tracing::warn!("the database role {excess}; docs/operators/roles.md names others to use");
        }
        Err(error) => tracing::warn!(%error, "the rights of the database role are not known"),
    }
}

/// Refuses secrets other than those that the database was used with, waiting while the database
/// cannot be reached.
///
/// # Errors
/// [`SecretMismatch`], but for outages.
pub async fn check_secrets(pool: &PgPool, settings: &Settings) -> Result<(), SecretMismatch> {
    loop {
        match secret_check::check(pool, &settings.secrets).await {
            Err(SecretMismatch::Database(error)) if storage::note_outage(&error) => {
                retry_database(&error).await;
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
    service_manager::notify_stopping();
}
