//! The content of the home page: the health level, jobs that are stuck, and the last hour.

use super::{undos::UndoBacklog, verifier::StoredVerdict};
use crate::{domain::JobState, verify};
use farebox_jobs::{
    MqTag,
    queue::{
        self,
        admin::{self, JobFilter, JobTable, JobView, KeyFilter},
    },
};
use sqlx::PgPool;

/// For how long a job may be due before it is late, seconds.
const LATE_SECS: f64 = 5.0;
/// Jobs of a list of the home page.
const SHOWN: i64 = 10;

/// How healthy the system is, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthLevel {
    /// Every invariant holds and nothing is owed.
    Safe,
    /// Something is owed and jobs will do it, or the invariants were not checked yet.
    Working,
    /// Something is owed that no job will do, or not in time; or the invariants are no longer
    /// checked.
    NeedsYou,
    /// Seats, money or their books are wrong.
    Corrupt,
}

/// The health level, from the last verdict, the undos that are due, how many jobs of any tag have
/// given up (`dead`), and how many failed and will be retried.
pub fn health_level(
    verdict: Option<&StoredVerdict>,
    backlog: &UndoBacklog,
    dead: i64,
    retrying: i64,
) -> HealthLevel {
    let broken = verdict.into_iter().flat_map(StoredVerdict::broken).map(|one| {
        // An invariant that only another build knows counts as the worst.
        let level = verify::breach(&one.name, one.count).map_or(verify::Level::Corrupt, |(_, level)| level);
        if level == verify::Level::Corrupt { HealthLevel::Corrupt } else { HealthLevel::NeedsYou }
    });
    let needs_you =
        dead > 0 || backlog.dead > 0 || backlog.overdue > 0 || verdict.is_some_and(StoredVerdict::is_old);
    let working = !backlog.is_empty() || retrying > 0 || verdict.is_none();
    let now = match (needs_you, working) {
        (true, _) => HealthLevel::NeedsYou,
        (false, true) => HealthLevel::Working,
        (false, false) => HealthLevel::Safe,
    };
    broken.chain([now]).max().unwrap_or(now)
}

/// A job that should have run.
#[derive(Clone, Debug)]
pub struct LateJob {
    /// The job.
    pub job: JobView,
    /// For how long it has been due, seconds.
    pub late_secs: f64,
}

/// The newest jobs that failed and wait for their next attempt.
///
/// # Errors
/// The database's.
pub async fn retrying(pool: &PgPool) -> Result<Vec<JobView>, sqlx::Error> {
    let state = Some(JobState::Retrying.as_str().to_owned());
    admin::list(pool, &JobFilter { tables: &[JobTable::Live], state, ..JobFilter::default() }, SHOWN).await
}

/// The newest dead letters.
///
/// # Errors
/// The database's.
pub async fn dead(pool: &PgPool) -> Result<Vec<JobView>, sqlx::Error> {
    admin::list(pool, &JobFilter { tables: &[JobTable::Dead], ..JobFilter::default() }, SHOWN).await
}

/// The jobs that have been due longest and do not run, except those that failed.
///
/// # Errors
/// The database's.
pub async fn late(pool: &PgPool) -> Result<Vec<LateJob>, sqlx::Error> {
    let tags = MqTag::ALL.map(|tag| tag.wire().to_owned());
    let rows = sqlx::query!(
        r#"select j.id, extract(epoch from now() - j.run_at)::float8 as "late_secs!"
           from unnest($1::text[]) t cross join generate_series(0, 2) p cross join lateral (
               select id, run_at from queue.job
               where tag = t and priority = p and run_at < now() - make_interval(secs => $2)
                 and (lease_until is null or lease_until < now()) and (attempt <= snoozed_attempt or failures = '[]')
               order by run_at limit $3) j
           order by j.run_at limit $3"#,
        &tags,
        LATE_SECS,
        SHOWN
    )
    .fetch_all(pool)
    .await?;
    let ids = rows.iter().map(|row| row.id).collect();
    let key_filter = Some(KeyFilter { keys: Vec::new(), ids });
    let filter =
        JobFilter { tables: &[JobTable::Live], tags: tags.to_vec(), key_filter, ..JobFilter::default() };
    let jobs = admin::list(pool, &filter, SHOWN).await?;
    // In the order of lateness, without the jobs that have ended meanwhile.
    let late = rows.into_iter().filter_map(|row| {
        let job = jobs.iter().find(|job| job.id == row.id)?.clone();
        Some(LateJob { job, late_secs: row.late_secs })
    });
    Ok(late.collect())
}

/// How many jobs are late, except those that failed, counted up to [`COUNT_MAX`](admin::COUNT_MAX).
///
/// # Errors
/// The database's.
pub async fn count_late(pool: &PgPool) -> Result<i64, sqlx::Error> {
    let tags = MqTag::ALL.map(|tag| tag.wire().to_owned());
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from (
               select from unnest($1::text[]) t cross join generate_series(0, 2) p cross join lateral (
                   select from queue.job
                   where tag = t and priority = p and run_at < now() - make_interval(secs => $2)
                     and (lease_until is null or lease_until < now()) and (attempt <= snoozed_attempt or failures = '[]')
                   order by run_at limit $3) j
               limit $3) late"#,
        &tags,
        LATE_SECS,
        admin::COUNT_MAX
    )
    .fetch_one(pool)
    .await
}

/// The bucket's upper bound, seconds, below which this share of the waits lies; none without waits.
pub fn percentile(buckets: &[i64], share: f64) -> Option<f64> {
    let all: i64 = buckets.iter().sum();
    if all == 0 {
        return None;
    }
    let wanted = (all as f64 * share).ceil() as i64;
    let sums = buckets.iter().scan(0, |sum, count| {
        *sum += count;
        Some(*sum)
    });
    let at = sums.take_while(|sum| *sum < wanted).count();
    Some(queue::BOUNDS.get(at).copied().unwrap_or(queue::BOUNDS[queue::BOUNDS.len() - 1] * 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Utc;
    use serde_json::json;

    fn verdict(broken: &[&str], age_secs: f64) -> StoredVerdict {
        let broken =
            broken.iter().map(|name| json!({ "name": name, "holds": false, "count": 2, "samples": ["x"] }));
        StoredVerdict {
            at: Utc::now(),
            age_secs,
            took_secs: 0.1,
            holds: broken.len() == 0,
            invariants: broken.collect(),
        }
    }

    #[test]
    fn the_worst_finding_decides_the_health_level() {
        let nothing = UndoBacklog::default();
        let due = UndoBacklog { due: 3, ..UndoBacklog::default() };
        let overdue = UndoBacklog { due: 3, overdue: 1, ..UndoBacklog::default() };
        let whole = verdict(&[], 5.0);
        let of = |verdict: &StoredVerdict, backlog: &UndoBacklog| health_level(Some(verdict), backlog, 0, 0);
        assert_eq!(of(&whole, &nothing), HealthLevel::Safe);
        assert_eq!(health_level(None, &nothing, 0, 0), HealthLevel::Working, "not checked yet");
        assert_eq!(of(&whole, &due), HealthLevel::Working);
        assert_eq!(health_level(Some(&whole), &nothing, 0, 1), HealthLevel::Working, "a timer that fails");
        assert_eq!(of(&whole, &overdue), HealthLevel::NeedsYou);
        assert_eq!(health_level(Some(&whole), &nothing, 1, 0), HealthLevel::NeedsYou, "a dead letter");
        assert_eq!(of(&verdict(&[], 1_000.0), &nothing), HealthLevel::NeedsYou, "nobody checks any more");
        assert_eq!(of(&verdict(&["debits_are_settled_or_armed"], 5.0), &nothing), HealthLevel::NeedsYou);
        let worst = verdict(&["nothing_is_dead", "wallets_are_their_entries"], 5.0);
        assert_eq!(of(&worst, &overdue), HealthLevel::Corrupt);
        assert_eq!(of(&verdict(&["of_another_build"], 5.0), &nothing), HealthLevel::Corrupt);
    }
}
