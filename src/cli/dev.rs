//! `farebox dev`: everything in one process.

use super::{
    args::Dev,
    database::{Database, Open, add_dev_secrets},
    demo::{self, Wanted},
};
use crate::{
    app::{
        self,
        maintenance::{self, Pruning},
        worker,
    },
    console,
    domain::BoxError,
    http, ops,
    saga::SagaContext,
    storage,
    telemetry::metrics::Program,
    web,
};
use farebox_jobs::MqTag;
use tokio::{net::TcpListener, task::JoinSet};

/// Runs the API, a worker and the background tasks in one process until it is stopped.
pub(super) async fn dev(args: Dev) -> Result<(), BoxError> {
    // The demo's operator has no second factor.
    let mut overrides = vec![("accounts.operators_second_factor", "optional".to_owned())];
    overrides.extend(args.port.map(|port| ("http.listen", format!("127.0.0.1:{port}"))));
    overrides.extend(args.hold.map(|hold| ("booking.hold_secs", hold.to_string())));
    let mut settings = app::settings(&overrides)?;
    if settings.environment.is_production() {
        return Err("`farebox dev` is not for production: run farebox-api and farebox-worker".into());
    }
    http::require_files(&settings, settings.http.max_connections)?;
    settings.faults.enabled = true;
    let listener = TcpListener::bind(&settings.http.listen).await?;
    let how = if args.fresh { Open::Fresh } else { Open::OrMake };
    let database = Database::open(&args.data, &settings, how).await?;
    add_dev_secrets(&mut settings, &database.folder)?;
    let pool = database.pool(&settings)?;
    storage::require_sessions(&pool).await?;
    storage::migrate(&pool).await?;
    app::check_secrets(&pool, &settings).await?;
    app::currency::learn(&pool, &settings).await?;
    let [serving, working] = database.serving(&settings, pool).await?;
    let saga = app::traced_saga_context(&settings, serving, "farebox")?;
    let undoing = SagaContext { tracer: saga.tracer.clone(), ..app::saga_context(&settings, working)? };
    // A database that DATABASE_URL names may be anybody's.
    if database.is_embedded() {
        demo::seed(&saga, settings.trips.zone, Wanted::Missing).await?;
    } else if args.demo_data {
        demo::seed(&saga, settings.trips.zone, Wanted::IntoEmpty).await?;
    }
    let address = listener.local_addr()?;
    tracing::info!(%address, "listening");
    println!("Farebox listens on http://{address}");

    let (stop, stopped) = tokio::sync::watch::channel(false);
    let until = |mut stopped: tokio::sync::watch::Receiver<bool>| async move {
        // An error means that the sender is gone: stop as well.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let replica = app::replica(&settings, &saga.pool, "farebox").await?;
    let app = app::app(settings.clone(), saga.clone(), replica, Program::Dev)?;
    app.sessions.load(&app.operator_pool).await;
    let mut pruning = JoinSet::new();
    pruning.spawn(maintenance::run_prune_loop(undoing.pool.clone(), Pruning::from(&settings)));
    pruning.spawn(app::currency::run_refresh_loop(undoing.pool.clone(), settings.wallets));
    let (pool, reads) = (undoing.pool.clone(), app.reads.on(undoing.pool.clone()));
    pruning.spawn(ops::verifier::run_verifier_loop(pool, reads, settings.verify.overdue_bound()));
    pruning.spawn(ops::chain::run_chain_loop(undoing.pool.clone()));
    pruning.spawn(ops::find::run_summary_loop(undoing.pool.clone()));
    let works = worker::work(&undoing, &settings, &MqTag::ALL, &app.metrics, until(stopped.clone()));
    let serves = http::serve(app.clone(), web::pages(console::pages(&app)), listener, until(stopped));
    let signal = async {
        app::stop_signal().await;
        stop.send_replace(true);
    };
    let (worked, (), ()) = tokio::join!(works, serves, signal);
    app::close_traces(&saga).await;
    worked?;
    Ok(())
}
