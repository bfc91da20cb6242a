//! The table of days and clocks through the database: imported, and made into trips by what the
//! workers' job calls, with the time given.

use super::{
    Files,
    days::CASES,
    import::{import, world},
    small, written,
};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use farebox::trips::horizon::fill;
use std::fmt::Write as _;

/// Days from the first departure of a case on; no case has more.
const DAYS: u16 = 40;
const ZONE: chrono_tz::Tz = chrono_tz::Asia::Shanghai;

/// A network with a departure, a bus and a calendar for each case.
fn network() -> Files {
    let mut files = small();
    let mut buses = String::from("number,model\n");
    let mut calendars = String::from("code,days,from,until\n");
    let mut dates = String::from("calendar,date,runs\n");
    let mut departures = String::from("code,route,direction,bus,calendar,departs,legs,zone\n");
    for (n, (zone, calendar, exceptions, departs, legs, _)) in CASES.into_iter().enumerate() {
        let bus = n + 1;
        writeln!(buses, "{bus},m").unwrap();
        writeln!(calendars, "k{n},{calendar}").unwrap();
        for line in exceptions.lines() {
            writeln!(dates, "{}", line.replacen("k,", &format!("k{n},"), 1)).unwrap();
        }
        writeln!(departures, "d{n},r,0,{bus},k{n},{departs},{legs},{zone}").unwrap();
    }
    let texts = [
        ("buses.csv", buses),
        ("calendars.csv", calendars),
        ("calendar_dates.csv", dates),
        ("departures.csv", departures),
    ];
    files.extend(texts.map(|(name, text)| (name, text.into_bytes())));
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn trips_are_made_at_the_right_instants() {
    let world = world().await;
    import(&world.db, &written("days-made", &network()));
    for (.., expected) in CASES {
        let first: DateTime<Utc> = expected[0].split(' ').next().unwrap().parse().unwrap();
        let now = first - TimeDelta::minutes(1);
        let made = fill(&world.pool, ZONE, now, DAYS).await.unwrap();
        assert!(made.skipped.is_empty(), "{}", made.summary());
        // Again: nothing is missing.
        assert_eq!(fill(&world.pool, ZONE, now, DAYS).await.unwrap().trips, 0);
    }
    for (n, (zone, calendar, dates, departs, _, expected)) in CASES.into_iter().enumerate() {
        let trips: Vec<(DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
            "select t.departs_at, t.arrives_at from trip t join timetable d on d.id = t.timetable_id
             where d.code = $1 order by t.departs_at",
        )
        .bind(format!("d{n}"))
        .fetch_all(&world.pool)
        .await
        .unwrap();
        let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let found: Vec<_> =
            trips.into_iter().map(|(from, to)| format!("{} {}", text(from), text(to))).collect();
        assert_eq!(found, expected, "{zone} {calendar} {dates} {departs}");
    }
}
