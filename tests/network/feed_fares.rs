//! `fare_rules.txt`: each empty field is any, and the rule that names most counts.

use super::{
    Files, Ran, SMALL,
    feed_out::{feed, mapping},
    from_gtfs, written,
};
use crate::harness::folder;
use farebox::network;
use std::fs;

/// Converts the small feed with these rules, of fares with their ids as prices; t1 rides from A to C.
fn run(name: &str, rules: &str, usable: bool) -> Ran {
    let mut files: Files = feed();
    let fares = ["100", "200", "300", "400"].map(|id| format!("{id},{id},JPY\n")).concat();
    files.insert("fare_attributes.txt", format!("fare_id,price,currency_type\n{fares}").into());
    let head = "fare_id,route_id,origin_id,destination_id,contains_id\n";
    files.insert("fare_rules.txt", format!("{head}{rules}").into());
    let to = folder(&format!("network-fares-{name}"));
    let _ = fs::remove_dir_all(&to);
    let feed = written(&format!("fares-feed-{name}"), &files);
    from_gtfs(SMALL, &feed, &mapping(&format!("fares-{name}")), &to, usable)
}

fn fare(name: &str) -> String {
    let network = network::read(&folder(&format!("network-fares-{name}"))).unwrap().network;
    let day = "2026-06-03".parse().unwrap();
    network.fare(&network.departures["t1"], "standard", day).unwrap().to_string()
}

#[test]
fn the_rule_that_names_most_fields_of_a_ride_counts() {
    // Each fare has a rule, so that none is for every ride.
    let others = "100,q,,,\n200,q,,,\n300,q,,,\n400,q,,,\n";
    for (n, (rules, expected)) in [
        ("200,,,,\n", "200"),
        ("100,,,,\n200,r1,,,\n", "200"),
        ("100,,,,\n200,,A,,\n", "200"),
        ("100,,,,\n200,,,C,\n", "200"),
        ("100,r1,,,\n200,r1,A,,\n", "200"),
        ("100,,A,,\n200,r1,A,,\n", "200"),
        ("100,r1,,,\n200,r1,,C,\n", "200"),
        ("100,,,C,\n200,,A,C,\n", "200"),
        ("100,,A,C,\n200,r1,A,C,\n", "200"),
        // As many fields: the lowest.
        ("300,r1,A,,\n200,,A,C,\n400,r1,,C,\n100,r1,,,\n", "200"),
        ("400,r1,,,\n200,,A,,\n300,,,C,\n100,,,,\n", "200"),
        ("300,r1,A,,\n200,r1,A,,\n", "200"),
        // What names another route or zone does not count.
        ("200,r1,,,\n100,r1,C,,\n100,r1,,A,\n100,r2,A,C,\n", "200"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("rule-{n}");
        // Departures of the other direction have a fare of their own.
        run(&name, &format!("{others}{rules}400,r1,C,C,\n"), false).succeeded();
        assert_eq!(fare(&name), expected, "{rules}");
    }
    run("general", "100,r2,,,\n200,r1,C,A,\n300,r2,,,\n", false).succeeded();
    assert_eq!(fare("general"), "400", "a fare without a rule is for every ride");
}

#[test]
fn rules_by_zones_on_the_way_are_reported() {
    let rules = "200,r1,,,\n100,r1,A,C,z\n100,r1,A,C,y\n300,q,,,x\n400,q,,,\n";
    let ran = run("contains", rules, false);
    ran.refused("fare_rules.txt:3: contains_id: no zone on the way, by which no fare is found");
    assert_eq!(ran.err.lines().count(), 2, "reported once: {}", ran.err);
    run("contains", rules, true).succeeded();
    assert_eq!(fare("contains"), "200");
}
