//! What a mapping sells of a feed, and what of it fits nothing.

use super::{
    SMALL,
    feed_out::{MAPPING, mapping_at, small_feed},
    from_gtfs,
};
use crate::harness::folder;
use std::fs;

/// Converts the small feed by this mapping file.
fn by(file: &str, text: &str, usable: bool) -> super::Ran {
    let to = folder(&format!("network-by-{file}"));
    let _ = fs::remove_dir_all(&to);
    let mapping = mapping_at(&format!("network-mappings-{file}"), file, text);
    from_gtfs(SMALL, &small_feed(&format!("by-{file}")), &mapping, &to, usable)
}

#[test]
fn faults_name_the_mapping_as_it_was_given() {
    let wrong = MAPPING.replace("\"JPY\"", "\"XXX\"");
    by("summer.toml", &wrong, false).refused("summer.toml: currency: a currency's code of ISO 4217");
    let wrong = MAPPING.replace("name = \"Small\"", "nam = \"Small\"");
    by("winter.toml", &wrong, false).refused("winter.toml:2: unknown field `nam`");
    let few = MAPPING.replace("101-104", "101").replace("[\"r*\"]", "[\"q*\"]");
    by("few.toml", &few, true).refused("few.toml: sell: no trip of the feed is of its routes and trips");
}

#[test]
fn a_part_without_routes_sells_all() {
    let all = MAPPING.replace("routes = [\"r*\"]\n", "");
    let ran = by("all.toml", &all, false).succeeded();
    assert!(
        ran.out.contains("5 departures") && ran.out.contains("4 trips of the feed are sold"),
        "{}",
        ran.out
    );
    let none = MAPPING.replace("routes = [\"r*\"]\n", "routes = []\n");
    by("none.toml", &none, false).refused("none.toml: sell 1, routes: 1 to 1000 patterns");
}

#[test]
fn what_fits_nothing_is_named_by_its_entry() {
    let part = |text: &str| {
        format!("{MAPPING}\n[[sell]]\n{text}\nmodel = \"m\"\nbuses = \"201-204\"\nfare = \"300\"\n")
    };
    for (n, (text, rule)) in [
        ("routes = [\"x\", \"NOPE*\"]", "sell 2, routes: a pattern of a route of the feed; it is \"NOPE*\""),
        (
            "routes = [\"ZZZ\"]\ntrips = [\"x1\"]",
            "sell 2, routes: a pattern of a route of the feed; it is \"ZZZ\"",
        ),
        (
            "routes = [\"x\"]\ntrips = [\"x*\", \"y1\"]",
            "sell 2, trips: a pattern of a trip of its routes; it is \"y1\"",
        ),
        (
            "routes = [\"x\"]\ntrips = [\"x*\", \"t1\"]",
            "sell 2, trips: a pattern of a trip of its routes; it is \"t1\"",
        ),
        (
            "routes = [\"x\"]\ndirections = [0, 1]",
            "sell 2, directions: a direction of a trip of its routes; it is 1",
        ),
        (
            "routes = [\"r1\"]",
            "sell 2: no trip of the feed is of this part; a trip is of the first part that has it",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let file = format!("nothing-{n}.toml");
        let ran = by(&file, &part(text), false);
        ran.refused(&format!("{file}: {rule}"));
        ran.refused("departures can be used: --usable takes them");
        assert_eq!(ran.err.lines().count(), 2, "one fault: {}", ran.err);
        by(&file, &part(text), true).succeeded();
    }
    let ran =
        by("each.toml", &part("routes = [\"x\"]\ntrips = [\"x1\"]\ndirections = [0]"), false).succeeded();
    assert!(ran.out.contains("5 departures") && ran.err.is_empty(), "{}", ran.err);
}
