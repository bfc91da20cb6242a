//! How faults of feeds are reported: each once, and what is left out in one unit.

use super::{
    Files, Ran, SMALL,
    feed_out::{feed, mapping},
    from_gtfs, written,
};
use crate::harness::folder;
use std::{fmt::Write as _, fs};

fn run(name: &str, files: &Files, usable: bool) -> Ran {
    let to = folder(&format!("network-reported-{name}"));
    let _ = fs::remove_dir_all(&to);
    from_gtfs(
        SMALL,
        &written(&format!("reported-feed-{name}"), files),
        &mapping(&format!("reported-{name}")),
        &to,
        usable,
    )
}

/// The small feed with more lines at the end of one file.
fn and(file: &'static str, lines: &str) -> Files {
    let mut files = feed();
    files.get_mut(file).unwrap().extend(lines.as_bytes());
    files
}

/// Fails unless the only fault is this one.
fn has_one_fault(ran: &Ran, text: &str) {
    ran.refused(text);
    assert_eq!(ran.err.lines().count(), 2, "{}", ran.err);
}

#[test]
fn what_many_lines_have_is_reported_once() {
    let mut unknown = String::new();
    (0..500).for_each(|n| writeln!(unknown, "gone,8:00:00,8:00:00,A,{n}").unwrap());
    has_one_fault(
        &run("trips", &and("stop_times.txt", &unknown), false),
        "stop_times.txt:12: trip_id: a trip of trips.txt; it is \"gone\"",
    );
    let stops = unknown.replace("gone", "t1").replace(",A,", ",lost,").replace("8:00:00", "9:00:00");
    has_one_fault(
        &run("stops", &and("stop_times.txt", &stops), false),
        "stop_times.txt:12: stop_id: a stop of stops.txt; it is \"lost\"",
    );
    let frequencies = "gone,10:00:00,11:00:00,600\n".repeat(500);
    has_one_fault(
        &run("frequencies", &and("frequencies.txt", &frequencies), false),
        "frequencies.txt:3: trip_id: a trip of trips.txt; it is \"gone\"",
    );
    let mut latin = feed();
    for n in 0..500 {
        let line = [format!("Z{n},Z").as_bytes(), b"\xfcrich,47.4,8.5,\n"].concat();
        latin.get_mut("stops.txt").unwrap().extend(line);
    }
    has_one_fault(
        &run("latin", &latin, false),
        "stops.txt:5: UTF-8, but a byte is 0xFC; it is read as Latin-1, and so are others of this file",
    );
}

#[test]
fn columns_that_stand_twice_and_calls_at_stations_are_reported() {
    let mut files = feed();
    let text = String::from_utf8(files["stops.txt"].clone()).unwrap();
    files.insert("stops.txt", text.replacen("stop_lat,stop_lon", "stop_lat,stop_lat", 1).into());
    has_one_fault(
        &run("column", &files, false),
        "stops.txt:1: the column \"stop_lat\" stands twice; the first is taken",
    );
    for (n, kind) in ["1", "2", "4", "stop"].into_iter().enumerate() {
        let stops = format!(
            "stop_id,stop_name,stop_lat,stop_lon,zone_id,location_type\nA,A,1,1,,{kind}\nB 1,B,1,1,z,0\n\
             C,C,1,1,,\nD,Not called at,1,1,,1\n"
        );
        files.insert("stops.txt", stops.into());
        let name = format!("station-{n}");
        let text = format!(
            "stops.txt:2: location_type: empty or 0, as of a stop at which trips call; it is \"{kind}\""
        );
        has_one_fault(&run(&name, &files, false), &text);
        assert!(run(&name, &files, true).succeeded().out.contains("4 departures"));
    }
}

#[test]
fn what_is_left_out_is_counted_in_trips_and_departures() {
    // One of three trips has no times. Another has two starts, one more, and ten that are too late.
    let mut files = and("frequencies.txt", "f1,47:50:00,58:00:00,3600\n");
    let text = String::from_utf8(files["trips.txt"].clone()).unwrap();
    files.insert("trips.txt", text.replace("r1,wd,t1,", "r1,wd,t9,").into());
    let ran = run("counted", &files, false);
    ran.refused("4 departures can be used: --usable takes them (3 trips of the feed are sold, 1 left out; 10 departures");
    let ran = run("counted", &files, true).succeeded();
    assert!(ran.out.contains("4 departures"), "{}", ran.out);
    assert!(
        ran.out.contains(
            "3 trips of the feed are sold, 1 left out; 10 departures of the other trips are left out"
        ),
        "{}",
        ran.out
    );
}
