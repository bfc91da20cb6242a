//! `farebox-api`: the HTTP API. Any number of them on one database.

use clap::Parser;
use farebox::{
    app::{self, service_manager},
    console,
    domain::BoxError,
    http,
    telemetry::metrics::Program,
    web,
};
use std::process::ExitCode;
use tokio::{net::TcpListener, task::JoinSet};

/// It has no options: settings come from files and variables.
#[derive(Parser)]
#[command(version, about = "Serves Farebox's HTTP API and console")]
struct Args {}

#[tokio::main]
async fn main() -> ExitCode {
    app::report(run(&Args::parse()).await)
}

async fn run(Args {}: &Args) -> Result<ExitCode, BoxError> {
    app::forbid_core_dumps()?;
    let settings = app::settings(&[])?;
    settings.require_secrets()?;
    let pool = app::pool(&settings, "farebox-api")?;
    app::wait_for_sessions(&pool).await?;
    app::wait_for_schema(&pool).await?;
    app::check_secrets(&pool, &settings).await?;
    http::require_files(&settings, settings.http.max_connections)?;
    app::note_role(&pool, &settings).await;
    app::currency::learn(&pool, &settings).await?;
    let metrics_listen = settings.http.metrics_listen.clone();
    let replica = app::replica(&settings, &pool, "farebox-api").await?;
    let saga = app::traced_saga_context(&settings, pool, "farebox-api")?;
    let listen = settings.http.listen.clone();
    let app = app::app(settings, saga, replica, Program::Api)?;
    // Before anything listens: a session that was ended elsewhere must not live on here.
    app.sessions.load(&app.operator_pool).await;
    let listener = TcpListener::bind(&listen).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let mut telling = JoinSet::new();
    telling.spawn(app::currency::run_refresh_loop(app.operator_pool.clone(), app.settings.wallets));
    if !metrics_listen.is_empty() {
        let listener = TcpListener::bind(&metrics_listen).await;
        let listener = listener.map_err(|e| format!("http.metrics_listen {metrics_listen}: {e}"))?;
        tracing::info!(address = %listener.local_addr()?, "metrics");
        let (pool, metrics, settings) =
            (app.operator_pool.clone(), app.metrics.clone(), app.settings.clone());
        let stopping = app.stopping.clone();
        telling.spawn(async move {
            http::serve_metrics(pool, metrics, &settings, listener, stopping).await;
        });
    }
    telling.spawn(service_manager::run_watchdog_loop());
    // Connections wait in the kernel's queue until they are accepted.
    service_manager::notify_ready();
    http::serve(app.clone(), web::pages(console::pages(&app)), listener, app::stop_signal()).await;
    app::close_traces(&app.saga).await;
    Ok(ExitCode::SUCCESS)
}
