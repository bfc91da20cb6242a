//! `farebox-worker`: runs rollbacks and timers. Any number of them, on any machine, for all tags or some.

use clap::Parser;
use farebox::{
    app::{
        self,
        maintenance::{self, Pruning},
        service_manager, worker,
    },
    domain::BoxError,
    http, ops,
    storage::Reads,
};
use std::process::ExitCode;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

#[derive(Parser)]
#[command(version, about = "Runs Farebox's rollbacks and timers")]
struct Args {
    /// The tags to work for, separated by commas; all of them if left out.
    #[arg(long, env = "FAREBOX_TAGS")]
    tags: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    app::report(run().await)
}

async fn run() -> Result<ExitCode, BoxError> {
    let args = Args::parse();
    app::forbid_core_dumps()?;
    let tags = worker::read_tags(args.tags.as_deref()).map_err(|e| format!("{}: {}", e.pointer, e.rule))?;
    let settings = app::settings(&[])?;
    let pool = app::pool(&settings, "farebox-worker")?;
    app::wait_for_sessions(&pool).await?;
    app::wait_for_schema(&pool).await?;
    app::note_role(&pool, &settings).await;
    app::currency::learn(&pool, &settings).await?;
    let replica = app::replica(&settings, &pool, "farebox-worker").await?;
    let saga = app::traced_saga_context(&settings, pool, "farebox-worker")?;
    let metrics = app::worker_metrics(&saga);
    let listen = &settings.worker.metrics_listen;
    let stopping = CancellationToken::new();
    let (mut telling, mut pruning) = (JoinSet::new(), JoinSet::new());
    pruning.spawn(maintenance::run_prune_loop(saga.pool.clone(), Pruning::from(&settings)));
    pruning.spawn(app::currency::run_refresh_loop(saga.pool.clone(), settings.wallets));
    if let Some(replica) = replica.clone() {
        pruning.spawn(replica.run_compare_loop(saga.pool.clone()));
    }
    let reads = Reads::new(saga.pool.clone(), replica);
    pruning.spawn(ops::verifier::run_verifier_loop(
        saga.pool.clone(),
        reads,
        settings.verify.overdue_bound(),
    ));
    pruning.spawn(ops::chain::run_chain_loop(saga.pool.clone()));
    pruning.spawn(ops::find::run_summary_loop(saga.pool.clone()));
    if !listen.is_empty() {
        let listener =
            TcpListener::bind(listen).await.map_err(|e| format!("worker.metrics_listen {listen}: {e}"))?;
        tracing::info!(address = %listener.local_addr()?, "metrics");
        http::require_files(&settings, http::WORKER_CONNECTIONS)?;
        let (pool, metrics, settings) = (saga.pool.clone(), metrics.clone(), settings.clone());
        let stopping = stopping.clone();
        telling.spawn(async move {
            http::serve_metrics(pool, metrics, &settings, listener, stopping).await;
        });
    }
    telling.spawn(service_manager::run_watchdog_loop());
    service_manager::notify_ready();
    let shutdown = async move {
        app::stop_signal().await;
        stopping.cancel();
    };
    let worked = worker::work(&saga, &settings, &tags, &metrics, shutdown).await;
    app::close_traces(&saga).await;
    worked?;
    Ok(ExitCode::SUCCESS)
}
