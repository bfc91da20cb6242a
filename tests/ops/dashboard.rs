//! The dashboard of config/grafana/farebox.json: Prometheus can parse its queries, and they name
//! metrics that exist.

use super::promtool::{described, parse_all, unknown};
use serde_json::Value;
use std::collections::BTreeSet;

/// What Grafana puts in place of its variables.
const INTERVAL: (&str, &str) = ("$__rate_interval", "1m");

fn dashboard() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/grafana/farebox.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// Each query with the title of its panel.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().unwrap();
    let of_panel = panels.iter().flat_map(|panel| {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(move |target| (title.to_owned(), target["expr"].as_str().unwrap().to_owned()))
    });
    of_panel.collect()
}

/// Each query as Grafana sends it, with the title of its panel.
pub fn all_queries() -> Vec<(String, String)> {
    let queries = queries(&dashboard()).into_iter();
    queries.map(|(title, query)| (title, query.replace(INTERVAL.0, INTERVAL.1))).collect()
}

#[test]
fn every_query_can_be_parsed_and_names_metrics_that_exist() {
    let (queries, table) = (all_queries(), described());
    assert!(queries.len() > 40, "{queries:?}");
    let texts: Vec<String> = queries.iter().map(|(_, query)| query.clone()).collect();
    assert!(!texts.concat().contains('$'), "a variable that this test does not know");
    parse_all(&texts).unwrap_or_else(|said| panic!("{said}"));
    for (title, query) in queries {
        assert_eq!(unknown(&query, &table), Vec::<String>::new(), "{title}: {query}");
    }
}

#[test]
fn a_query_that_is_wrong_is_noticed() {
    assert!(parse_all(&["sum(rate(farebox_jobs[5m]))".to_owned()]).is_ok());
    assert!(parse_all(&["sum(rate(farebox_jobs))".to_owned()]).is_err(), "a rate needs a range");
}

#[test]
fn each_subject_has_its_row_and_each_metric_is_drawn() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let rows = panels.iter().filter(|panel| panel["type"] == "row");
    let rows: Vec<&str> = rows.map(|row| row["title"].as_str().unwrap()).collect();
    assert_eq!(rows, ["Seats and money", "Flows", "Queue", "HTTP", "Database", "Processes"]);
    let all = queries(&dashboard).into_iter().map(|(_, query)| query).collect::<Vec<_>>().join("\n");
    let words: BTreeSet<&str> = all.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    for (name, metric) in described() {
        let parts: &[&str] = if metric.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        let drawn = parts.iter().any(|part| words.contains(format!("{name}{part}").as_str()));
        assert!(drawn, "{name} is on no panel");
    }
}
