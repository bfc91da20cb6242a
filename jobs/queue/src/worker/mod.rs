//! Running a worker: building it, and stopping it in order.

mod backend;
mod supervisor;

use crate::{
    Delivery, JobError, Outcome, RetryPolicy, WorkerConfig, WorkerError,
    config::bounded,
    driver::{Driver, DriverParts},
    maintenance::run_maintenance,
    prefetch::PrefetchBuffer,
    retry_policy::RetryPolicies,
    state::WorkerState,
};
use apalis::prelude::WorkerBuilder;
use apalis_core::worker::context::WorkerContext;
use backend::PgBackend;
use sqlx::PgPool;
use std::{panic::resume_unwind, sync::Arc, time::Duration};
use supervisor::Supervise;
use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::timeout,
};

/// How long aborted attempts and their completions may take once the grace is over.
const ABORT_WAIT: Duration = Duration::from_secs(5);
/// How long the worker may take to close after that.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// Works until `shutdown`, then stops gracefully: no more claims, unstarted jobs are released
/// without costing an attempt, running ones have `grace` to end. What is then aborted counts as a
/// failed attempt and is due again by the `retry` policy of its tag. Takes at most `grace` and ten
/// seconds to stop.
///
/// Apart from the pool's, which are the handlers', it uses one connection, a second while much is
/// to be done, and one more if it listens.
///
/// # Errors
/// apalis's own, and the end of the driver, which no database error brings about.
pub async fn run<H, F>(
    pool: PgPool,
    config: WorkerConfig,
    retry: impl Fn(&str) -> RetryPolicy + Send + Sync + 'static,
    handler: H,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), WorkerError>
where
    H: Fn(Delivery) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Outcome, JobError>> + Send + 'static,
{
    let config = bounded(config);
    let context = WorkerContext::new(&config.id);
    let mut maintenance = JoinSet::new();
    maintenance.spawn(run_maintenance(pool.clone(), config.clone()));
    let (state, _) = watch::channel(WorkerState::Working);
    let (state, grace) = (Arc::new(state), config.grace);
    let (drained_tx, drained) = watch::channel(false);
    let backend = backend(&pool, config, Arc::new(retry), &state, drained_tx);
    let worker = WorkerBuilder::new(&context).backend(backend).build(handler);
    // On the runtime's own threads, beside the attempts and the driver: the thread that waits here,
    // in `block_on` as a rule, would have to be woken for each job.
    let mut running = JoinSet::new();
    running.spawn(worker.run());
    tokio::select! {
        biased;
        ended = running.join_next() => return end(ended),
        () = async { shutdown.await; drain(&state, drained, grace).await } => context.stop()?,
    }
    timeout(CLOSE_WAIT, running.join_next()).await.map_or_else(
        |_| {
            tracing::warn!(worker = context.name(), "stopped without closing; leases will run out");
            Ok(())
        },
        end,
    )
}

/// What became of apalis's worker. A panic of it is passed on.
fn end(ended: Option<Result<Result<(), WorkerError>, JoinError>>) -> Result<(), WorkerError> {
    match ended {
        Some(Ok(ended)) => ended,
        Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
        Some(Err(_)) | None => Ok(()),
    }
}

/// The channel holds as many as can run at a time, so it is never full.
fn backend(
    pool: &PgPool,
    config: WorkerConfig,
    retry: Arc<RetryPolicies>,
    state: &Arc<watch::Sender<WorkerState>>,
    drained: watch::Sender<bool>,
) -> PgBackend {
    let (slots, prefetch) = (config.concurrency, Arc::new(PrefetchBuffer::default()));
    let (reports_tx, reports) = mpsc::channel(slots);
    let layer = Supervise {
        reports: reports_tx,
        state: state.subscribe(),
        deadline: config.attempt_deadline,
        worker: config.id.clone(),
    };
    let options = (*pool.connect_options()).clone();
    let parts = DriverParts {
        options,
        config,
        retry,
        prefetch: Arc::clone(&prefetch),
        reports,
        state: state.subscribe(),
        drained,
    };
    let driver = Driver::new(parts);
    PgBackend::new(driver, prefetch, Arc::clone(state), layer, slots)
}

/// Lets what runs end, for `grace`; aborts the rest.
async fn drain(state: &watch::Sender<WorkerState>, mut drained: watch::Receiver<bool>, grace: Duration) {
    state.send_replace(WorkerState::Draining);
    if timeout(grace, drained.wait_for(|done| *done)).await.is_err() {
        state.send_replace(WorkerState::Aborting);
        let _ = timeout(ABORT_WAIT, drained.wait_for(|done| *done)).await;
    }
}
