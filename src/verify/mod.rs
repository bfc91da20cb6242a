//! Checks the invariants: one query each, read-only and in one snapshot. A breach lists ids of
//! where it was found.

mod imports;
mod invariant;
mod invariants;
mod overdue;
mod webhooks;

pub use overdue::OverdueUndo;

use crate::{domain::Localized, settings::DEFAULT_OVERDUE_BOUND, storage};
use chrono::{DateTime, Duration, Utc};
use farebox_jobs::{MqTag, queue::admin::first_id};
use invariant::Invariant;
use invariants::{INVARIANTS, OVERDUE_UNDOS};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

/// Most ids that a breach lists.
pub const MAX_SAMPLES: i64 = 10;

/// The time limit of one query, in place of the usual one: some queries read whole tables.
const QUERY_TIMEOUT: &str = "set local statement_timeout = '10min'";

/// The longest time of [`Scope::Recent`] over HTTP: a year, seconds.
pub const MAX_RECENT_SECS: i64 = 365 * 24 * 3_600;

/// How bad a breach is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Seats or money are owed, or something is stuck, and a job or an operator can still correct
    /// it.
    NeedsYou,
    /// Seats, money or their books are wrong.
    Corrupt,
}

/// One invariant's verdict.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Verdict {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub sentence: &'static str,
    /// How bad a breach is.
    pub level: Level,
    /// Whether it holds.
    pub holds: bool,
    /// What the breach means, if it does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breach: Option<Localized>,
    /// In how many places it does not hold.
    pub count: i64,
    /// Some ids of those places.
    pub samples: Vec<String>,
    // Added by `ops::verifier::check`.
    /// Of `debts_are_paid_in_time`: the same places, with their seats, money and riders.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub debts: Vec<OverdueUndo>,
}

impl Verdict {
    /// Whether it is a breach whose undos [`Self::debts`] is to list.
    pub fn lists_undos(&self) -> bool {
        self.name == OVERDUE_UNDOS && !self.holds
    }
}

/// What a breach of the invariant of this name in `count` places means, and how bad it is; `None`
/// for a name that this build does not know.
pub fn breach(name: &str, count: i64) -> Option<(Localized, Level)> {
    let invariant = INVARIANTS.iter().find(|invariant| invariant.name == name)?;
    Some((invariant.breach(count), invariant.level))
}

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Whole,
    /// The orders and payments of this last time, and what belongs to them, without the sums over
    /// all wallets.
    Recent(Duration),
}

impl Scope {
    /// The lowest id to check, and its time, at `now`.
    fn floor(self, now: DateTime<Utc>) -> (Uuid, DateTime<Utc>) {
        match self {
            Self::Whole => (Uuid::nil(), DateTime::UNIX_EPOCH),
            Self::Recent(age) => (first_id(now - age), now - age),
        }
    }
}

/// Checks every invariant in one read-only snapshot, with [`DEFAULT_OVERDUE_BOUND`].
///
/// # Errors
/// The database's.
pub async fn verify(pool: &PgPool, scope: Scope) -> Result<Vec<Verdict>, sqlx::Error> {
    verify_in(&mut *begin(pool).await?, scope, DEFAULT_OVERDUE_BOUND).await
}

/// Begins the snapshot that [`verify_in`] needs.
///
/// # Errors
/// The database's.
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mut tx = storage::begin(pool).await?;
    sqlx::query("set transaction isolation level repeatable read, read only").execute(&mut *tx).await?;
    sqlx::query("set local enable_seqscan = on").execute(&mut *tx).await?;
    sqlx::query("set local plan_cache_mode = auto").execute(&mut *tx).await?;
    // A check takes at most one processor from the bookings beside it.
    sqlx::query("set local max_parallel_workers_per_gather = 0").execute(&mut *tx).await?;
    sqlx::query(QUERY_TIMEOUT).execute(&mut *tx).await?;
    Ok(tx)
}

/// Checks every invariant in the snapshot that [`begin`] began. An undo may be due for
/// `overdue_bound` without being done.
///
/// # Errors
/// The database's.
pub async fn verify_in(
    conn: &mut PgConnection,
    scope: Scope,
    overdue_bound: std::time::Duration,
) -> Result<Vec<Verdict>, sqlx::Error> {
    verify_after(conn, scope, overdue_bound, std::time::Duration::ZERO).await
}

/// The same, of a database on which nothing ran for the time of `standstill`, as after a restore:
/// undos and deadlines may be late by that much more.
///
/// # Errors
/// The database's.
pub async fn verify_after(
    conn: &mut PgConnection,
    scope: Scope,
    overdue_bound: std::time::Duration,
    standstill: std::time::Duration,
) -> Result<Vec<Verdict>, sqlx::Error> {
    let tags: Vec<String> = MqTag::ALL.iter().map(|tag| tag.wire().to_owned()).collect();
    let undo_tags: Vec<String> = MqTag::DEBTS.iter().map(|tag| tag.wire().to_owned()).collect();
    let (floor, since) = scope.floor(sqlx::query_scalar("select now()").fetch_one(&mut *conn).await?);
    let mut verdicts = Vec::with_capacity(INVARIANTS.len());
    for invariant in &INVARIANTS {
        let Invariant { name, sentence, level, query, .. } = *invariant;
        // Each query is a constant of the table; the tags are a parameter so that the key index is
        // used.
        let limited = sqlx::AssertSqlSafe(format!(
            "select id, count(*) over () from ({query}) as breach(id)
             where $2::text[] is not null and $3::uuid is not null and $4::timestamptz is not null
             and $5::float8 is not null and $6::text[] is not null and $7::float8 is not null limit $1"
        ));
        let found: Vec<(String, i64)> = sqlx::query_as(limited)
            .bind(MAX_SAMPLES)
            .bind(&tags)
            .bind(floor)
            .bind(since)
            .bind((overdue_bound + standstill).as_secs_f64())
            .bind(&undo_tags)
            .bind(standstill.as_secs_f64())
            .fetch_all(&mut *conn)
            .await?;
        let count = found.first().map_or(0, |(_, count)| *count);
        let samples = found.into_iter().map(|(id, _)| id).collect();
        let breach = (count > 0).then(|| invariant.breach(count));
        let (holds, debts) = (count == 0, Vec::new());
        verdicts.push(Verdict { name, sentence, level, holds, breach, count, samples, debts });
    }
    Ok(verdicts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::invariants::INVARIANTS;

    #[test]
    fn every_breach_has_its_count_in_both_languages_and_differs_from_the_promise() {
        for invariant in &INVARIANTS {
            let (one, many) = (invariant.breach(1), invariant.breach(82));
            for words in [&one, &many] {
                assert!(!words.en.contains('{') && !words.zh.contains('{'), "{}", invariant.name);
                assert!(words.en != invariant.sentence && !words.zh.is_ascii(), "{}", invariant.name);
            }
            let counted = many.en.contains("82") && many.zh.contains("82");
            assert!(counted || invariant.name == "money_in_is_money_held_or_earned", "{}", invariant.name);
        }
        assert_eq!(
            breach("nothing_is_dead", 3).map(|(words, _)| words.en).as_deref(),
            Some("3 jobs have given up.")
        );
        assert!(breach("of another build", 1).is_none());
    }
}
