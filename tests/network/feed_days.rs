//! The days of a feed's services: those without an end, and those without a day ahead.

use super::{
    Files, Ran, SMALL,
    feed_out::{MAPPING, feed, mapping_of},
    from_gtfs, written,
};
use crate::harness::folder;
use farebox::network;
use std::{fs, path::PathBuf};

fn to(name: &str) -> PathBuf {
    folder(&format!("network-days-{name}"))
}

/// Converts the small feed with these services and dates, which are not shifted.
fn run(name: &str, services: &str, dates: &str, usable: bool) -> Ran {
    let mut files: Files = feed();
    let head = "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n";
    files.insert("calendar.txt", format!("{head}{services}").into());
    files.insert("calendar_dates.txt", format!("service_id,date,exception_type\n{dates}").into());
    let mapping = mapping_of(&format!("days-{name}"), &MAPPING.replace("start_date = \"2026-06-01\"", ""));
    let _ = fs::remove_dir_all(to(name));
    from_gtfs(SMALL, &written(&format!("days-feed-{name}"), &files), &mapping, &to(name), usable)
}

/// First and last day of a service, and how many there are.
fn days(name: &str, service: &str) -> (String, String, usize) {
    super::check(&to(name)).succeeded();
    let network = network::read(&to(name)).unwrap().network;
    let all: Vec<_> = network.calendars[service].all_dates().collect();
    (all[0].to_string(), all.last().unwrap().to_string(), all.len())
}

const ONLY: &str = "only,0,0,0,0,0,1,0,20260601,20260630\n";

#[test]
fn calendars_without_an_end_are_cut_at_the_bound() {
    let expected = |first: &str, last: &str, count: usize| (first.to_owned(), last.to_owned(), count);
    for (n, (period, first, last, count)) in [
        ("20260101,20991231", "2026-06-01", "2036-06-08", 3_661),
        ("20260101,99991231", "2026-06-01", "2036-06-08", 3_661),
        ("19000101,20301231", "2026-06-01", "2030-12-31", 1_675),
        ("00010101,99991231", "2026-06-01", "2036-06-08", 3_661),
        ("20270101,99991231", "2027-01-01", "2037-01-08", 3_661),
        // As long as a calendar may be: nothing is cut.
        ("20260101,20360109", "2026-01-01", "2036-01-09", 3_661),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("cut-{n}");
        let ran = run(&name, &format!("wd,1,1,1,1,1,1,1,{period}\n{ONLY}"), "", false).succeeded();
        assert!(ran.err.is_empty() && ran.out.contains("4 departures"), "{}", ran.err);
        assert_eq!(days(&name, "wd"), expected(first, last, count), "{period}");
    }
    // Dates of exceptions, too: those of a day each, and those far ahead.
    let dates =
        "wd,20260603,2\nwd,99991231,1\nwd,22000101,2\nwd,19690101,2\nonly,20260604,1\nonly,22000101,1\n";
    let services = format!("wd,1,1,1,1,1,1,1,20260601,20260605\n{ONLY}");
    let ran = run("cut-dates", &services, dates, false).succeeded();
    assert!(ran.err.is_empty(), "{}", ran.err);
    assert_eq!(days("cut-dates", "wd"), expected("2026-06-01", "2026-06-05", 4));
    assert_eq!(days("cut-dates", "only"), expected("2026-06-04", "2026-06-27", 5));
    let ran = run("no-date", &format!("wd,1,1,1,1,1,1,1,20260601,2099-02-31\n{ONLY}"), "", false);
    ran.refused("calendar.txt:2: end_date: a date like 20260131; it is \"2099-02-31\"");
}

#[test]
fn a_service_without_a_day_ahead_is_reported_with_what_sells_it() {
    for (n, (services, dates, text)) in [
        ("wd,0,0,0,0,0,0,0,20260101,20271231\n", "", "calendar.txt:2: service_id: a service that is sold (sell 1) has a day; \"wd\" has none"),
        ("wd,1,1,1,1,1,1,1,20260701,20260701\n", "wd,20260701,2\n", "calendar.txt:2: service_id: a service that is sold (sell 1) has a day; \"wd\""),
        ("wd,1,1,1,1,1,1,1,20200101,20260531\n", "", "calendar.txt:2: service_id: a service that is sold (sell 1) has a day from 2026-06-01 on; \"wd\""),
        ("", "wd,20260531,1\nwd,20260601,2\n", "calendar_dates.txt:2: service_id: a service that is sold (sell 1) has a day from 2026-06-01 on; \"wd\""),
        ("wd,1,1,1,1,1,1,1,22000101,22001231\n", "", "calendar.txt:2: service_id: a service that is sold (sell 1) has a day; \"wd\""),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("none-{n}");
        let services = format!("{services}{ONLY}");
        let ran = run(&name, &services, dates, false);
        ran.refused(text);
        ran.refused("nothing was written; 1 departures can be used");
        let ran = run(&name, &services, dates, true).succeeded();
        assert!(ran.out.contains("1 departures") && ran.err.contains("its trips are left out"), "{}", ran.out);
        assert_eq!(days(&name, "only").2, 4);
    }
    // The last day is today.
    let ran = run("today", &format!("wd,1,1,1,1,1,1,1,20200101,20260601\n{ONLY}"), "", false).succeeded();
    assert!(ran.err.is_empty(), "{}", ran.err);
}
