//! Checks the invariants in the background, one worker at a time for all, and stores the verdict.

use super::undos;
use crate::{
    storage::note_outage,
    verify::{self, Scope, Verdict},
};
use chrono::{DateTime, Utc};
use farebox_jobs::queue;
use serde_json::Value;
use sqlx::PgPool;
use std::time::{Duration, Instant};

/// The name of its lock in the queue's table of maintenance tasks.
const TASK: &str = "farebox_verify";
/// How often a worker checks whether the task is due.
const POLL: Duration = Duration::from_secs(1);
/// How often the invariants are checked.
const VERIFY_EVERY: Duration = Duration::from_secs(10);
/// How many times as long as a check the pause after it is: checking takes at most a twentieth of a
/// processor.
const REST: u32 = 19;
/// The longest such pause.
const MAX_REST: Duration = Duration::from_secs(300);
/// A check that takes longer than twice the one before plus this may have waited for a database
/// that did not respond. One such check counts as twice the one before; a second one in a row
/// counts in full.
const SLACK: Duration = Duration::from_secs(1);
/// How late the next verdict may be before the last one is old, seconds.
const OLD_SECS: f64 = 120.0;
/// The last verdict on the invariants.
#[derive(Clone, Debug)]
pub struct StoredVerdict {
    /// When it was stored.
    pub at: DateTime<Utc>,
    /// How long ago, seconds.
    pub age_secs: f64,
    /// How long it took, seconds.
    pub took_secs: f64,
    /// Whether everything holds.
    pub holds: bool,
    /// As in `/v1/ops/verify`.
    pub invariants: Value,
}

impl StoredVerdict {
    /// Whether the next check is so late that an operator should see why.
    pub fn is_old(&self) -> bool {
        let took = Duration::try_from_secs_f64(self.took_secs).unwrap_or(MAX_REST);
        self.age_secs > OLD_SECS + rest(took).as_secs_f64()
    }

    /// The invariants that do not hold, with the number of places and some ids.
    pub fn broken(&self) -> impl Iterator<Item = BrokenInvariant> + '_ {
        let all = self.invariants.as_array().into_iter().flatten();
        all.filter(|one| one["holds"] != true).map(|one| BrokenInvariant {
            name: one["name"].as_str().unwrap_or_default().to_owned(),
            count: one["count"].as_i64().unwrap_or(1),
            samples: texts(&one["samples"]),
            debts: one["debts"].as_array().cloned().unwrap_or_default(),
        })
    }
}

/// An invariant that does not hold.
#[derive(Clone, Debug)]
pub struct BrokenInvariant {
    /// Its name.
    pub name: String,
    /// In how many places.
    pub count: i64,
    /// Some of them.
    pub samples: Vec<String>,
    /// Of overdue undos: the same places, as [`OverdueUndo`](verify::OverdueUndo) is serialized.
    pub debts: Vec<Value>,
}

fn texts(array: &Value) -> Vec<String> {
    array.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The stored verdict, if there is one yet.
///
/// # Errors
/// The database's.
pub async fn verdict(pool: &PgPool) -> Result<Option<StoredVerdict>, sqlx::Error> {
    sqlx::query_as!(
        StoredVerdict,
        r#"select at, extract(epoch from now() - at)::float8 as "age_secs!", took_secs, holds, invariants from verdict"#
    )
    .fetch_optional(pool)
    .await
}

/// Checks every invariant in one read-only snapshot; of undos that are due for longer than
/// `overdue_bound` it lists the oldest ones with their seats, money and riders.
///
/// # Errors
/// The database's.
pub async fn check(
    pool: &PgPool,
    scope: Scope,
    overdue_bound: Duration,
) -> Result<Vec<Verdict>, sqlx::Error> {
    let mut tx = verify::begin(pool).await?;
    let mut verdicts = verify::verify_in(&mut tx, scope, overdue_bound).await?;
    for verdict in verdicts.iter_mut().filter(|verdict| verdict.lists_undos()) {
        verdict.debts = undos::overdue(&mut tx, overdue_bound, verify::MAX_SAMPLES).await?;
        verdict.samples = verdict.debts.iter().map(|undo| format!("{} {}", undo.tag, undo.key)).collect();
    }
    Ok(verdicts)
}

/// Checks and stores the verdict for as long as the process lives; one worker at a time does it for
/// all. An undo may be due for `overdue_bound` without being done.
pub async fn run_verifier_loop(pool: PgPool, overdue_bound: Duration) {
    let mut checks = Checks::default();
    loop {
        tokio::time::sleep(POLL).await;
        match if_due(&pool, overdue_bound).await {
            Ok(Some(took)) => {
                tokio::time::sleep(rest(checks.work(took))).await;
            }
            Ok(None) => {}
            // The task is due again within ten seconds, for the first worker that polls.
            Err(error) => {
                let outage = note_outage(&error);
                tracing::warn!(%error, outage, "checking the invariants failed; retrying");
            }
        }
    }
}

/// How long the previous checks took.
#[derive(Debug, Default)]
struct Checks {
    /// How much of the last check counts.
    previous: Option<Duration>,
    /// Whether the last check took longer than it counts.
    discounted: bool,
}

impl Checks {
    /// How much of a check's time counts.
    fn work(&mut self, took: Duration) -> Duration {
        let work = match self.previous {
            Some(before) if !self.discounted && took > before * 2 + SLACK => before * 2,
            _ => took,
        };
        (self.previous, self.discounted) = (Some(work), work < took);
        work
    }
}

/// The pause after a check that counts as `work`.
fn rest(work: Duration) -> Duration {
    work.saturating_mul(REST).min(MAX_REST)
}

/// Checks if it is due and this worker acquires the task; returns how long the check took, without
/// the time to acquire the task.
async fn if_due(pool: &PgPool, overdue_bound: Duration) -> Result<Option<Duration>, sqlx::Error> {
    if !queue::acquire_task(pool, TASK, VERIFY_EVERY).await? {
        return Ok(None);
    }
    let began = Instant::now();
    let verdicts = check(pool, Scope::Whole, overdue_bound).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(40);
    const FROZEN: Duration = Duration::from_secs(35);

    #[test]
    fn the_pause_is_bounded_and_an_outage_does_not_count() {
        assert_eq!(rest(QUICK), Duration::from_millis(760), "a twentieth of a processor");
        assert_eq!(rest(Duration::from_secs(3_600)), MAX_REST);
        let mut checks = Checks::default();
        assert_eq!(checks.work(QUICK), QUICK);
        let stalled = checks.work(FROZEN);
        assert!(rest(stalled) < Duration::from_secs(5), "{stalled:?}");
        assert_eq!(checks.work(QUICK), QUICK, "and the next one counts in full");
        let larger = Duration::from_millis(900);
        assert_eq!(checks.work(larger), larger, "larger tables are not an outage");
        assert!(checks.work(FROZEN) < FROZEN);
        assert_eq!(checks.work(FROZEN), FROZEN, "a second one in a row counts");
        assert_eq!(checks.work(FROZEN), FROZEN);
    }
}
