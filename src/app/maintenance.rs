//! Deletes old rows. One worker process at a time does it for all, in batches, each a short
//! transaction of its own.

use crate::{
    accounts::sessions,
    idempotency,
    payment::authorization,
    saga::barrier,
    settings::{Idempotency, Retention, Settings},
    storage::note_outage,
};
use farebox_jobs::queue;
use sqlx::PgPool;
use std::time::Duration;

/// The name of its lock in the queue's table of maintenance tasks.
const TASK: &str = "farebox_prune";
/// How often a worker checks whether deleting is due.
const POLL: Duration = Duration::from_secs(5);
/// Most batches of one kind in one run: more than bookings can leave behind. The rest waits for the
/// next run.
const MAX_BATCHES: u32 = 10_000;

/// How long rows are stored.
#[derive(Clone, Copy, Debug)]
pub struct Pruning {
    /// Stored responses.
    pub idempotency: Idempotency,
    /// Barriers, and how rows are deleted.
    pub retention: Retention,
}

impl From<&Settings> for Pruning {
    fn from(settings: &Settings) -> Self {
        Self { idempotency: settings.idempotency, retention: settings.retention }
    }
}

/// How many rows were deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Stored responses.
    pub answers: u64,
    /// Barriers of finished sagas.
    pub barriers: u64,
    /// Expired sessions.
    pub sessions: u64,
    /// Expired payment authorizations.
    pub authorizations: u64,
}

/// Deletes old rows when it is due, for as long as the process lives.
pub async fn run_prune_loop(pool: PgPool, pruning: Pruning) {
    loop {
        tokio::time::sleep(POLL).await;
        match if_due(&pool, pruning).await {
            Ok(Some(pruned)) if pruned != Pruned::default() => tracing::info!(?pruned, "old rows deleted"),
            Ok(_) => {}
            Err(error) => {
                let outage = note_outage(&error);
                tracing::warn!(%error, outage, "deleting old rows failed; retrying");
            }
        }
    }
}

/// Deletes old rows if it is due and no other worker does it.
///
/// # Errors
/// The database's.
pub async fn if_due(pool: &PgPool, pruning: Pruning) -> Result<Option<Pruned>, sqlx::Error> {
    let every = Duration::from_secs(pruning.retention.every_secs.into());
    if queue::acquire_task(pool, TASK, every).await? {
        prune(pool, pruning).await.map(Some)
    } else {
        Ok(None)
    }
}

async fn prune(pool: &PgPool, pruning: Pruning) -> Result<Pruned, sqlx::Error> {
    let batch = pruning.retention.batch.max(1);
    // A key whose request still runs is never an old one.
    let hours = i32::try_from(pruning.idempotency.retention_hours).unwrap_or(i32::MAX).max(1);
    let days = i32::try_from(pruning.retention.barrier_days).unwrap_or(i32::MAX);
    let mut pruned = Pruned::default();
    for _ in 0..MAX_BATCHES {
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
