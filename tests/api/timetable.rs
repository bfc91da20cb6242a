//! The rolling horizon of trips.

use crate::harness::{Process, World, count, until};
use chrono::{DateTime, Timelike, Utc};
use farebox::trips::horizon;
use serde_json::json;
use sqlx::PgPool;

const ZONE: chrono_tz::Tz = chrono_tz::Asia::Shanghai;
const HORIZON: (&str, &str) = ("FAREBOX__TRIPS__HORIZON_DAYS", "2");
/// What a horizon of two days holds from now on.
const DUE: &str = "select count(*) from timetable t,
     lateral generate_series(-1, 1) as n,
     lateral (select ((now() at time zone $1)::date + n + make_interval(mins => t.departs_minute)) at time zone $1 as at) as departs
     where departs.at > now()";
const MADE: &str = "select count(*) from trip";
/// The job that waits for the next midnight.
const WAITING: &str =
    "select count(*) from queue.job where tag = 'timetable' and key = 'horizon' and attempt = 0
     and run_at > now() and run_at <= now() + interval '1 day' and (run_at at time zone $1)::time = '00:00'";

/// A zone in which it is between noon and one o'clock: no midnight passes during the test.
fn zone_at_noon() -> String {
    // `Etc/GMT-3` is three hours ahead of UTC.
    format!("Etc/GMT{:+}", i64::from(Utc::now().hour()) - 12)
}

async fn count_in(pool: &PgPool, zone: &str, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).bind(zone).fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn five_runs_on_three_workers_make_each_trip_once() {
    let world = World::new().await;
    let zone = zone_at_noon();
    let env = [HORIZON, ("FAREBOX__TRIPS__ZONE", zone.as_str())];
    let before = count_in(&world.pool, &zone, DUE).await;
    sqlx::query(
        "insert into queue.job (id, tag, key, payload, max_attempts)
         select gen_random_uuid(), 'timetable', 'run ' || n, '{\"v\": 1}', 25 from generate_series(1, 5) as n",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let workers = [(); 3].map(|()| Process::worker(&world.db.url, &env, &[]));
    until("all runs are done, and one waits for midnight", || async {
        let runs =
            "select count(distinct key) from queue.finished where tag = 'timetable' and key like 'run %'";
        let live = "select count(*) from queue.job";
        count(&world.pool, runs).await == 5
            && count_in(&world.pool, &zone, WAITING).await == 1
            && count(&world.pool, live).await == 1
    })
    .await;
    let made = count(&world.pool, MADE).await;
    // A departure may pass while the test reads.
    let after = count_in(&world.pool, &zone, DUE).await;
    assert!((after..=before).contains(&made), "{made} trips were made, {after} to {before} are due");
    let doubled = "select count(*) from (select from trip group by bus_id, direction, departs_at having count(*) > 1) as d";
    assert_eq!(count(&world.pool, doubled).await, 0);
    assert_eq!(count(&world.pool, "select count(*) from seat").await, made * 20);
    world.verify().await;

    // All workers go; what they would have done at midnight is made up by the next one to start.
    drop(workers);
    for sql in [
        "update queue.job set run_at = now() - interval '2 days'",
        "delete from seat where trip_id in (select id from trip where service_date = (select max(service_date) from trip))",
        "delete from trip where service_date = (select max(service_date) from trip)",
    ] {
        sqlx::query(sql).execute(&world.pool).await.unwrap();
    }
    assert_eq!(count(&world.pool, MADE).await, made - 17);
    let _worker = Process::worker(&world.db.url, &env, &[]);
    until("the missed day is made", || async { count_in(&world.pool, &zone, WAITING).await == 1 }).await;
    let made = count(&world.pool, MADE).await;
    assert!(made >= count_in(&world.pool, &zone, DUE).await, "{made}");
}

#[tokio::test(flavor = "multi_thread")]
async fn started_in_the_afternoon_after_two_days_off_it_makes_what_is_due() {
    let world = World::new().await;
    let made = async |now: &str, days: u16| {
        let now = now.parse::<DateTime<Utc>>().unwrap();
        let made = horizon::fill(&world.pool, ZONE, now, days).await.unwrap();
        assert_eq!(made.skipped, []);
        made.trips
    };
    // Local midnight of the first of March: three days.
    assert_eq!(made("2030-02-28T16:00:00Z", 3).await, 51);
    // 15:00 of the third: that day is there, the fourth and the fifth are missing.
    assert_eq!(made("2030-03-03T07:00:00Z", 3).await, 34);
    assert_eq!(made("2030-03-03T07:00:00Z", 3).await, 0);
    // 15:00 of the eighth, of which nothing was made: what has departed is not made any more.
    assert_eq!(made("2030-03-08T07:00:00Z", 1).await, 7);
    // Half a minute before midnight of the ninth there is one bus left, at 24:00; half a minute
    // later there is none.
    assert_eq!(made("2030-03-09T15:59:30Z", 1).await, 1);
    let ninth = world.ops.get("/v1/trips?date=2030-03-10").await;
    let trips = ninth.expect(200)["items"].as_array().unwrap();
    assert_eq!(trips.len(), 1, "the 24:00 bus departs at 00:00 of the next day: {}", ninth.text);
    assert_eq!(trips[0]["departs_at"], "2030-03-09T16:00:00.000000Z");
    assert_eq!((&trips[0]["bus_id"], &trips[0]["direction"]), (&json!(8), &json!(0)));
    assert_eq!(trips[0]["status"], "scheduled");
}
