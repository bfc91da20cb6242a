//! What the home page tells: how bad things are, the kept verdict, what is stuck, the last hour.

use super::debts::Owed;
use crate::verify::{self, Scope};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    MqTag,
    queue::{
        self,
        admin::{self, Among, JobFilter, JobView, Place},
    },
};
use serde_json::Value;
use sqlx::PgPool;
use std::time::{Duration, Instant};

/// Its name in `queue.duty`.
const DUTY: &str = "farebox_verify";
/// How often a worker asks whether the duty is due.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How often the invariants are checked.
const VERIFY_EVERY: Duration = Duration::from_secs(10);
/// A check that took long is followed by a rest of so many times as long: it takes a twentieth of a processor at the most.
const REST: u32 = 19;
/// The longest such rest: a check of a quarter of a minute is followed by it.
const LONGEST_REST: Duration = Duration::from_secs(300);
/// A check that took more than twice as long as the one before, and this, may have waited for a database that stood still.
/// One such check counts as twice the one before; a second in a row is work, and is rested for.
const SLACK: Duration = Duration::from_secs(1);
/// A verdict is old when the next one is late by so much, seconds.
const OLD_SECS: f64 = 120.0;
/// A job is late when it has been due for so long, seconds.
const LATE_SECS: f64 = 5.0;
/// Jobs of a list of the home page.
const SHOWN: i64 = 10;

/// The last verdict over the invariants.
#[derive(Clone, Debug)]
pub struct KeptVerdict {
    /// When it was reached.
    pub at: DateTime<Utc>,
    /// How long ago, seconds.
    pub age_secs: f64,
    /// How long it took, seconds.
    pub took_secs: f64,
    /// Whether everything holds.
    pub holds: bool,
    /// As `/v1/ops/verify` tells them.
    pub invariants: Value,
}

impl KeptVerdict {
    /// Whether the next check is so late that somebody should look who checks.
    pub fn is_old(&self) -> bool {
        let took = Duration::try_from_secs_f64(self.took_secs).unwrap_or(LONGEST_REST);
        self.age_secs > OLD_SECS + rest(took).as_secs_f64()
    }

    /// The invariants that did not hold, with in how many places and some of those.
    pub fn broken(&self) -> impl Iterator<Item = Broken> + '_ {
        let all = self.invariants.as_array().into_iter().flatten();
        all.filter(|one| one["holds"] != true).map(|one| Broken {
            name: one["name"].as_str().unwrap_or_default().to_owned(),
            count: one["count"].as_i64().unwrap_or(1),
            samples: texts(&one["samples"]),
            debts: one["debts"].as_array().cloned().unwrap_or_default(),
        })
    }
}

/// An invariant that does not hold.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Its name.
    pub name: String,
    /// In how many places.
    pub count: i64,
    /// Some of them.
    pub samples: Vec<String>,
    /// Of debts: the same, as [`OpenDebt`](super::debts::OpenDebt) is serialized.
    pub debts: Vec<Value>,
}

fn texts(array: &Value) -> Vec<String> {
    array.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// How bad things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Every invariant holds and nothing is owed.
    Safe,
    /// Something is owed and jobs see to it, or nobody has checked yet.
    Working,
    /// Something is owed that no job will put right by itself, or not in time; or nobody checks any more.
    NeedsYou,
    /// Seats, money or their books are wrong.
    Corrupt,
}

/// How bad things are, by the last verdict, by what is owed now, by how many jobs of any tag gave up, and by how many
/// failed and are tried again.
pub fn standing(verdict: Option<&KeptVerdict>, owed: &Owed, dead: i64, retrying: i64) -> Standing {
    let broken = verdict.into_iter().flat_map(KeptVerdict::broken).map(|one| {
        // An invariant of another build's: whoever does not know it takes it seriously.
        let level = verify::breach(&one.name, one.count).map_or(verify::Level::Corrupt, |(_, level)| level);
        if level == verify::Level::Corrupt { Standing::Corrupt } else { Standing::NeedsYou }
    });
    let needs_you = dead > 0 || owed.dead > 0 || owed.overdue > 0 || verdict.is_some_and(KeptVerdict::is_old);
    let working = owed.is_something() || retrying > 0 || verdict.is_none();
    let now = match (needs_you, working) {
        (true, _) => Standing::NeedsYou,
        (false, true) => Standing::Working,
        (false, false) => Standing::Safe,
    };
    broken.chain([now]).max().unwrap_or(now)
}

/// A job that should have run.
#[derive(Clone, Debug)]
pub struct Late {
    /// The job.
    pub job: JobView,
    /// For how long it has been due, seconds.
    pub late_secs: f64,
}

/// The verdict, if one was reached yet.
///
/// # Errors
/// The database's.
pub async fn verdict(pool: &PgPool) -> Result<Option<KeptVerdict>, sqlx::Error> {
    sqlx::query_as!(
        KeptVerdict,
        r#"select at, extract(epoch from now() - at)::float8 as "age_secs!", took_secs, holds, invariants from verdict"#
    )
    .fetch_optional(pool)
    .await
}

/// Keeps the verdict, for ever; one worker at a time does it for all. An undo may be due for `debt_bound` without being
/// done.
pub async fn keep(pool: PgPool, debt_bound: Duration) {
    let mut checks = Checks::default();
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        match if_due(&pool, debt_bound).await {
            Ok(Some(took)) => {
                tokio::time::sleep(rest(checks.work(took))).await;
            }
            Ok(None) => {}
            // The duty is due again in ten seconds at the most, for whoever asks first.
            Err(error) => {
                let outage = crate::storage::is_outage(&error);
                tracing::warn!(%error, outage, "invariants not checked");
            }
        }
    }
}

/// What the checks before took.
#[derive(Debug, Default)]
struct Checks {
    /// How much of the last one was work.
    before: Option<Duration>,
    /// Whether the last one took longer than it counts.
    doubted: bool,
}

impl Checks {
    /// How much of a check's time was work.
    fn work(&mut self, took: Duration) -> Duration {
        let work = match self.before {
            Some(before) if !self.doubted && took > before * 2 + SLACK => before * 2,
            _ => took,
        };
        (self.before, self.doubted) = (Some(work), work < took);
        work
    }
}

/// The rest after a check of so much work.
fn rest(work: Duration) -> Duration {
    work.saturating_mul(REST).min(LONGEST_REST)
}

/// Checks, if it is this worker's turn; returns how long that took. Waiting for the turn is no part of it: with a database
/// that stands still it takes as long as that.
async fn if_due(pool: &PgPool, debt_bound: Duration) -> Result<Option<Duration>, sqlx::Error> {
    if !queue::take_duty(pool, DUTY, VERIFY_EVERY).await? {
        return Ok(None);
    }
    let began = Instant::now();
    let verdicts = verify::verify_within(pool, Scope::Whole, debt_bound).await?;
    let took = began.elapsed();
    let holds = verdicts.iter().all(|verdict| verdict.holds);
    for breach in verdicts.iter().filter(|verdict| !verdict.holds) {
        let what = breach.breach.as_ref().map_or(breach.sentence, |words| words.en.as_str());
        tracing::error!(invariant = breach.name, count = breach.count, samples = ?breach.samples, "{what}");
    }
    sqlx::query!(
        "insert into verdict (at, took_secs, holds, invariants) values (now(), $1, $2, $3)
         on conflict (one) do update set at = excluded.at, took_secs = excluded.took_secs, holds = excluded.holds,
             invariants = excluded.invariants",
        took.as_secs_f64(),
        holds,
        serde_json::to_value(&verdicts).unwrap_or_default()
    )
    .execute(pool)
    .await?;
    Ok(Some(took))
}

/// The newest jobs that failed and wait for their next attempt.
///
/// # Errors
/// The database's.
pub async fn retrying(pool: &PgPool) -> Result<Vec<JobView>, sqlx::Error> {
    let state = Some("retrying".to_owned());
    admin::list(pool, &JobFilter { places: &[Place::Live], state, ..JobFilter::default() }, SHOWN).await
}

/// The newest dead letters.
///
/// # Errors
/// The database's.
pub async fn dead(pool: &PgPool) -> Result<Vec<JobView>, sqlx::Error> {
    admin::list(pool, &JobFilter { places: &[Place::Dead], ..JobFilter::default() }, SHOWN).await
}

/// The jobs that have been due longest and do not run, but for those that failed.
///
/// # Errors
/// The database's.
pub async fn late(pool: &PgPool) -> Result<Vec<Late>, sqlx::Error> {
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
    let among = Some(Among { keys: Vec::new(), ids });
    let filter = JobFilter { places: &[Place::Live], tags: tags.to_vec(), among, ..JobFilter::default() };
    let jobs = admin::list(pool, &filter, SHOWN).await?;
    // In the order of their lateness; one that has ended meanwhile is late no more.
    let late = rows.into_iter().filter_map(|row| {
        let job = jobs.iter().find(|job| job.id == row.id)?.clone();
        Some(Late { job, late_secs: row.late_secs })
    });
    Ok(late.collect())
}

/// How many jobs are late, but for those that failed, counted up to [`COUNT_MAX`](admin::COUNT_MAX).
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

/// What ended in one minute of one tag.
#[derive(Clone, Debug)]
pub struct TagMinute {
    /// The tag.
    pub tag: String,
    /// The minute's beginning.
    pub minute: DateTime<Utc>,
    /// Jobs done.
    pub done: i64,
    /// Attempts that failed, the last ones included.
    pub failed: i64,
    /// Waits by bucket of [`queue::BOUNDS`].
    pub pickup: Vec<i64>,
    /// Waits of delayed jobs by bucket.
    pub lateness: Vec<i64>,
}

/// The last hour of every tag, from the roll-ups.
///
/// # Errors
/// The database's.
pub async fn hour(pool: &PgPool) -> Result<Vec<TagMinute>, sqlx::Error> {
    sqlx::query_as!(
        TagMinute,
        r#"select tag, minute, done, failed + dead as "failed!", pickup, lateness from queue.tally
           where minute > now() - interval '1 hour' order by minute"#
    )
    .fetch_all(pool)
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
    use serde_json::json;

    const QUICK: Duration = Duration::from_millis(40);
    const FROZEN: Duration = Duration::from_secs(35);

    #[test]
    fn the_rest_is_bounded_and_an_outage_is_no_work() {
        assert_eq!(rest(QUICK), Duration::from_millis(760), "a twentieth of a processor");
        assert_eq!(rest(Duration::from_secs(3_600)), LONGEST_REST);
        let mut checks = Checks::default();
        assert_eq!(checks.work(QUICK), QUICK);
        let held_up = checks.work(FROZEN);
        assert!(rest(held_up) < Duration::from_secs(5), "{held_up:?}");
        assert_eq!(checks.work(QUICK), QUICK, "and it is forgotten");
        let larger = Duration::from_millis(900);
        assert_eq!(checks.work(larger), larger, "tables that grew are no outage");
        assert!(checks.work(FROZEN) < FROZEN);
        assert_eq!(checks.work(FROZEN), FROZEN, "a second one in a row is work");
        assert_eq!(checks.work(FROZEN), FROZEN);
    }

    fn verdict(broken: &[&str], age_secs: f64) -> KeptVerdict {
        let broken =
            broken.iter().map(|name| json!({ "name": name, "holds": false, "count": 2, "samples": ["x"] }));
        KeptVerdict {
            at: Utc::now(),
            age_secs,
            took_secs: 0.1,
            holds: broken.len() == 0,
            invariants: broken.collect(),
        }
    }

    #[test]
    fn how_bad_things_are_is_told_by_the_worst_of_them() {
        let nothing = Owed::default();
        let owing = Owed { debts: 3, ..Owed::default() };
        let overdue = Owed { debts: 3, overdue: 1, ..Owed::default() };
        let whole = verdict(&[], 5.0);
        let of = |verdict: &KeptVerdict, owed: &Owed| standing(Some(verdict), owed, 0, 0);
        assert_eq!(of(&whole, &nothing), Standing::Safe);
        assert_eq!(standing(None, &nothing, 0, 0), Standing::Working, "not checked yet");
        assert_eq!(of(&whole, &owing), Standing::Working);
        assert_eq!(standing(Some(&whole), &nothing, 0, 1), Standing::Working, "a timer that fails");
        assert_eq!(of(&whole, &overdue), Standing::NeedsYou);
        assert_eq!(standing(Some(&whole), &nothing, 1, 0), Standing::NeedsYou, "a dead letter");
        assert_eq!(of(&verdict(&[], 1_000.0), &nothing), Standing::NeedsYou, "nobody checks any more");
        assert_eq!(of(&verdict(&["debits_are_settled_or_armed"], 5.0), &nothing), Standing::NeedsYou);
        let worst = verdict(&["nothing_is_dead", "wallets_are_their_entries"], 5.0);
        assert_eq!(of(&worst, &overdue), Standing::Corrupt);
        assert_eq!(of(&verdict(&["of_another_build"], 5.0), &nothing), Standing::Corrupt);
    }
}
