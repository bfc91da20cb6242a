//! Checks the invariants in the background, one worker at a time for all, and stores the verdict.

use super::undos;
use crate::{
    storage::{Freshness, Reads, note_outage, replica},
    verify::{self, Scope, Verdict},
};
use chrono::{DateTime, Utc};
use farebox_jobs::queue;
use serde_json::Value;
use sqlx::PgPool;
use std::{
    pin::pin,
    time::{Duration, Instant},
};

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
/// How often, during a check, a statement that does no work shows whether the database responds.
const PROBE_EVERY: Duration = Duration::from_millis(250);
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

/// The same on a standby that has everything acknowledged before, if there is one: a check reads whole
/// tables.
///
/// # Errors
/// The primary's.
pub async fn check_where_fresh(
    reads: &Reads,
    scope: Scope,
    overdue_bound: Duration,
) -> Result<Vec<Verdict>, sqlx::Error> {
    let check = |pool: PgPool| async move { check(&pool, scope, overdue_bound).await };
    reads.read_within(replica::CHECK_LIMIT, Freshness::Current, check).await
}

/// Checks and stores the verdict for as long as the process lives; one worker at a time does it for
/// all. An undo may be due for `overdue_bound` without being done.
pub async fn run_verifier_loop(pool: PgPool, reads: Reads, overdue_bound: Duration) {
    loop {
        tokio::time::sleep(POLL).await;
        match if_due(&pool, &reads, overdue_bound).await {
            Ok(Some(work)) => tokio::time::sleep(rest(work)).await,
            Ok(None) => {}
            // The task is due again within ten seconds, for the first worker that polls.
            Err(error) => {
                let outage = note_outage(&error);
                tracing::warn!(%error, outage, "checking the invariants failed; retrying");
            }
        }
    }
}

/// Checks every invariant; returns also how long the database did not respond meanwhile. That time
/// is no work of the check: a pause of many times an outage would leave the verdict old.
async fn check_and_probe(
    pool: &PgPool,
    reads: &Reads,
    overdue_bound: Duration,
) -> Result<(Vec<Verdict>, Duration), sqlx::Error> {
    let mut stalled = Duration::ZERO;
    let mut check = pin!(check_where_fresh(reads, Scope::Whole, overdue_bound));
    loop {
        let mut probe = pin!(probe(pool));
        tokio::select! {
            // A probe under way ends first: dropped, it would close its connection.
            verdicts = &mut check => return Ok((verdicts?, stalled + probe.await)),
            stall = &mut probe => stalled += stall,
        }
    }
}

/// How long the database takes, after a pause, for a statement that does no work.
async fn probe(pool: &PgPool) -> Duration {
    tokio::time::sleep(PROBE_EVERY).await;
    let began = Instant::now();
    // A failure is the check's to report: it reads the same database.
    let _ = sqlx::query("select").execute(pool).await;
    began.elapsed()
}

/// The pause after a check that worked for so long.
fn rest(work: Duration) -> Duration {
    work.saturating_mul(REST).min(MAX_REST)
}

/// Checks if it is due and this worker acquires the task; returns how long the check worked, without
/// the time to acquire the task and without stalls of the database.
async fn if_due(
    pool: &PgPool,
    reads: &Reads,
    overdue_bound: Duration,
) -> Result<Option<Duration>, sqlx::Error> {
    if !queue::acquire_task(pool, TASK, VERIFY_EVERY).await? {
        return Ok(None);
    }
    let began = Instant::now();
    let (verdicts, stalled) = check_and_probe(pool, reads, overdue_bound).await?;
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
    Ok(Some(took.saturating_sub(stalled)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_is_bounded() {
        assert_eq!(rest(Duration::from_millis(40)), Duration::from_millis(760), "a twentieth of a processor");
        assert_eq!(rest(Duration::from_secs(3_600)), MAX_REST);
    }
}
