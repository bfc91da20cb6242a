//! What one worker process at a time does for all: rows go that nothing can need any more. Whoever is first when it is
//! due does it, in batches, each a short transaction of its own.

use crate::{
    accounts::sessions,
    idempotency,
    payment::authorization,
    saga::barrier,
    settings::{Idempotency, Retention, Settings},
    storage::is_outage,
};
use farebox_jobs::queue;
use sqlx::PgPool;
use std::time::Duration;

/// Its name in `queue.duty`.
const DUTY: &str = "farebox_prune";
/// How often a worker asks whether pruning is due.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// Batches of one kind in a row at the most: with the default settings 10 million rows each five minutes, which is more
/// than bookings can leave behind. What is left waits for the next turn.
const MOST_BATCHES: u32 = 10_000;

/// What is kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Pruning {
    /// Answers kept under keys.
    pub idempotency: Idempotency,
    /// Barriers, and how pruning goes.
    pub retention: Retention,
}

impl From<&Settings> for Pruning {
    fn from(settings: &Settings) -> Self {
        Self { idempotency: settings.idempotency, retention: settings.retention }
    }
}

/// How many rows went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Kept answers.
    pub answers: u64,
    /// Barriers of flows that ended.
    pub barriers: u64,
    /// Sessions past their end.
    pub sessions: u64,
    /// Payment authorizations past their end.
    pub authorizations: u64,
}

/// Prunes when it is due, for ever.
pub async fn keep(pool: PgPool, pruning: Pruning) {
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        match if_due(&pool, pruning).await {
            Ok(Some(pruned)) if pruned != Pruned::default() => tracing::info!(?pruned, "old rows pruned"),
            Ok(_) => {}
            Err(error) => {
                let outage = is_outage(&error);
                tracing::warn!(%error, outage, "pruning put off");
            }
        }
    }
}

/// Prunes if it is due and nobody else does it.
///
/// # Errors
/// The database's.
pub async fn if_due(pool: &PgPool, pruning: Pruning) -> Result<Option<Pruned>, sqlx::Error> {
    let every = Duration::from_secs(pruning.retention.every_secs.into());
    if queue::take_duty(pool, DUTY, every).await? { prune(pool, pruning).await.map(Some) } else { Ok(None) }
}

async fn prune(pool: &PgPool, pruning: Pruning) -> Result<Pruned, sqlx::Error> {
    let batch = pruning.retention.batch.max(1);
    // A key whose request still runs is never an old one.
    let hours = i32::try_from(pruning.idempotency.retention_hours).unwrap_or(i32::MAX).max(1);
    let days = i32::try_from(pruning.retention.barrier_days).unwrap_or(i32::MAX);
    let mut pruned = Pruned::default();
    for _ in 0..MOST_BATCHES {
        let answers = idempotency::prune(pool, hours, batch).await?;
        let barriers = barrier::prune(pool, days, batch).await?;
        let sessions = sessions::prune(pool, batch).await?;
        let authorizations = authorization::prune(pool, batch).await?;
        pruned.answers += answers;
        pruned.barriers += barriers;
        pruned.sessions += sessions;
        pruned.authorizations += authorizations;
        if [answers, barriers, sessions, authorizations].into_iter().all(|rows| rows < u64::from(batch)) {
            break;
        }
    }
    Ok(pruned)
}
