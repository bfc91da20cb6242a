//! The rolling horizon: the trips of the coming days exist at all times. One job for all workers
//! makes them, each day in a transaction of its own. It then completes and enqueues itself for the
//! next local midnight, in one transaction.
//!
//! Which trips are missing depends on the database's clock and the existing trips, not on when the
//! job ran last. A late run therefore makes up for missed ones, and a second run makes nothing.
//! Every worker makes the job due when it starts, since the clock, the timetable or the settings
//! may have changed while no worker ran; [`crate::saga::recurring`] puts the job back if it is
//! missing.

use super::{generated::GeneratedTrips, timetable, zone_of_days};
use crate::{
    domain::wall,
    saga::{JobContext, SagaContext, recurring},
    storage,
};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use farebox_jobs::{
    MqTag, Timetable,
    queue::{self, Delivery, Due, JobError, NewJob, Outcome},
};
use sqlx::PgPool;
use std::time::Duration;

/// How often a worker retries to make the job due.
const RETRY_SCHEDULING: Duration = Duration::from_secs(1);

/// A departure is before 48:00 of its service day, by a clock whose day may be one behind.
const DAYS_BACK: u64 = 2;

/// Makes the job due now, whether it waits for midnight or was never enqueued; retries until that
/// succeeds. With the horizon off, the job is no longer expected to exist.
pub async fn schedule(saga: &SagaContext) {
    while let Err(error) = expedite(saga).await {
        let outage = crate::storage::note_outage(&error);
        tracing::warn!(%error, outage, "enqueueing the timetable's job failed; retrying");
        tokio::time::sleep(RETRY_SCHEDULING).await;
    }
}

async fn expedite(saga: &SagaContext) -> Result<(), sqlx::Error> {
    let mut conn = saga.pool.acquire().await?;
    if saga.trips.horizon_days == 0 {
        return recurring::unwant(&mut conn, MqTag::Timetable).await;
    }
    queue::enqueue_or_expedite(&mut conn, &NewJob::of(&Timetable {})).await?;
    recurring::want(&mut conn, MqTag::Timetable).await?;
    saga.notifier.notify();
    Ok(())
}

/// The job. A worker whose horizon is off completes it.
///
/// # Errors
/// A failure, after which the job is retried.
pub async fn run(context: &JobContext, delivery: &Delivery) -> Result<Outcome, JobError> {
    delivery.decode::<Timetable>()?;
    let rules = context.trips();
    if rules.horizon_days == 0 {
        let mut tx = context.begin().await?;
        recurring::unwant(&mut tx, MqTag::Timetable).await?;
        return context.complete(tx, delivery, "the horizon is off").await;
    }
    let now = sqlx::query_scalar!(r#"select now() as "now!""#).fetch_one(context.pool()).await?;
    let zone = zone_of_days(context.pool(), rules.zone).await?;
    let made = fill(context.pool(), zone, now, rules.horizon_days).await?;
    let mut tx = context.begin().await?;
    delivery.lease.complete(&mut tx, Some(&made.summary())).await?;
    queue::enqueue(&mut tx, &[NewJob::of(&Timetable {})], Due::At(next_midnight(now, zone))).await?;
    tx.commit().await?;
    tracing::info!(made = made.trips, skipped = made.skipped.len(), "the timetable's coming days are made");
    Ok(Outcome::Settled)
}

/// Makes the trips that depart after `now`, on the local day of `now` and the days after it, `days`
/// in all; says how many were missing. A day that fails does not stop the others; its error is
/// returned at the end.
///
/// Both halves of the days are made at the same time, each in the order of its days: the database
/// then has two cores at work. No trip takes so long that two of these days meet at the same time.
/// Where the halves meet, a trip of the later day may take a bus before one of the day before.
///
/// # Errors
/// The database's.
pub async fn fill(
    pool: &PgPool,
    zone: Tz,
    now: DateTime<Utc>,
    days: u16,
) -> Result<GeneratedTrips, sqlx::Error> {
    let days: Vec<NaiveDate> = service_days(now, zone, days).collect();
    let (near, far) = days.split_at(days.len().div_ceil(2));
    let (near, far) = tokio::join!(fill_days(pool, zone, near, now), fill_days(pool, zone, far, now));
    let mut made = near?;
    made.extend(far?);
    Ok(made)
}

async fn fill_days(
    pool: &PgPool,
    zone: Tz,
    days: &[NaiveDate],
    now: DateTime<Utc>,
) -> Result<GeneratedTrips, sqlx::Error> {
    let (mut made, mut failed) = (GeneratedTrips::default(), None);
    for &day in days {
        match fill_day(pool, zone, day, now).await {
            Ok(more) => made.extend(more),
            Err(error) => {
                tracing::error!(%day, %error, "making the trips of a day failed");
                let outage = storage::note_outage(&error);
                failed.get_or_insert(error);
                if outage {
                    break;
                }
            }
        }
    }
    failed.map_or(Ok(made), Err)
}

async fn fill_day(
    pool: &PgPool,
    zone: Tz,
    day: NaiveDate,
    now: DateTime<Utc>,
) -> Result<GeneratedTrips, sqlx::Error> {
    let mut tx = storage::begin(pool).await?;
    let made = timetable::generate_day(&mut tx, zone, day, Some(now)).await?;
    timetable::delete_old_not_made(&mut tx, first_day(now, zone)).await?;
    tx.commit().await?;
    Ok(made)
}

/// The days, with those before today whose departures may be ahead.
fn service_days(now: DateTime<Utc>, zone: Tz, days: u16) -> impl Iterator<Item = NaiveDate> {
    let first = first_day(now, zone);
    (0..u64::from(days.min(timetable::MAX_DAYS)) + DAYS_BACK)
        .filter_map(move |n| first.checked_add_days(Days::new(n)))
}

/// The first service day with departures ahead.
fn first_day(now: DateTime<Utc>, zone: Tz) -> NaiveDate {
    now.with_timezone(&zone).date_naive() - Days::new(DAYS_BACK)
}

/// When the next local day begins.
fn next_midnight(now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
    let day = now.with_timezone(&zone).date_naive() + Days::new(1);
    wall::instant(zone, day, 0).unwrap_or(now + TimeDelta::days(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    #[test]
    fn the_next_midnight_is_the_zones() {
        let shanghai = chrono_tz::Asia::Shanghai;
        assert_eq!(next_midnight(at("2026-03-01T07:00:00Z"), shanghai), at("2026-03-01T16:00:00Z"));
        // At midnight itself the next one is a day away: the job does not run in circles.
        assert_eq!(next_midnight(at("2026-03-01T16:00:00Z"), shanghai), at("2026-03-02T16:00:00Z"));
        // Here clocks are put forward at midnight: the day begins at one.
        assert_eq!(
            next_midnight(at("2026-03-07T12:00:00Z"), chrono_tz::America::Havana),
            at("2026-03-08T05:00:00Z")
        );
    }

    #[test]
    fn a_horizon_begins_with_late_departures_of_the_days_before() {
        let days: Vec<_> = service_days(at("2026-03-01T17:00:00Z"), chrono_tz::Asia::Shanghai, 2).collect();
        let expected = ["2026-02-28", "2026-03-01", "2026-03-02", "2026-03-03"];
        let expected = expected.map(|day| day.parse().expect("a day"));
        assert_eq!(days, expected, "it is the second of March there");
    }
}
