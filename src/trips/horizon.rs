//! The rolling horizon: the trips of the coming days are always there. One job for all workers makes them and, in the
//! same transaction, enqueues itself for the next local midnight.
//!
//! What is missing is read off the database's clock and the trips that exist, never off when the job ran last. So a
//! run that comes late makes up for all that were missed, and one that comes twice makes nothing. Every worker brings the
//! job forward when it starts, since the clock, the timetable or the settings may have changed while none was running.

use super::timetable;
use crate::flow::{Desk, Flow};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use farebox_jobs::{
    Timetable,
    queue::{self, Delivery, Due, JobError, NewJob, Outcome},
};
use sqlx::PgConnection;
use std::time::Duration;

/// How often a worker that could not bring the job forward tries again.
const RETRY_ARMING: Duration = Duration::from_secs(1);
/// How far into a day its first moment is looked for, where clocks are put forward at midnight, hours.
const LONGEST_GAP: u32 = 3;

/// Makes the job due now, whether it waits for midnight or was never enqueued; tries until the database takes it.
pub async fn arm(flow: &Flow) {
    if flow.trips.horizon_days == 0 {
        return;
    }
    while let Err(error) = hurry(flow).await {
        let outage = crate::schema::is_outage(&error);
        tracing::warn!(%error, outage, "the timetable's job is not enqueued yet");
        tokio::time::sleep(RETRY_ARMING).await;
    }
}

async fn hurry(flow: &Flow) -> Result<(), sqlx::Error> {
    queue::hurry(&mut *flow.pool.acquire().await?, &NewJob::of(&Timetable {})).await?;
    flow.bell.ring();
    Ok(())
}

/// The job. A worker whose horizon is off ends it.
///
/// # Errors
/// What may be tried again.
pub async fn run(desk: &Desk, delivery: &Delivery) -> Result<Outcome, JobError> {
    delivery.decode::<Timetable>()?;
    let rules = desk.trips();
    let mut tx = desk.begin().await?;
    if rules.horizon_days == 0 {
        return desk.settle(tx, delivery, "the horizon is off").await;
    }
    let now = sqlx::query_scalar!(r#"select now() as "now!""#).fetch_one(&mut *tx).await?;
    let made = fill(&mut tx, rules.zone, now, rules.horizon_days).await?;
    delivery.lease.complete(&mut tx, Some(&format!("{made} trips made"))).await?;
    queue::enqueue(&mut tx, &[NewJob::of(&Timetable {})], Due::At(next_midnight(now, rules.zone))).await?;
    tx.commit().await?;
    tracing::info!(made, "the timetable's coming days are made");
    Ok(Outcome::Settled)
}

/// Makes the trips that depart after `now`, on the local day of `now` and the days after it, `days` in all; returns
/// how many were missing.
///
/// # Errors
/// The database's.
pub async fn fill(
    conn: &mut PgConnection,
    zone: Tz,
    now: DateTime<Utc>,
    days: u16,
) -> Result<u64, sqlx::Error> {
    let mut made = 0;
    for day in service_days(now, zone, days) {
        made += timetable::generate_day(conn, zone, day, Some(now)).await?;
    }
    Ok(made)
}

/// Yesterday is among them: a departure of its timetable may lie after midnight.
fn service_days(now: DateTime<Utc>, zone: Tz, days: u16) -> impl Iterator<Item = NaiveDate> {
    let yesterday = now.with_timezone(&zone).date_naive() - Days::new(1);
    (0..=u64::from(days.min(timetable::MOST_DAYS)))
        .filter_map(move |n| yesterday.checked_add_days(Days::new(n)))
}

/// When the next local day begins.
fn next_midnight(now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
    let day = now.with_timezone(&zone).date_naive() + Days::new(1);
    let begins = |hour| zone.from_local_datetime(&day.and_hms_opt(hour, 0, 0)?).earliest();
    (0..=LONGEST_GAP).find_map(begins).map_or(now + TimeDelta::days(1), |at| at.with_timezone(&Utc))
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
    fn a_horizon_begins_with_yesterdays_late_departures() {
        let days: Vec<_> = service_days(at("2026-03-01T17:00:00Z"), chrono_tz::Asia::Shanghai, 2).collect();
        let expected = ["2026-03-01", "2026-03-02", "2026-03-03"].map(|day| day.parse().expect("a day"));
        assert_eq!(days, expected, "it is the second of March there");
    }
}
