//! Deletes old rows. One worker process at a time does it for all, in batches, each a short
//! transaction of its own.

use crate::{
    accounts::sessions,
    idempotency,
    ops::{audit, networks, people},
    payment::authorization,
    saga::barrier,
    settings::{Idempotency, Retention, Settings, Webhooks},
    storage::note_outage,
    webhooks,
};
use farebox_jobs::queue;
use sqlx::PgPool;
use std::time::Duration;
use uuid::Uuid;

/// The name of its lock in the queue's table of maintenance tasks.
const TASK: &str = "farebox_prune";
/// The same, of the search for accounts that nobody uses.
const FORGET: &str = "farebox_forget_idle";
/// How often all accounts are looked at.
const FORGET_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
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
    /// Events of webhooks.
    pub webhooks: Webhooks,
}

impl From<&Settings> for Pruning {
    fn from(settings: &Settings) -> Self {
        Self { idempotency: settings.idempotency, retention: settings.retention, webhooks: settings.webhooks }
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
    /// Rows of the audit log that lost what was written in them.
    pub audit_texts: u64,
    /// Accounts that nobody used, forgotten.
    pub accounts: u64,
    /// Networks that were uploaded a day ago.
    pub uploads: u64,
    /// Deliveries of webhooks whose time was over, given up.
    pub given_up: u64,
    /// Events of webhooks, with their deliveries.
    pub events: u64,
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
        let mut pruned = prune(pool, pruning).await?;
        pruned.audit_texts = erase_audit_texts(pool, pruning.retention).await?;
        pruned.accounts = forget_idle_riders(pool, pruning.retention).await?;
        pruned.uploads = networks::uploads::prune(pool).await?;
        Ok(Some(pruned))
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
        let given_up = webhooks::give_up(pool, batch).await?;
        let events = webhooks::prune(pool, pruning.webhooks.retention_days, batch).await?;
        pruned.answers += answers;
        pruned.barriers += barriers;
        pruned.sessions += sessions;
        pruned.authorizations += authorizations;
        pruned.given_up += given_up;
        pruned.events += events;
        let rows = [answers, barriers, sessions, authorizations, given_up, events];
        if rows.into_iter().all(|rows| rows < u64::from(batch)) {
            break;
        }
    }
    Ok(pruned)
}

async fn erase_audit_texts(pool: &PgPool, retention: Retention) -> Result<u64, sqlx::Error> {
    let mut erased = 0;
    if retention.audit_text_days > 0 {
        for _ in 0..MAX_BATCHES {
            let rows = audit::erase_texts(pool, retention.audit_text_days, retention.batch.max(1)).await?;
            erased += u64::from(rows);
            if rows < retention.batch.max(1) {
                break;
            }
        }
    }
    Ok(erased)
}

/// Looks at all accounts, once a day.
async fn forget_idle_riders(pool: &PgPool, retention: Retention) -> Result<u64, sqlx::Error> {
    let mut forgotten = 0;
    if retention.idle_account_days > 0 && queue::acquire_task(pool, FORGET, FORGET_EVERY).await? {
        let mut after = Some(Uuid::nil());
        for _ in 0..MAX_BATCHES {
            let Some(reached) = after else { break };
            let page =
                people::forget_idle(pool, reached, retention.idle_account_days, retention.batch.max(1))
                    .await?;
            forgotten += page.forgotten;
            after = page.reached;
        }
    }
    Ok(forgotten)
}
