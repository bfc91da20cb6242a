//! Feeds as they are: what is wrong is named by file, line and rule, and what can be used is
//! offered.

use super::{
    Files, Ran, SMALL,
    feed_out::{MAPPING, feed, mapping, mapping_of},
    from_gtfs, written,
};
use crate::harness::folder;
use farebox::network;
use std::fs;

/// The small feed with one text in a file changed.
fn with(file: &'static str, from: &str, to: &str) -> Files {
    let mut files = feed();
    let text = String::from_utf8(files[file].clone()).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    files.insert(file, text.replacen(from, to, 1).into_bytes());
    files
}

fn run(name: &str, files: &Files, usable: bool) -> Ran {
    let to = folder(&format!("network-dirty-to-{name}"));
    let _ = fs::remove_dir_all(&to);
    from_gtfs(
        SMALL,
        &written(&format!("dirty-{name}"), files),
        &mapping(&format!("dirty-{name}")),
        &to,
        usable,
    )
}

#[test]
fn what_is_only_untidy_is_no_fault() {
    let mut files = feed();
    for text in files.values_mut() {
        let lines = String::from_utf8(text.clone()).unwrap().replace('\n', " ,\r\n\r\n");
        *text = format!("\u{feff}{lines}").into_bytes();
    }
    files.insert("shapes.txt", b"\xff\xfe".to_vec());
    let text = String::from_utf8(files["stops.txt"].clone()).unwrap().replace("駅", "\"駅\r\n前 \"");
    files.insert("stops.txt", text.into_bytes());
    for missing in ["translations.txt", "feed_info.txt"] {
        files.remove(missing);
    }
    assert!(run("untidy", &files, false).succeeded().out.contains("4 departures"));
    let network = network::read(&folder("network-dirty-to-untidy")).unwrap().network;
    assert_eq!(network.stops["A"].names.default, "駅 前");
}

fn faults_of_trips() -> Vec<(Files, &'static str, usize)> {
    vec![
        (with("routes.txt", ",3,x", ",9999,x"), "routes.txt:2: route_type: a route type like 3", 4),
        (
            with("routes.txt", "x,1,X", "r1,1,X"),
            "routes.txt:3: route_id: a route stands once; the first is taken",
            4,
        ),
        (
            with("trips.txt", "x,wd,x1", "r1,wd,t1"),
            "trips.txt:5: trip_id: a trip stands once; the first is taken",
            4,
        ),
        (
            with("trips.txt", "x,wd,x1", "gone,wd,x1"),
            "trips.txt:5: route_id: a route of routes.txt; it is \"gone\"",
            4,
        ),
        (with("trips.txt", "r1,wd,t1,港,0", "r1,wd,t1,港,2"), "trips.txt:2: direction_id: 0 or 1", 4),
        (with("trips.txt", "r1,wd,t1", "r1,gone,t1"), "trips.txt:2: service_id: no day of this service", 3),
        (with("trips.txt", "x,wd,x1", "r1,wd,y1"), "trips.txt:5: the trip has no times in stop_times.txt", 4),
        (
            with("stop_times.txt", "t1,8:11:30", "t1,8:61:30"),
            "stop_times.txt:3: arrival_time: a time like 8:05:00",
            3,
        ),
        (
            with("stop_times.txt", "t1,8:11:30", "t1,8:01:30"),
            "stop_times.txt:3: arrival_time: no time is before",
            3,
        ),
        (
            with("stop_times.txt", "B 1,20", "gone,20"),
            "stop_times.txt:3: stop_id: a stop of stops.txt; it is \"gone\"",
            3,
        ),
        (
            with("stop_times.txt", "B 1,20", "B 1,30"),
            "stop_times.txt:4: stop_sequence: a number stands once",
            3,
        ),
        (with("stop_times.txt", "B 1,20", "B 1,two"), "stop_times.txt:3: stop_sequence: a whole number", 3),
        (
            with("stop_times.txt", "t1,8:05:00,8:05:00", "t1,,"),
            "stop_times.txt:2: arrival_time: the first and the last",
            3,
        ),
        (with("stop_times.txt", "x1,1:00", "zz,1:00"), "stop_times.txt:10: trip_id: a trip of trips.txt", 4),
    ]
}

fn faults_of_days_and_fares() -> Vec<(Files, &'static str, usize)> {
    vec![
        (
            with("calendar.txt", "20200401", "2020-04-01"),
            "calendar.txt:2: start_date: a date like 20260131",
            4,
        ),
        (with("calendar.txt", "20200401", "20200231"), "calendar.txt:2: start_date: a date like 20260131", 1),
        (
            with("calendar.txt", "20210331", "20190331"),
            "calendar.txt:2: end_date: a date that is not before",
            1,
        ),
        (with("calendar.txt", "wd,1,", "wd,yes,"), "calendar.txt:2: monday: 0 or 1", 4),
        (
            with("calendar_dates.txt", "wd,20200429,2", "wd,20200429,3"),
            "calendar_dates.txt:2: exception_type: 1 or 2",
            4,
        ),
        (with("frequencies.txt", "1800", "-1800"), "frequencies.txt:2: headway_secs: 60 to 86400 seconds", 2),
        (
            with("fare_attributes.txt", "250.00,JPY", "250.00,EUR"),
            "fare_attributes.txt:2: currency_type: JPY, as",
            1,
        ),
        (with("fare_attributes.txt", "250.00", "250.50"), "fare_attributes.txt:2: price: a whole number", 1),
        (
            with("fare_rules.txt", "f,r1,A,C", "f,r1,A,z"),
            "fare_rules.txt: no fare of route r1 from A to C",
            1,
        ),
        (with("stops.txt", "42.1", "142.1"), "stops.txt:2: stop_lat: degrees from -90 to 90", 4),
        (with("stops.txt", "A,駅,", "A,,"), "stops.txt:2: stop_name: 1 to 200 characters", 4),
    ]
}

#[test]
fn each_fault_is_named_and_the_rest_is_offered() {
    let cases = [faults_of_trips(), faults_of_days_and_fares()].concat();
    for (n, (files, text, departures)) in cases.into_iter().enumerate() {
        let ran = run(&format!("case-{n}"), &files, false);
        ran.refused(text);
        ran.refused(&format!(
            "nothing was written; {departures} departures can be used: --usable takes them"
        ));
        assert!(!folder(&format!("network-dirty-to-case-{n}")).exists());
        let ran = run(&format!("case-{n}"), &files, true).succeeded();
        assert!(
            ran.err.contains(text) && ran.out.contains(&format!("{departures} departures")),
            "{text}: {}",
            ran.out
        );
        super::check(&folder(&format!("network-dirty-to-case-{n}"))).succeeded();
    }
}

#[test]
fn bytes_that_are_not_utf8_and_missing_files_are_named() {
    let mut files = feed();
    files.get_mut("stops.txt").unwrap().extend(b"Z,Z\xfcrich,47.4,8.5,\n");
    run("latin", &files, false).refused("stops.txt:5: UTF-8, but a byte is 0xFC; it is read as Latin-1");
    for (file, left) in
        [("stops.txt", false), ("stop_times.txt", false), ("trips.txt", false), ("agency.txt", false)]
    {
        let mut files = feed();
        files.remove(file);
        let ran = run("missing", &files, true);
        assert!(ran.err.contains(&format!("{file}: this file is missing")), "{}", ran.err);
        assert_eq!(ran.is_ok, left, "{file}");
    }
    let mut files = feed();
    files.remove("calendar.txt");
    files.remove("calendar_dates.txt");
    run("no-days", &files, false).refused("calendar.txt: this file is missing, and calendar_dates.txt too");
}

#[test]
fn circles_of_stations_end() {
    let stops = "stop_id,stop_name,stop_lat,stop_lon,parent_station\nA,A,1,1,A\nB 1,B,1,1,C\nC,C,1,1,B 1\n";
    let mut files = feed();
    files.insert("stops.txt", stops.into());
    let ran = run("circles", &files, true);
    assert!(ran.err.contains("stops.txt:2: parent_station: another stop than itself"));
    assert!(ran.err.contains("stops.txt:3: parent_station: a stop that is not in this one"));
}

#[test]
fn a_mapping_that_is_wrong_is_refused_by_its_key() {
    for (n, (from, to, text)) in [
        ("\"JPY\"", "\"XXX\"", "gtfs-mapping.toml: currency: a currency's code of ISO 4217"),
        ("start_date = \"2026-06-01\"", "shift_days = 8", "gtfs-mapping.toml: shift_days: a multiple of 7"),
        (
            "buses = \"101-104\"",
            "buses = \"104-101\"",
            "gtfs-mapping.toml: sell 1, buses: numbers like 101-140",
        ),
        (
            "model = \"m\"",
            "model = \"n\"",
            "gtfs-mapping.toml: sell 1, model: \"n\" is no model of this file",
        ),
        (
            "fare = \"rules\"",
            "fare = \"1.50\"",
            "gtfs-mapping.toml: sell 1, fare: a whole number: JPY has no decimals",
        ),
        (
            "fare = \"rules\"",
            "fares = { gold = \"1\" }",
            "gtfs-mapping.toml: sell 1, fare: the class standard",
        ),
        ("[\"r*\"]", "[\"q*\"]", "gtfs-mapping.toml: sell: no trip of the feed is of its routes and trips"),
        (
            "cut_off_secs = 600",
            "cut_off_secs = 9999999",
            "gtfs-mapping.toml: sell 1, cut_off_secs: a whole number",
        ),
        ("name = \"Small\"", "nam = \"Small\"", "gtfs-mapping.toml:2: unknown field `nam`"),
    ]
    .into_iter()
    .enumerate()
    {
        let mapping = mapping_of(&format!("wrong-{n}"), &MAPPING.replacen(from, to, 1));
        let feed = written("feed-of-wrong-mappings", &feed());
        from_gtfs(SMALL, &feed, &mapping, &folder("network-of-nothing"), true).refused(text);
    }
    // Four departures at once, and one bus.
    let times = "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n\
                 t1,10:00:00,10:00:00,A,1\nt1,12:00:00,12:00:00,C,2\nf1,0:00:00,0:00:00,A,1\nf1,1:00:00,1:00:00,C,2\n";
    let mut files = feed();
    files.insert("stop_times.txt", times.into());
    let mapping = mapping_of("few", &MAPPING.replace("101-104", "101"));
    let ran = from_gtfs(SMALL, &written("few-buses", &files), &mapping, &folder("network-few"), false);
    ran.refused("sell, buses: 101-101 are too few buses: 3 are needed at once");
}
