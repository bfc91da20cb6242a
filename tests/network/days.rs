//! On which days and at which instants departures run.

use super::{Files, small, written};
use chrono::{NaiveDate, SecondsFormat};
use farebox::network;

/// The instants at which the small network's departure runs, of `zone` and these lines.
fn runs(name: &str, zone: &str, calendar: &str, dates: &str, departs: &str, legs: &str) -> Vec<String> {
    let mut files: Files = small();
    let head = String::from_utf8(files["network.toml"].clone()).unwrap().replace("Europe/Berlin", zone);
    files.insert("network.toml", head.into_bytes());
    let texts = [
        ("calendars.csv", format!("code,days,from,until\nk,{calendar}\n")),
        ("calendar_dates.csv", format!("calendar,date,runs\n{dates}")),
        (
            "departures.csv",
            format!("code,route,direction,bus,calendar,departs,legs\nd,r,0,1,k,{departs},{legs}\n"),
        ),
    ];
    files.extend(texts.map(|(name, text)| (name, text.into_bytes())));
    let network = network::read(&written(name, &files)).unwrap().network;
    let departure = &network.departures["d"];
    let dates = network.calendars["k"].all_dates();
    let text = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    dates
        .map(|day| {
            let (departs, arrives) = network.times(departure, day).unwrap();
            format!("{} {}", text(departs), text(arrives))
        })
        .collect()
}

/// Zone, calendar, its dates, time, legs; the instants of departure and arrival.
pub type Case =
    (&'static str, &'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

pub const CASES: [Case; 10] = [
    // Days of the week: a Monday and a Wednesday of June.
    (
        "Europe/Berlin",
        "mon wed,2026-06-01,2026-06-05",
        "",
        "8:00",
        "10 5",
        &["2026-06-01T06:00:00Z 2026-06-01T06:15:00Z", "2026-06-03T06:00:00Z 2026-06-03T06:15:00Z"],
    ),
    // Exceptions: one date less, and one beyond the period.
    (
        "Europe/Berlin",
        "mon wed,2026-06-01,2026-06-05",
        "k,2026-06-03,no\nk,2026-07-04,yes\n",
        "8:00",
        "10 5",
        &["2026-06-01T06:00:00Z 2026-06-01T06:15:00Z", "2026-07-04T06:00:00Z 2026-07-04T06:15:00Z"],
    ),
    // Exceptions alone.
    (
        "Europe/Berlin",
        ",,",
        "k,2026-12-31,yes\n",
        "23:59",
        "1 0",
        &["2026-12-31T22:59:00Z 2026-12-31T23:00:00Z"],
    ),
    // 24:00 and 25:30 are on the next day.
    (
        "Europe/Berlin",
        ",,",
        "k,2026-06-01,yes\n",
        "24:00",
        "1 1",
        &["2026-06-01T22:00:00Z 2026-06-01T22:02:00Z"],
    ),
    (
        "Europe/Berlin",
        ",,",
        "k,2026-06-01,yes\n",
        "25:30",
        "1 1",
        &["2026-06-01T23:30:00Z 2026-06-01T23:32:00Z"],
    ),
    // A leap day.
    (
        "Asia/Tokyo",
        "tue,2028-02-28,2028-03-06",
        "",
        "0:00",
        "1 1",
        &["2028-02-28T15:00:00Z 2028-02-28T15:02:00Z"],
    ),
    // The clock goes forward: 2:30 does not exist, and is an hour later.
    (
        "Europe/Berlin",
        ",,",
        "k,2027-03-28,yes\n",
        "2:30",
        "20 20",
        &["2027-03-28T01:30:00Z 2027-03-28T02:10:00Z"],
    ),
    // The same by the clock of the day before.
    (
        "Europe/Berlin",
        ",,",
        "k,2027-03-27,yes\n",
        "26:30",
        "20 20",
        &["2027-03-28T01:30:00Z 2027-03-28T02:10:00Z"],
    ),
    // The clock goes back: 2:30 comes twice, and the first is meant; it takes as long as ever.
    (
        "Europe/Berlin",
        ",,",
        "k,2027-10-31,yes\n",
        "2:30",
        "60 30",
        &["2027-10-31T00:30:00Z 2027-10-31T02:00:00Z"],
    ),
    // A zone of half hours.
    (
        "Australia/Lord_Howe",
        ",,",
        "k,2026-10-04,yes\n",
        "2:15",
        "1 1",
        &["2026-10-03T15:45:00Z 2026-10-03T15:47:00Z"],
    ),
];

#[test]
fn departures_run_at_the_right_instants() {
    for (n, (zone, calendar, dates, departs, legs, expected)) in CASES.into_iter().enumerate() {
        let found = runs(&format!("days-{n}"), zone, calendar, dates, departs, legs);
        assert_eq!(found, expected, "{zone} {calendar} {dates} {departs}");
    }
}

#[test]
fn a_stops_zone_and_a_departures_zone_decide_the_clock() {
    let mut files = small();
    let stops = "code,name,zone\na,A,America/New_York\nb,B,\nc,C,Europe/London\n";
    files.insert("stops.csv", stops.into());
    let head = "code,route,direction,bus,calendar,departs,legs,zone\n";
    let departures = format!("{head}d,r,0,1,k,8:00,10 5,\ne,r,0,2,k,8:00,10 5,Asia/Kathmandu\n");
    files.insert("departures.csv", departures.into_bytes());
    let network = network::read(&written("zones", &files)).unwrap().network;
    let day: NaiveDate = "2026-06-01".parse().unwrap();
    let at = |code: &str| network.times(&network.departures[code], day).unwrap().0.to_rfc3339();
    assert_eq!(
        (at("d").as_str(), at("e").as_str()),
        ("2026-06-01T12:00:00+00:00", "2026-06-01T02:15:00+00:00")
    );
}
