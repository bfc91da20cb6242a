//! What charts show: the roll-ups of an hour, a day or a week, and the marks on them: pauses and new
//! builds.
//!
//! The roll-ups hold one row for each minute and tag with work, are kept for 14 days, and are found
//! by their primary keys. A week is at most 10,080 minutes of 14 tags.

mod cache;

pub use cache::{CachedHistory, CachedPauses};

use crate::ops::audit::Action;
use chrono::{DateTime, TimeDelta, Utc};
use farebox_jobs::{
    MqTag,
    queue::{BOUNDS, admin::first_id},
};
use sqlx::PgPool;
use std::time::Duration;

/// Most marks of one kind on a chart.
const MAX_MARKS: i64 = 50;

/// How far back a chart goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Range {
    /// An hour, by the minute.
    #[default]
    Hour,
    /// A day, by the quarter of an hour.
    Day,
    /// Seven days, by the hour.
    Week,
}

impl Range {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Week];

    /// The word for it in addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }

    /// The range of this word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|range| range.as_str() == word)
    }

    /// How long one bar lasts, seconds.
    pub const fn bar_secs(self) -> i64 {
        match self {
            Self::Hour => 60,
            Self::Day => 900,
            Self::Week => 3_600,
        }
    }

    /// How many bars there are.
    pub const fn bars(self) -> i64 {
        match self {
            Self::Hour => 60,
            Self::Day => 96,
            Self::Week => 168,
        }
    }

    /// How long a process shows what it has read.
    const fn max_age(self) -> Duration {
        match self {
            Self::Hour => Duration::from_secs(2),
            Self::Day => Duration::from_secs(15),
            Self::Week => Duration::from_secs(60),
        }
    }

    /// The beginnings of the bars, the oldest first; the last one is not over.
    pub fn beginnings(self, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let last = now.timestamp().div_euclid(self.bar_secs());
        let at = |back: i64| DateTime::from_timestamp((last - back) * self.bar_secs(), 0);
        (0..self.bars()).rev().filter_map(at).collect()
    }
}

/// The attempts of one tag in one bar.
#[derive(Clone, Debug)]
pub struct TagBar {
    /// The tag.
    pub tag: String,
    /// The bar's beginning.
    pub at: DateTime<Utc>,
    /// Jobs done.
    pub done: i64,
    /// Attempts that failed, including last ones.
    pub failed: i64,
}

/// The bookings and payments of one bar.
#[derive(Clone, Debug)]
pub struct TrafficBar {
    /// The bar's beginning.
    pub at: DateTime<Utc>,
    /// Orders booked.
    pub booked: i64,
    /// Orders paid.
    pub paid: i64,
    /// Bookings and payments that were refused (4xx).
    pub refused: i64,
    /// Bookings and payments that failed (5xx).
    pub failed: i64,
}

/// How many waits of one bar fell into each bucket of [`BOUNDS`].
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct WaitBar {
    /// The bar's beginning.
    pub at: DateTime<Utc>,
    /// Waits of jobs of all tags to be picked up.
    pub pickup: Vec<i64>,
    /// Waits of the timers of unpaid orders beyond their time.
    pub lateness: Vec<i64>,
}

/// Something that happened, on the time axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: DateTime<Utc>,
    /// What: `paused`, `resumed` or `build`.
    pub kind: String,
    /// The tag, or the build.
    pub subject: String,
    /// Who did it; empty for a build.
    pub who: String,
    /// Why; empty for a build.
    pub why: String,
}

/// All of a range.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The range.
    pub range: Range,
    /// The beginnings of its bars, the oldest first.
    pub beginnings: Vec<DateTime<Utc>>,
    /// The attempts, by tag.
    pub tags: Vec<TagBar>,
    /// Bookings and payments.
    pub traffic: Vec<TrafficBar>,
    /// Waits.
    pub waits: Vec<WaitBar>,
    /// Pauses and new builds, the oldest first.
    pub marks: Vec<Mark>,
}

/// A range, up to now.
///
/// # Errors
/// The database's.
pub async fn history(pool: &PgPool, range: Range) -> Result<History, sqlx::Error> {
    let beginnings = range.beginnings(Utc::now());
    let since = beginnings.first().copied().unwrap_or_default();
    let secs = range.bar_secs() as f64;
    let (tags, traffic, waits, marks) = tokio::try_join!(
        tags(pool, since, secs),
        traffic(pool, since, secs),
        waits(pool, since, secs),
        marks(pool, since)
    )?;
    Ok(History { range, beginnings, tags, traffic, waits, marks })
}

async fn tags(pool: &PgPool, since: DateTime<Utc>, secs: f64) -> Result<Vec<TagBar>, sqlx::Error> {
    sqlx::query_as!(
        TagBar,
        r#"select tag, to_timestamp(floor(extract(epoch from minute)::float8 / $2) * $2) as "at!",
                  sum(done)::bigint as "done!", sum(failed + dead)::bigint as "failed!"
           from queue.tally where minute >= $1 group by 1, 2"#,
        since,
        secs
    )
    .fetch_all(pool)
    .await
}

async fn traffic(pool: &PgPool, since: DateTime<Utc>, secs: f64) -> Result<Vec<TrafficBar>, sqlx::Error> {
    sqlx::query_as!(
        TrafficBar,
        r#"select to_timestamp(floor(extract(epoch from minute)::float8 / $2) * $2) as "at!",
                  sum(booked)::bigint as "booked!", sum(paid)::bigint as "paid!",
                  sum(refused)::bigint as "refused!", sum(failed)::bigint as "failed!"
           from minute_tally where minute >= $1 group by 1"#,
        since,
        secs
    )
    .fetch_all(pool)
    .await
}

/// Each bucket is summed in a column of its own: 14 tags of a week are added up in a quarter of the time
/// that it takes to unnest them.
async fn waits(pool: &PgPool, since: DateTime<Utc>, secs: f64) -> Result<Vec<WaitBar>, sqlx::Error> {
    let sums = |sum: &str| {
        (1..=BOUNDS.len() + 1).map(|nr| sum.replace('#', &nr.to_string())).collect::<Vec<_>>().join(", ")
    };
    let pickup = sums("coalesce(sum(pickup[#]), 0)::bigint");
    let lateness = sums("coalesce(sum(lateness[#]) filter (where tag = $3), 0)::bigint");
    let sql = format!(
        "select to_timestamp(floor(extract(epoch from minute)::float8 / $2) * $2) as at,
                array[{pickup}] as pickup, array[{lateness}] as lateness
         from queue.tally where minute >= $1 group by 1"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(since)
        .bind(secs)
        .bind(MqTag::OrderUnpaid.wire())
        .fetch_all(pool)
        .await
}

/// Pauses are read from the audit log, by the index on acts; new builds from the registry of workers,
/// which keeps those of the last day and all that live.
async fn marks(pool: &PgPool, since: DateTime<Utc>) -> Result<Vec<Mark>, sqlx::Error> {
    let acts =
        [Action::QueuePause, Action::QueueDrain, Action::QueueResume].map(|act| act.as_str().to_owned());
    // planner fence: `between` and the order by act leave the index by act, so that other acts are not read.
    let mut marks = sqlx::query_as!(
        Mark,
        r#"select a.at, case when a.act = $4 then 'resumed' else 'paused' end as "kind!", a.subject as "subject!",
                  coalesce((select user_name from rider where id = a.actor_id), a.actor) as "who!",
                  coalesce(a.reason, '') as "why!"
           from unnest($1::text[]) as of (act) cross join lateral (
               select * from audit where act between of.act and of.act and id >= $2
               order by act desc, id desc limit $3) as a
           order by a.id desc limit $3"#,
        &acts,
        first_id(since),
        MAX_MARKS,
        Action::QueueResume.as_str()
    )
    .fetch_all(pool)
    .await?;
    let builds = sqlx::query_as!(
        Mark,
        r#"select min(started_at) as "at!", 'build' as "kind!", build as "subject!", '' as "who!", '' as "why!"
           from queue.worker group by build having min(started_at) >= $1 order by min(started_at) desc limit $2"#,
        since,
        MAX_MARKS
    )
    .fetch_all(pool)
    .await?;
    marks.extend(builds);
    marks.sort_by_key(|mark| mark.at);
    Ok(marks)
}

/// The tags that are paused now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The tag.
    pub tag: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Who paused it.
    pub who: String,
    /// Why.
    pub why: String,
}

/// The tags that are paused, the first one first.
///
/// # Errors
/// The database's.
pub async fn pauses(pool: &PgPool) -> Result<Vec<Pause>, sqlx::Error> {
    let pauses = sqlx::query_as!(
        Pause,
        r#"select p.tag, p.paused_at as since, p.reason as why,
                  coalesce(case when p.paused_by ~ '^[0-9a-f-]{36}$'
                      then (select r.user_name from rider r where r.id = p.paused_by::uuid) end, p.paused_by) as "who!"
           from queue.paused p order by p.paused_at, p.tag"#
    )
    .fetch_all(pool)
    .await?;
    // The queue keeps the actor's id behind the reason: pages show the name instead.
    let plain = |pause: Pause| {
        let why = pause.why.split(" (operator ").next().unwrap_or_default().to_owned();
        Pause { why, ..pause }
    };
    Ok(pauses.into_iter().map(plain).collect())
}

/// The end of a bar that begins at this time.
pub fn end_of(range: Range, at: DateTime<Utc>) -> DateTime<Utc> {
    at + TimeDelta::seconds(range.bar_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_begin_at_whole_minutes_quarters_and_hours() {
        let now = DateTime::from_timestamp(1_790_000_123, 0).expect("a time");
        for range in Range::ALL {
            let bars = range.beginnings(now);
            assert_eq!(bars.len() as i64, range.bars());
            assert!(bars.iter().all(|at| at.timestamp() % range.bar_secs() == 0));
            let last = *bars.last().expect("a bar");
            assert!(last <= now && now < end_of(range, last));
            assert_eq!(Range::named(range.as_str()), Some(range));
        }
        assert_eq!(Range::named("2h"), None);
    }
}
