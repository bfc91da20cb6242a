//! What is left to do after a database was restored to a moment of the past: the invariants, what gives
//! rights that may have ended since, and which acknowledged changes are lost.
//!
//! A restored database cannot know what came after. The logs of the processes do: each line of a request
//! that changed something names the change ([`ChangeId`](crate::idempotency::ChangeId)), and the keys and
//! histories of the database show whether it is there.

mod again;
mod changes;
mod log;
mod voids;

pub use again::{Again, Todo};
pub use log::{LogError, LoggedChange, RestoreLog};
pub use voids::{LivingRights, void};

use super::undos;
use crate::{
    domain::RiderId,
    security,
    settings::{Secrets, Settings},
    verify::{self, Scope, Verdict},
};
use chrono::{DateTime, Duration, Utc};
use secrecy::ExposeSecret;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use std::collections::HashSet;

/// How much older than the moment a line of the log may be and still be compared with the database: more
/// than the clocks of processes differ, and than a request takes.
const MARGIN: Duration = Duration::hours(1);

/// An acknowledged change that the restored database does not have.
#[derive(Clone, Debug, Serialize)]
pub struct LostChange {
    /// What the log says of it.
    #[serde(flatten)]
    pub logged: LoggedChange,
    /// Whose it was; none if the account is not in the database, or the line names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rider_id: Option<RiderId>,
    /// Whether the database shows that it is lost. Otherwise only its time does: the request had no key.
    pub certain: bool,
}

/// Jobs of a tag that run as soon as a worker starts.
#[derive(Clone, Debug, Serialize)]
pub struct DueJobs {
    /// The tag.
    pub tag: String,
    /// How many.
    pub jobs: i64,
}

/// What is left to do.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The newest change that the database shows; the moment of the restore is this or later.
    #[serde(serialize_with = "crate::domain::json::some_micros")]
    pub newest: Option<DateTime<Utc>>,
    /// Every invariant.
    pub invariants: Vec<Verdict>,
    /// What gives rights that may have ended after the moment.
    pub rights: LivingRights,
    /// What was done to accounts after the moment, and is undone now.
    pub again: Vec<Again>,
    /// What was acknowledged and is lost, the oldest first.
    pub lost: Vec<LostChange>,
    /// Jobs that are due.
    pub due: Vec<DueJobs>,
    /// Lines of the log that are no whole JSON; the last line of a killed process is one.
    pub unreadable_lines: u64,
}

impl Report {
    /// Whether every invariant holds.
    pub fn holds(&self) -> bool {
        self.invariants.iter().all(|verdict| verdict.holds)
    }

    /// Whether an operator has something to do.
    pub fn has_todo(&self) -> bool {
        self.rights.any() || !self.again.is_empty() || !self.lost.is_empty()
    }
}

/// The time of the newest change that the database shows, by the database's clock.
///
/// # Errors
/// The database's.
pub async fn newest_change(pool: &PgPool) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    newest(&mut *verify::begin(pool).await?).await
}

/// What [`void`] writes is left out, so that a check after it has the same moment.
async fn newest(conn: &mut PgConnection) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select greatest(pg_last_xact_replay_timestamp(), (select max(started_at) from idempotency),
                           (select max(at) from order_event), (select max(created_at) from orders),
                           (select max(paid_at) from orders), (select max(created_at) from session)) as newest"#
    )
    .fetch_one(conn)
    .await
}

/// From when on the lines of logs count, if the moment was `moment`, or is not known.
pub fn logs_from(newest: Option<DateTime<Utc>>, moment: Option<DateTime<Utc>>) -> DateTime<Utc> {
    newest.into_iter().chain(moment).min().map_or(DateTime::UNIX_EPOCH, |at| at - MARGIN)
}

/// Compares the database with the logs, in one read-only snapshot. Of `log`, the changes that are there
/// are removed. Without a `moment`, that is the newest change of the database.
///
/// # Errors
/// The database's.
pub async fn check(
    pool: &PgPool,
    settings: &Settings,
    moment: Option<DateTime<Utc>>,
    mut log: RestoreLog,
) -> Result<Report, sqlx::Error> {
    let mut tx = verify::begin(pool).await?;
    let newest = newest(&mut tx).await?;
    let moment = moment.or(newest);
    let (bound, standstill) = (settings.verify.overdue_bound(), standstill(&mut tx, moment).await?);
    let mut invariants = verify::verify_after(&mut tx, Scope::Whole, bound, standstill).await?;
    for verdict in invariants.iter_mut().filter(|verdict| verdict.lists_undos()) {
        verdict.debts = undos::overdue(&mut tx, bound + standstill, verify::MAX_SAMPLES).await?;
    }
    let rights = voids::living(&mut tx, &settings.secrets, moment).await?;
    changes::remove_present(&mut tx, &mut log, settings.idempotency.retention_hours).await?;
    let accounts = again::accounts(&mut tx, &digest_keys(&settings.secrets), &wanted(&log)).await?;
    let again = again::undone(&log, &accounts, moment);
    let due = due(&mut tx).await?;
    let unreadable_lines = log.unreadable_lines;
    let rider_of = |digest: &Option<String>| accounts.get(digest.as_ref()?).map(|found| found.rider);
    let mut lost: Vec<LostChange> = log
        .into_lost(moment)
        .map(|(logged, certain)| LostChange { rider_id: rider_of(&logged.account), logged, certain })
        .collect();
    lost.sort_by_key(|change| change.logged.at);
    Ok(Report { newest, invariants, rights, again, lost, due, unreadable_lines })
}

/// How long ago the moment was: for as long, nothing ran on this database.
async fn standstill(
    conn: &mut PgConnection,
    moment: Option<DateTime<Utc>>,
) -> Result<std::time::Duration, sqlx::Error> {
    let now = sqlx::query_scalar!(r#"select now() as "now!""#).fetch_one(conn).await?;
    Ok(moment.and_then(|moment| (now - moment).to_std().ok()).unwrap_or_default())
}

/// The keys of the digests of accounts, of every token key that the settings name.
fn digest_keys(secrets: &Secrets) -> Vec<[u8; 32]> {
    let keys = secrets.token_keys();
    keys.all().map(|key| security::digest_key(key.expose_secret().as_bytes())).collect()
}

/// The digests of accounts that the report needs.
fn wanted(log: &RestoreLog) -> HashSet<String> {
    let changes = log.named.values().chain(log.unnamed.values()).filter_map(|change| change.account.clone());
    changes.chain(log.events.keys().map(|(account, _)| account.clone())).collect()
}

async fn due(conn: &mut PgConnection) -> Result<Vec<DueJobs>, sqlx::Error> {
    sqlx::query_as!(
        DueJobs,
        r#"select tag, count(*) as "jobs!" from queue.job where run_at <= now() group by tag order by tag"#
    )
    .fetch_all(conn)
    .await
}
