//! The operator's network as files: the real binary on good, dirty, hostile and large ones.

mod big_feed;
mod big_import;
mod currencies;
mod days;
mod days_made;
mod demo;
mod dirty_feeds;
mod documents;
mod extra_trips;
mod feed_days;
mod feed_fares;
mod feed_faults;
mod feed_frequencies;
mod feed_out;
mod feed_zones;
mod hostile_files;
mod hostile_zips;
pub mod import;
mod import_list;
mod import_progress;
mod mappings;
mod moved;
mod one_trip;
mod one_trip_console;
mod one_trip_kept;
mod operating;
mod over_http;
mod real_feed;
mod rules;
mod rules_of_many;
mod selling;
pub mod sold;
mod sold_guards;
mod sold_kills;
mod sold_races;
mod sold_refunds;
mod stops_before;
mod undoing;
mod upgrade;

use crate::harness::{command, folder};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What the binary printed, and whether it succeeded.
pub struct Ran {
    pub is_ok: bool,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn succeeded(self) -> Self {
        assert!(self.is_ok, "{}\n{}", self.out, self.err);
        self
    }

    /// Fails unless it was refused with this text.
    pub fn refused(&self, text: &str) {
        assert!(!self.is_ok && self.err.contains(text), "no {text:?} in: {}\n{}", self.out, self.err);
    }
}

/// Runs `farebox network …` with at most this much memory, MiB of addresses.
pub fn network(memory_mib: u64, args: &[&Path]) -> Ran {
    limited(memory_mib, &[&[Path::new("network")], args].concat(), None)
}

/// Runs `farebox …` with at most this much memory, MiB of addresses, on this database if one is given.
pub fn limited<A: AsRef<OsStr>>(memory_mib: u64, args: &[A], database: Option<&str>) -> Ran {
    let mut shell = Command::new("bash");
    let limit = format!("ulimit -v {}; exec \"$@\"", memory_mib * 1024);
    shell.args(["-c", &limit, "bash", env!("CARGO_BIN_EXE_farebox")]).args(args);
    // Each thread's own heap would take addresses that it never uses.
    shell.env("MALLOC_ARENA_MAX", "1").env("FAREBOX_ENV", "test");
    if let Some(url) = database {
        let of_tests = command(env!("CARGO_BIN_EXE_farebox"), url, &[]);
        shell.envs(of_tests.get_envs().filter_map(|(name, value)| Some((name, value?))));
    }
    let ran = shell.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { is_ok: ran.status.success(), out: text(&ran.stdout), err: text(&ran.stderr) }
}

/// Memory that every small network can be read in, MiB of addresses.
pub const SMALL: u64 = 300;

pub fn check(path: &Path) -> Ran {
    let from = ["--from", "2026-06-01"].map(Path::new);
    network(SMALL, &[Path::new("check"), path, from[0], from[1]])
}

pub fn from_gtfs(memory_mib: u64, feed: &Path, mapping: &Path, to: &Path, usable: bool) -> Ran {
    let [command, mapping_option, to_option, usable_option, from_option, from] =
        ["from-gtfs", "--mapping", "--to", "--usable", "--from", "2026-06-01"].map(Path::new);
    let mut args = vec![command, feed, mapping_option, mapping, to_option, to, from_option, from];
    args.extend(usable.then_some(usable_option));
    network(memory_mib, &args)
}

/// Files by name.
pub type Files = BTreeMap<&'static str, Vec<u8>>;

/// A small network that is right.
pub fn small() -> Files {
    let texts = [
        (
            "network.toml",
            "name = \"Small\"\nzone = \"Europe/Berlin\"\ncurrency = \"EUR\"\nlanguages = [\"en\", \"ja\"]\n\
             url = \"https://example.org/\"\n",
        ),
        ("models.toml", "[[model]]\ncode = \"m\"\nname = \"M\"\ndeck = [{ rows = [\"1 _ 2\"] }]\n"),
        (
            "stops.csv",
            "code,name,latitude,longitude,zone,name.ja\na,Alpha,1,2,,あ\nb,\"Beta, B\",-1.5,2,,\nc,Gamma,0,0,,\n",
        ),
        ("buses.csv", "number,model\n1,m\n2,m\n"),
        ("routes.csv", "code,name\nr,R\n"),
        ("directions.csv", "route,direction,name\nr,0,Out\n"),
        ("direction_stops.csv", "route,direction,position,stop\nr,0,1,a\nr,0,2,b\nr,0,3,c\n"),
        ("calendars.csv", "code,days,from,until\nk,daily,2026-01-01,2026-12-31\n"),
        ("departures.csv", "code,route,direction,bus,calendar,departs,legs\nd,r,0,1,k,8:00,10 5\n"),
        ("fares.csv", "route,class,amount\nr,standard,1.50\n"),
    ];
    texts.into_iter().map(|(name, text)| (name, text.as_bytes().to_vec())).collect()
}

/// A folder of this run with these files.
pub fn written(name: &str, files: &Files) -> PathBuf {
    let path = folder(&format!("network-{name}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    for (file, bytes) in files {
        fs::write(path.join(file), bytes).unwrap();
    }
    path
}
