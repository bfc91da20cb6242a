//! Files that are wrong, or meant to harm: each is refused with file, line and rule, and in bounded
//! memory.

use super::{Files, SMALL, check, network, small, written};
use crate::harness::folder;
use std::{
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};
use zip::{ZipWriter, write::SimpleFileOptions};

/// The small network with one file's text changed.
fn with(file: &'static str, text: &str) -> Files {
    let mut files = small();
    files.insert(file, text.as_bytes().to_vec());
    files
}

/// The small network with more lines at the end of one file.
fn and(file: &'static str, lines: &str) -> Files {
    let mut files = small();
    files.get_mut(file).unwrap().extend(lines.as_bytes());
    files
}

#[test]
fn the_small_network_is_right_in_every_script_and_line_ending() {
    check(&written("small", &small())).succeeded();
    let names = [
        "室蘭",
        "Ålesund",
        "القاهرة",
        "दिल्ली",
        "ไทย",
        "한국",
        "Ελλάδα",
        "Київ",
        "תל אביב",
        "👩‍👩‍👧",
        "မြန်မာ",
        "ქართ",
    ];
    let mut files = small();
    let stops: String = names.iter().enumerate().map(|(n, name)| format!("s{n},{name},,,,\r\n")).collect();
    let first = String::from_utf8(files["stops.csv"].clone()).unwrap().replace('\n', "\r\n");
    files.insert("stops.csv", format!("\u{feff}{first}\r\n{stops}").into_bytes());
    check(&written("scripts", &files)).succeeded();
}

fn wrong_stops() -> Vec<(Files, &'static str)> {
    vec![
        (
            with("stops.csv", "code,nam\na,A\n"),
            "stops.csv:1: no column \"nam\" is known here; the nearest is name",
        ),
        (with("stops.csv", "code\na\n"), "stops.csv:1: the column name is missing"),
        (with("stops.csv", "code,name,name\na,A,A\n"), "stops.csv:1: the column name stands twice"),
        (with("stops.csv", ""), "stops.csv: it begins with a line that names its columns"),
        (with("stop.csv", ""), "\"stop.csv\": no file of this name is known; the nearest is stops.csv"),
        (and("stops.csv", "a,Again,,,,\n"), "stops.csv:5: code: \"a\" stands on line 2 already"),
        (and("stops.csv", "x,Few\n"), "stops.csv:5: 6 cells, as the first line has; this has 2"),
        (and("stops.csv", "x y,X,,,,\n"), "stops.csv:5: code: 1 to 64 letters"),
        (and("stops.csv", "x,,,,,\n"), "stops.csv:5: name: it must not be empty"),
        (
            and("stops.csv", "x,a\u{202e}b,,,,\n"),
            "stops.csv:5: name: no control or invisible characters: U+202E",
        ),
        (and("stops.csv", "x,X,91,0,,\n"), "stops.csv:5: latitude: degrees from -90 to 90"),
        (and("stops.csv", "x,X,NaN,0,,\n"), "stops.csv:5: latitude: degrees from -90 to 90"),
        (and("stops.csv", "x,X,1,,,\n"), "stops.csv:5: latitude: latitude and longitude are both given"),
        (and("stops.csv", "x,X,,,Mars/Base,\n"), "stops.csv:5: zone: an IANA zone like Europe/Berlin"),
        (and("stops.csv", "\"x,X,,,,\n"), "stops.csv:5: a quote that is never closed"),
    ]
}

fn wrong_buses_and_directions() -> Vec<(Files, &'static str)> {
    vec![
        (and("buses.csv", "0,m\n"), "buses.csv:4: number: a whole number from 1 to 1000000000"),
        (and("buses.csv", "99999999999,m\n"), "buses.csv:4: number: a whole number from 1"),
        (and("buses.csv", "3,none\n"), "buses.csv:4: model: \"none\" is not in models.toml"),
        (and("directions.csv", "none,0,X\n"), "directions.csv:3: route: \"none\" is not in routes.csv"),
        (
            and("directions.csv", "r,1,X\n"),
            "directions.csv:3: direction: a direction has 2 to 300 stops, this has 0",
        ),
        (and("directions.csv", "r,-1,X\n"), "directions.csv:3: direction: a whole number from 0 to 999"),
        (and("direction_stops.csv", "r,0,5,a\n"), "direction_stops.csv:5: position: positions are 1, 2, 3"),
        (
            and("direction_stops.csv", "r,0,3,a\n"),
            "direction_stops.csv:5: position: position 3 of this direction",
        ),
        (and("direction_stops.csv", "r,0,4,z\n"), "direction_stops.csv:5: stop: \"z\" is not in stops.csv"),
    ]
}

fn wrong_days() -> Vec<(Files, &'static str)> {
    let zero = "code,route,direction,bus,calendar,departs,legs\n";
    vec![
        (
            and("calendars.csv", "x,mon,2026-02-30,2026-03-01\n"),
            "calendars.csv:3: from: a date like 2026-01-31",
        ),
        (
            and("calendars.csv", "x,mon,2026-03-02,2026-03-01\n"),
            "calendars.csv:3: until: a date that is not before",
        ),
        (and("calendars.csv", "x,mon,,\n"), "calendars.csv:3: days: days, from and until are all given"),
        (and("calendars.csv", "x,mon,1970-01-01,2199-12-31\n"), "calendars.csv:3: code: at most 3660 days"),
        (
            with("departures.csv", &format!("{zero}d,r,0,1,k,48:00,10 5\n")),
            "departures.csv:2: departs: a time like",
        ),
        (
            with("departures.csv", &format!("{zero}d,r,0,1,k,8:00,10\n")),
            "departures.csv:2: legs: 2 legs between 3 stops",
        ),
        (
            with("departures.csv", &format!("{zero}d,r,0,1,k,8:00,0 0\n")),
            "departures.csv:2: legs: 1 to 1440 minutes",
        ),
        (
            with("departures.csv", &format!("{zero}d,r,0,1,k,8:00,65536 1\n")),
            "departures.csv:2: legs: minutes with",
        ),
        (
            with("departures.csv", &format!("{zero}d,r,7,1,k,8:00,1 1\n")),
            "departures.csv:2: direction: direction 7 of r",
        ),
        (
            with("departures.csv", &format!("{zero}d,r,0,7,k,8:00,1 1\n")),
            "departures.csv:2: bus: \"7\" is not in buses.csv",
        ),
        (
            with("departures.csv", &format!("{zero}d,r,0,1,k,8:00,10 5\ne,r,0,1,k,8:14,10 5\n")),
            "departures.csv:3: bus: bus 1 is on d at that time on 60 days, first on 2026-06-01 with e",
        ),
        (
            with("departures.csv", &format!("{zero}d,r,0,1,k,8:00,10 5\ne,r,0,1,k,31:50,20 5\n")),
            "departures.csv:2: bus: bus 1 is on e at that time on 59 days",
        ),
    ]
}

fn wrong_fares_and_heads() -> Vec<(Files, &'static str)> {
    vec![
        (
            with("fares.csv", "route,class,amount\nr,standard,1.505\n"),
            "fares.csv:2: amount: a number with at most 2",
        ),
        (
            with("fares.csv", "route,class,amount\n"),
            "routes.csv:2: code: direction 0 of r has no fare for the class standard",
        ),
        (and("fares.csv", "r,gold,1\n"), "fares.csv: class: no bus model has a seat of the class gold"),
        (
            with("fares.csv", "route,class,amount,from\nr,standard,1,\nr,standard,2,2026-07-01\n"),
            "fares.csv:3: from: its period overlaps that of line 2",
        ),
        (with("network.toml", "name = 1\n"), "network.toml:1: invalid type: integer `1`, expected a string"),
        (with("network.toml", "nam = \"x\"\n"), "network.toml:1: unknown field `nam`"),
        (
            with("models.toml", "[[model]]\ncode = \"m\"\nname = \"M\"\n"),
            "models.toml: model \"m\", deck: 1 to 4 decks",
        ),
        (with("models.toml", &"[".repeat(100_000)), "models.toml:"),
    ]
}

#[test]
fn each_wrong_file_is_refused_by_file_line_and_rule() {
    let cases = [wrong_stops(), wrong_buses_and_directions(), wrong_days(), wrong_fares_and_heads()].concat();
    for (n, (files, text)) in cases.into_iter().enumerate() {
        check(&written(&format!("wrong-{n}"), &files)).refused(text);
    }
    let mut latin = small();
    latin.get_mut("stops.csv").unwrap().extend(b"x,Z\xfcrich,,,,\n");
    check(&written("latin", &latin)).refused("stops.csv:5: UTF-8, but a byte is 0xFC");
    let mut missing = small();
    missing.remove("fares.csv");
    check(&written("missing", &missing)).refused("fares.csv: this file is missing");
    check(Path::new("/nowhere")).refused("/nowhere: No such file");
}

#[test]
fn faults_are_bounded_and_counted() {
    let lines: String = (0..100_000).map(|n| format!("x{n},,,,,\n")).collect();
    let ran = check(&written("faults", &and("stops.csv", &lines)));
    ran.refused("and 99900 more faults");
    assert_eq!(ran.err.lines().count(), 101);
}

/// A zip of one file that is this many zeros.
fn zeros(name: &str, file: &str, bytes: u64) -> PathBuf {
    let path = folder(name);
    let mut zip = ZipWriter::new(fs::File::create(&path).unwrap());
    zip.start_file(file, SimpleFileOptions::default()).unwrap();
    std::io::copy(&mut std::io::repeat(0).take(bytes), &mut zip).unwrap();
    zip.start_file("network.toml", SimpleFileOptions::default()).unwrap();
    zip.write_all(&small()["network.toml"]).unwrap();
    zip.finish().unwrap();
    path
}

#[test]
fn zeros_zipped_and_endless_records_take_no_memory() {
    let bomb = zeros("zeros.zip", "stops.csv", 1 << 30);
    assert!(fs::metadata(&bomb).unwrap().len() < 8 << 20);
    check(&bomb).refused("stops.csv:1: a record of at most 1048576 bytes");
    let bomb = zeros("zeros-toml.zip", "models.toml", 64 << 20);
    check(&bomb).refused("models.toml: ");
    let bomb = zeros("zeros-feed.zip", "routes.txt", 64 << 20);
    let mapping = super::feed_out::mapping("zeros-feed");
    let ran = super::from_gtfs(SMALL, &bomb, &mapping, &folder("network-of-zeros"), true);
    ran.refused("routes.txt:1: a record of at most 1048576 bytes");
    // A file that is as large, of blank lines, and not zipped.
    let path = written("blank-lines", &small());
    let mut file = fs::OpenOptions::new().append(true).open(path.join("stops.csv")).unwrap();
    for _ in 0..70 {
        file.write_all(&vec![b'\n'; 1 << 20]).unwrap();
    }
    check(&path).refused("stops.csv:67108775: this file is larger than may be read");
    // A zip whose end names more files than there may be.
    let path = folder("many.zip");
    let mut end = b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff".to_vec();
    end.extend([0; 10]);
    fs::write(&path, end).unwrap();
    check(&path).refused("at most 1000 files, this has 65535");
    fs::write(&path, b"PK").unwrap();
    assert!(!check(&path).is_ok);
}

#[test]
fn a_list_of_a_hundred_thousand_stops_is_read() {
    let lines: String = (0..100_000).map(|n| format!("x{n},駅{n},42.3,140.9,Asia/Tokyo,\n")).collect();
    let path = written("many-stops", &and("stops.csv", &lines));
    let ran = network(SMALL, &[Path::new("check"), &path, Path::new("--from"), Path::new("2026-06-01")]);
    assert!(ran.succeeded().out.contains("100003 stops"));
}

#[test]
fn a_folder_that_is_not_empty_is_not_written_into() {
    let feed = super::feed_out::small_feed("not-empty");
    let full = written("full", &small());
    let ran = super::from_gtfs(SMALL, &feed, &super::feed_out::mapping("not-empty"), &full, false);
    ran.refused("is not empty, so nothing was written");
    assert_eq!(fs::read_dir(&full).unwrap().count(), small().len());
}
