//! The clock of a feed's times: a zone that is not known is never another one.

use super::{
    Files, Ran, SMALL,
    feed_out::{MAPPING, feed, mapping, mapping_of},
    from_gtfs, written,
};
use crate::harness::folder;
use farebox::network;
use std::{fs, path::PathBuf};

fn changed(file: &'static str, from: &str, to: &str) -> Files {
    let mut files = feed();
    let text = String::from_utf8(files[file].clone()).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    files.insert(file, text.replacen(from, to, 1).into_bytes());
    files
}

fn to(name: &str) -> PathBuf {
    folder(&format!("network-zones-{name}"))
}

fn run(name: &str, files: &Files, mapping: &std::path::Path) -> Ran {
    let _ = fs::remove_dir_all(to(name));
    from_gtfs(SMALL, &written(&format!("zones-feed-{name}"), files), mapping, &to(name), true)
}

/// When a departure of the network leaves on its first day.
fn departs(name: &str, code: &str) -> String {
    let network = network::read(&to(name)).unwrap().network;
    network.times(&network.departures[code], "2026-06-03".parse().unwrap()).unwrap().0.to_rfc3339()
}

#[test]
fn departures_of_a_zone_that_is_not_known_cannot_be_used() {
    let zoned = MAPPING.replace("start_date", "zone = \"Asia/Seoul\"\nstart_date");
    for (n, (zone, text)) in [
        ("", "agency.txt:2: agency_timezone: it must not be empty; its departures are left out"),
        ("JST+9", "agency.txt:2: agency_timezone: an IANA zone like Europe/Berlin; it is \"JST+9\""),
        ("asia/tokyo", "agency.txt:2: agency_timezone: an IANA zone"),
        ("GMT+1", "agency.txt:2: agency_timezone: an IANA zone"),
    ]
    .into_iter()
    .enumerate()
    {
        let files = changed("agency.txt", "Asia/Tokyo", zone);
        let name = format!("unknown-{n}");
        let ran = run(&name, &files, &mapping(&name));
        ran.refused(text);
        ran.refused("gtfs-mapping.toml: zone: no agency of the feed has a zone that is known");
        assert!(!to(&name).exists());
        let ran = run(&name, &files, &mapping_of(&format!("zoned-{n}"), &zoned)).succeeded();
        assert!(ran.out.contains("4 departures") && ran.err.is_empty(), "{}", ran.err);
        assert_eq!(departs(&name, "t1"), "2026-06-02T23:05:00+00:00");
    }
    let mut files = feed();
    files.remove("agency.txt");
    run("missing", &files, &mapping("missing")).refused("agency.txt: this file is missing, and the mapping");
    run("missing", &files, &mapping_of("zoned-missing", &zoned)).succeeded();
}

#[test]
fn an_agency_that_is_not_there_has_no_clock_but_that_of_all() {
    let unknown = |agencies: &str, agency: &str| {
        let mut files = changed("routes.txt", "r1,1,", &format!("r1,{agency},"));
        let head = "agency_id,agency_name,agency_url,agency_timezone\n1,A,,Asia/Tokyo\n";
        files.insert("agency.txt", format!("{head}{agencies}").into());
        files
    };
    let text = "routes.txt:2: agency_id: an agency of agency.txt";
    let ran = run("one", &unknown("", "zz"), &mapping("one")).succeeded();
    assert!(ran.err.contains(text) && ran.out.contains("4 departures"), "{}", ran.err);
    let ran = run("same", &unknown("2,B,,Asia/Tokyo\n", "zz"), &mapping("same")).succeeded();
    assert!(ran.err.contains(text) && ran.out.contains("4 departures"), "{}", ran.err);
    assert_eq!(departs("same", "t1"), "2026-06-02T23:05:00+00:00");
    let other = "2,B,,Asia/Kolkata\n";
    for (name, agency) in [("named", "zz"), ("unnamed", "")] {
        let ran = run(name, &unknown(other, agency), &mapping(name));
        ran.refused(text);
        ran.refused("its departures are left out");
    }
    let ran = run("plain", &unknown("", ""), &mapping("plain")).succeeded();
    assert!(ran.err.is_empty(), "a single agency needs no name: {}", ran.err);
    // Of two agencies, one has a zone that is not known: the departures of the other are offered.
    let mut files = unknown("2,B,,Mars/Base\n", "1");
    let text = String::from_utf8(files["routes.txt"].clone()).unwrap().replace("x,1,X", "rx,2,X");
    files.insert("routes.txt", text.into());
    let text = String::from_utf8(files["trips.txt"].clone()).unwrap().replace("x,wd,x1", "rx,wd,x1");
    files.insert("trips.txt", text.into());
    let ran = run("half", &files, &mapping("half")).succeeded();
    assert!(
        ran.err.contains("agency.txt:3: agency_timezone") && ran.out.contains("4 departures"),
        "{}",
        ran.err
    );
}
