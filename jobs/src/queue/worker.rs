//! Running a worker: building it, and stopping it in order.

use super::{
    Delivery, JobError, Outcome, RetryPolicy, WorkerError, backend::PgBackend, driver::Driver,
    supervise::Supervise, verdict::Policies,
};
use apalis::prelude::WorkerBuilder;
use apalis_core::worker::context::WorkerContext;
use sqlx::PgPool;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use uuid::Uuid;

/// The most attempts one worker runs at a time.
const CONCURRENCY_MAX: usize = 10_000;
/// The shortest lease; renewing it takes a third of it.
const LEASE_MIN: Duration = Duration::from_millis(100);
/// The shortest time between two polls.
const POLL_MIN: Duration = Duration::from_millis(10);
/// How long aborted attempts and their acks may take once the grace is over.
const ABORT_WAIT: Duration = Duration::from_secs(5);
/// How long the worker may take to close after that.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// How a worker works.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The base of its name; each start adds an id of its own, so two workers of one base are never confused.
    pub name: String,
    /// The tags it works for.
    pub tags: Vec<String>,
    /// How many attempts it runs at a time; at least 1.
    pub concurrency: usize,
    /// How long a lease lasts. It is renewed every third of it; a crashed worker's jobs wait this long.
    pub lease: Duration,
    /// How often it looks for due jobs if nothing wakes it.
    pub poll: Duration,
    /// How long running attempts may go on once the worker is to stop.
    pub grace: Duration,
    /// How long one attempt may take; then it is aborted and has failed.
    pub attempt_deadline: Duration,
    /// Whether it listens for immediate jobs, on one more connection.
    pub listen: bool,
}

/// A worker's life, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Claims and runs.
    Working,
    /// Claims no more; what is not started is released; leases and acks go on.
    Draining,
    /// The grace is over: what still runs is aborted, as a failed attempt.
    Aborting,
    /// Nothing runs; the driver writes down the rest and ends.
    Closing,
}

/// Works until `shutdown`, then stops gracefully: no more claims, unstarted jobs are released without costing an
/// attempt, running ones have `grace` to end. What is then aborted counts as a failed attempt and is due again by
/// the `retry` policy of its tag. Takes at most `grace` and ten seconds to stop.
///
/// Apart from the pool's, which are the handlers', it uses one connection, or two if it listens.
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
    let context = WorkerContext::new(&config.name);
    let (phase, _) = watch::channel(Phase::Working);
    let (phase, grace) = (Arc::new(phase), config.grace);
    let (drained_tx, drained) = watch::channel(false);
    let backend = backend(&pool, config, Arc::new(retry), &phase, drained_tx);
    let worker = WorkerBuilder::new(&context).backend(backend).build(handler);
    let mut running = pin!(worker.run());
    tokio::select! {
        biased;
        ended = &mut running => return ended,
        () = async { shutdown.await; drain(&phase, drained, grace).await } => context.stop()?,
    }
    timeout(CLOSE_WAIT, running).await.unwrap_or_else(|_| {
        tracing::warn!(worker = context.name(), "stopped without closing; leases will run out");
        Ok(())
    })
}

fn bounded(mut config: WorkerConfig) -> WorkerConfig {
    config.name = format!("{}-{}", config.name, Uuid::now_v7());
    config.concurrency = config.concurrency.clamp(1, CONCURRENCY_MAX);
    config.lease = config.lease.max(LEASE_MIN);
    config.poll = config.poll.max(POLL_MIN);
    config
}

/// Both channels hold as many as can be held at a time, so neither is ever full.
fn backend(
    pool: &PgPool,
    config: WorkerConfig,
    retry: Arc<Policies>,
    phase: &Arc<watch::Sender<Phase>>,
    drained: watch::Sender<bool>,
) -> PgBackend {
    let (deliveries_tx, deliveries) = mpsc::channel(config.concurrency);
    let (reports_tx, reports) = mpsc::channel(config.concurrency);
    let layer = Supervise {
        reports: reports_tx,
        phase: phase.subscribe(),
        deadline: config.attempt_deadline,
        worker: config.name.clone(),
    };
    let options = (*pool.connect_options()).clone();
    let driver = Driver::new(options, config, retry, deliveries_tx, reports, phase.subscribe(), drained);
    PgBackend::new(driver, deliveries, Arc::clone(phase), layer)
}

/// Lets what runs end, for `grace`; aborts the rest.
async fn drain(phase: &watch::Sender<Phase>, mut drained: watch::Receiver<bool>, grace: Duration) {
    phase.send_replace(Phase::Draining);
    if timeout(grace, drained.wait_for(|done| *done)).await.is_err() {
        phase.send_replace(Phase::Aborting);
        let _ = timeout(ABORT_WAIT, drained.wait_for(|done| *done)).await;
    }
}
