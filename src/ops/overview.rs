//! What the home page tells: the kept verdict, what is stuck, the last hour.

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

/// Keeps the verdict, for ever; one worker at a time does it for all.
pub async fn keep(pool: PgPool) {
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        let began = Instant::now();
        match if_due(&pool).await {
            Ok(true) => tokio::time::sleep(began.elapsed() * REST).await,
            Ok(false) => {}
            Err(error) => {
                let outage = crate::schema::is_outage(&error);
                tracing::warn!(%error, outage, "invariants not checked");
            }
        }
    }
}

async fn if_due(pool: &PgPool) -> Result<bool, sqlx::Error> {
    if !queue::take_duty(pool, DUTY, VERIFY_EVERY).await? {
        return Ok(false);
    }
    let began = Instant::now();
    let verdicts = verify::verify(pool, Scope::Whole).await?;
    let holds = verdicts.iter().all(|verdict| verdict.holds);
    for breach in verdicts.iter().filter(|verdict| !verdict.holds) {
        tracing::error!(invariant = breach.name, count = breach.count, samples = ?breach.samples, "{}", breach.sentence);
    }
    sqlx::query!(
        "insert into verdict (at, took_secs, holds, invariants) values (now(), $1, $2, $3)
         on conflict (one) do update set at = excluded.at, took_secs = excluded.took_secs, holds = excluded.holds,
             invariants = excluded.invariants",
        began.elapsed().as_secs_f64(),
        holds,
        serde_json::to_value(&verdicts).unwrap_or_default()
    )
    .execute(pool)
    .await?;
    Ok(true)
}

/// The newest dead letters.
///
/// # Errors
/// The database's.
pub async fn dead(pool: &PgPool) -> Result<Vec<JobView>, sqlx::Error> {
    admin::list(pool, &JobFilter { places: &[Place::Dead], ..JobFilter::default() }, SHOWN).await
}

/// The jobs that have been due longest and do not run.
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
                 and (lease_until is null or lease_until < now())
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

/// How many jobs are late, counted up to [`COUNT_MAX`](admin::COUNT_MAX).
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
                     and (lease_until is null or lease_until < now())
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
