//! Running a worker: building it, and stopping it in order.

use super::{
    Delivery, JobError, Metrics, Outcome, RetryPolicy, WorkerError, backend::PgBackend, driver::Driver,
    shelf::Shelf, supervise::Supervise, upkeep, verdict::Policies,
};
use apalis::prelude::WorkerBuilder;
use apalis_core::worker::context::WorkerContext;
use sqlx::PgPool;
use std::{panic::resume_unwind, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::timeout,
};

/// The most attempts one worker runs at a time.
const CONCURRENCY_MAX: usize = 10_000;
/// The most jobs one statement completes or claims.
const BATCH_MAX: usize = 1_000;
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
    /// What people call it.
    pub name: String,
    /// What the queue calls it; unique for each start, so two workers of one name are never confused.
    pub id: String,
    /// The machine it runs on, for the registry.
    pub host: String,
    /// The build it runs, for the registry.
    pub build: String,
    /// The tags it works for.
    pub tags: Vec<String>,
    /// How many attempts it runs at a time; at least 1.
    pub concurrency: usize,
    /// How many jobs one statement completes, and claims, at the most; 1 to 1,000. While attempts are shorter than a
    /// statement, so many may be claimed beyond the free slots.
    pub batch: usize,
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
    /// Whether it reaches the database through a pooler in transaction mode, where nothing stays on a connection from
    /// one transaction to the next. It then polls, whatever `listen` says, and asks in transactions of four round trips.
    pub pooled: bool,
    /// How long ended jobs are kept, in whole days' partitions.
    pub retention: Duration,
    /// Where it counts.
    pub metrics: Metrics,
    /// Is told the database's errors that nobody else sees, so that the pool's owner can tell what they mean for it.
    pub on_error: fn(&sqlx::Error),
}

impl WorkerConfig {
    /// A worker of this name for these tags: 8 slots, batches of 100, leases of 15 s, polls every 500 ms, a grace of 10 s,
    /// attempts of a minute, ended jobs kept for 30 days.
    pub fn new(name: &str, tags: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            id: format!("{name}-{}", start()),
            host: String::new(),
            build: String::new(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            concurrency: 8,
            batch: 100,
            lease: Duration::from_secs(15),
            poll: Duration::from_millis(500),
            grace: Duration::from_secs(10),
            attempt_deadline: Duration::from_secs(60),
            listen: true,
            pooled: false,
            retention: Duration::from_secs(30 * 24 * 3_600),
            metrics: Metrics::default(),
            on_error: |_| {},
        }
    }
}

/// What tells one start of a worker from all others: 50 random bits. Short, because each running job's row carries it
/// beside the job's own bytes.
fn start() -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    (0..10).map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())])).collect()
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
/// Apart from the pool's, which are the handlers', it uses one connection, a second while much is to be done, and one more if it
/// listens.
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
    let mut upkeep = JoinSet::new();
    upkeep.spawn(upkeep::keep(pool.clone(), config.clone()));
    let (phase, _) = watch::channel(Phase::Working);
    let (phase, grace) = (Arc::new(phase), config.grace);
    let (drained_tx, drained) = watch::channel(false);
    let backend = backend(&pool, config, Arc::new(retry), &phase, drained_tx);
    let worker = WorkerBuilder::new(&context).backend(backend).build(handler);
    // On the runtime's own threads, beside the attempts and the driver: the thread that waits here, in `block_on` as a
    // rule, would have to be woken for each job.
    let mut running = JoinSet::new();
    running.spawn(worker.run());
    tokio::select! {
        biased;
        ended = running.join_next() => return end(ended),
        () = async { shutdown.await; drain(&phase, drained, grace).await } => context.stop()?,
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

fn bounded(mut config: WorkerConfig) -> WorkerConfig {
    config.concurrency = config.concurrency.clamp(1, CONCURRENCY_MAX);
    config.batch = config.batch.clamp(1, BATCH_MAX);
    config.lease = config.lease.max(LEASE_MIN);
    config.poll = config.poll.max(POLL_MIN);
    config
}

/// The channel holds as many as can run at a time, so it is never full.
fn backend(
    pool: &PgPool,
    config: WorkerConfig,
    retry: Arc<Policies>,
    phase: &Arc<watch::Sender<Phase>>,
    drained: watch::Sender<bool>,
) -> PgBackend {
    let (slots, shelf) = (config.concurrency, Arc::new(Shelf::default()));
    let (reports_tx, reports) = mpsc::channel(slots);
    let layer = Supervise {
        reports: reports_tx,
        phase: phase.subscribe(),
        deadline: config.attempt_deadline,
        worker: config.id.clone(),
    };
    let options = (*pool.connect_options()).clone();
    let driver = Driver::new(options, config, retry, Arc::clone(&shelf), reports, phase.subscribe(), drained);
    PgBackend::new(driver, shelf, Arc::clone(phase), layer, slots)
}

/// Lets what runs end, for `grace`; aborts the rest.
async fn drain(phase: &watch::Sender<Phase>, mut drained: watch::Receiver<bool>, grace: Duration) {
    phase.send_replace(Phase::Draining);
    if timeout(grace, drained.wait_for(|done| *done)).await.is_err() {
        phase.send_replace(Phase::Aborting);
        let _ = timeout(ABORT_WAIT, drained.wait_for(|done| *done)).await;
    }
}
