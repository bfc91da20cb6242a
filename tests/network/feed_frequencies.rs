//! `frequencies.txt`: what cannot be used is reported once a line, and departures keep codes.

use super::{
    Files, Ran, SMALL,
    feed_out::{feed, mapping},
    from_gtfs, written,
};
use crate::harness::folder;
use farebox::network;
use std::fs;

/// Converts the small feed with these lines. Without them, it has two other departures.
fn run(name: &str, lines: &str, change: impl FnOnce(&mut Files), usable: bool) -> Ran {
    let mut files = feed();
    files.insert("frequencies.txt", format!("trip_id,start_time,end_time,headway_secs\n{lines}").into());
    change(&mut files);
    let to = folder(&format!("network-frequencies-{name}"));
    let _ = fs::remove_dir_all(&to);
    from_gtfs(
        SMALL,
        &written(&format!("frequencies-feed-{name}"), &files),
        &mapping(&format!("freq-{name}")),
        &to,
        usable,
    )
}

#[test]
fn each_line_that_cannot_be_used_is_reported_once() {
    for (n, (lines, text, departures)) in [
        ("f1,10:00:00,9:00:00,600", "frequencies.txt:2: end_time: a time after start_time; the trip is left out; it is \"9:00:00\"", 2),
        ("f1,10:00:00,10:00:00,600", "frequencies.txt:2: end_time: a time after start_time", 2),
        ("f1,,11:00:00,600", "frequencies.txt:2: start_time: it must not be empty", 2),
        ("f1,10:00:00,,600", "frequencies.txt:2: end_time: it must not be empty", 2),
        ("f1,10:00:00,11:00:00,", "frequencies.txt:2: headway_secs: it must not be empty", 2),
        ("f1,10:00:00", "frequencies.txt:2: end_time: it must not be empty", 2),
        ("f1,10:60:00,11:00:00,600", "frequencies.txt:2: start_time: a time like 8:05:00", 2),
        (
            "f1,10:00:00,11:00:00,600\nf1,12:00:00,11:00:00,600",
            "frequencies.txt:3: end_time: a time after start_time; the trip is left out",
            2,
        ),
        (
            "f1,47:00:00,143:00:00,1800",
            "frequencies.txt:2: end_time: departures before 48:00; 190 of its 192 are left out; it is \"143:00:00\"",
            4,
        ),
        (
            "f1,10:00:00,11:00:00,600\nf1,10:50:00,11:30:00,1200",
            "frequencies.txt:3: start_time: a trip departs once in a minute; 1 of its 2 are left out",
            9,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("line-{n}");
        let ran = run(&name, lines, |_| (), false);
        ran.refused(text);
        ran.refused(&format!("nothing was written; {departures} departures can be used"));
        let of_file = ran.err.lines().filter(|line| line.starts_with("frequencies.txt")).count();
        assert_eq!(of_file, if lines == "f1,10:00:00" { 2 } else { 1 }, "{}", ran.err);
        assert!(!ran.err.contains("\ntrips.txt"), "{}", ran.err);
        let ran = run(&name, lines, |_| (), true).succeeded();
        assert!(ran.out.contains(&format!("{departures} departures")), "{}", ran.out);
    }
}

#[test]
fn a_departure_never_takes_the_place_of_another() {
    let another = |files: &mut Files| {
        files.get_mut("trips.txt").unwrap().extend(b"r1,wd,f1:1000,,0,\n");
        let times = b"f1:1000,5:00:00,5:00:00,A,1\nf1:1000,5:30:00,5:30:00,C,2\n";
        files.get_mut("stop_times.txt").unwrap().extend(times);
    };
    let lines = "f1,10:00:00,11:00:00,1800";
    run("taken", lines, another, false)
        .refused("trips.txt:6: trip_id: the departure f1:1000 is there already, of the trip of line 4");
    let ran = run("taken", lines, another, true).succeeded();
    assert!(ran.out.contains("4 departures"), "{}", ran.out);
    let network = network::read(&folder("network-frequencies-taken")).unwrap().network;
    assert_eq!(network.departures["f1:1000"].departs.to_string(), "10:00", "the first is taken");
}
