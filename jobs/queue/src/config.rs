//! The settings of a worker.

use crate::{Metrics, QueueConfig};
use std::time::Duration;

/// The most attempts one worker runs at a time.
const CONCURRENCY_MAX: usize = 10_000;
/// The most jobs one statement completes or claims.
const BATCH_MAX: usize = 1_000;
/// The shortest lease; renewing it takes a third of it.
const LEASE_MIN: Duration = Duration::from_millis(100);
/// The shortest time between two polls.
const POLL_MIN: Duration = Duration::from_millis(10);

/// How a worker works.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The queue that it works for.
    pub queue: QueueConfig,
    /// What people call it.
    pub name: String,
    /// What the queue calls it; unique for each start, so two workers of one name are never
    /// confused.
    pub id: String,
    /// The machine it runs on, for the registry.
    pub host: String,
    /// The build it runs, for the registry.
    pub build: String,
    /// The tags it works for.
    pub tags: Vec<String>,
    /// How many attempts it runs at a time; at least 1.
    pub concurrency: usize,
    /// How many jobs one statement completes, and claims, at most; 1 to 1,000. While attempts are
    /// shorter than a statement, up to twice as many are claimed beyond the free slots.
    pub batch: usize,
    /// How long a lease lasts. It is renewed every third of it; a crashed worker's jobs wait this
    /// long.
    pub lease: Duration,
    /// How often it looks for due jobs if nothing wakes it.
    pub poll: Duration,
    /// How long running attempts may go on once the worker is to stop.
    pub grace: Duration,
    /// How long one attempt may take; then it is aborted and has failed.
    pub attempt_deadline: Duration,
    /// Whether it listens for immediate jobs, on one more connection.
    pub listen: bool,
    /// Whether it reaches the database through a pooler in transaction mode, where nothing stays on
    /// a connection from one transaction to the next. It then polls, whatever `listen` says, and
    /// asks in transactions of four round trips.
    pub pooled: bool,
    /// How long ended jobs are kept, in whole days' partitions.
    pub retention: Duration,
    /// Where it counts.
    pub metrics: Metrics,
    /// Called with database errors of maintenance, which reach no caller otherwise.
    pub on_error: fn(&sqlx::Error),
}

impl WorkerConfig {
    /// A worker of this name for these tags: 8 slots, batches of 100, leases of 15 s, polls every
    /// 500 ms, a grace of 10 s, attempts of a minute, ended jobs kept for 30 days.
    pub fn new(name: &str, tags: &[&str]) -> Self {
        Self {
            queue: QueueConfig::default(),
            name: name.to_owned(),
            id: format!("{name}-{}", start_id()),
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

/// What tells one start of a worker from all others: 50 random bits. Short, because each running
/// job's row carries it beside the job's own bytes.
fn start_id() -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    (0..10).map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())])).collect()
}

/// These settings, each within its bounds.
pub(crate) fn bounded(mut config: WorkerConfig) -> WorkerConfig {
    config.concurrency = config.concurrency.clamp(1, CONCURRENCY_MAX);
    config.batch = config.batch.clamp(1, BATCH_MAX);
    config.lease = config.lease.max(LEASE_MIN);
    config.poll = config.poll.max(POLL_MIN);
    config
}
