//! The alerts of config/alerts.yml: they use metrics that exist, and fire in time.

use crate::harness::{Process, World, until};
use farebox::settings::DEFAULT_OVERDUE_BOUND;
use farebox_jobs::{MqTag, retry_policy};
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_uses_metrics_that_exist() {
    let world = World::new().await;
    let worker = Process::worker(&world.db.url, &[("FAREBOX__WORKER__METRICS_LISTEN", "127.0.0.1:0")], &[]);
    let ops = &world.ops;
    until("the invariants were checked", async || {
        ops.get("/metrics").await.text.contains("farebox_invariants_age")
    })
    .await;
    let text = reqwest::get(format!("{}/metrics", worker.metrics())).await.unwrap().text().await.unwrap();
    let shown = format!("{}\n{text}", ops.get("/metrics").await.text);
    let mut known: BTreeSet<&str> =
        shown.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    known.insert("farebox_http_refused"); // shown once a request was refused
    let alerts = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/alerts.yml")).unwrap();
    let expressions: Vec<&str> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert!(expressions.len() >= 9, "{expressions:?}");
    for expression in expressions {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for metric in words.filter(|word| word.starts_with("farebox_")) {
            assert!(known.contains(metric.trim_end_matches("_total")), "{metric} in {expression}: {known:?}");
        }
    }
}

/// The alert's lines.
fn alert<'a>(rules: &'a str, name: &str) -> &'a str {
    let rule = rules.split("- alert: ").find(|rule| rule.lines().next() == Some(name));
    rule.unwrap_or_else(|| panic!("no alert {name}"))
}

/// The rest of the line that begins so.
fn after<'a>(text: &'a str, start: &str) -> &'a str {
    let rest = text.lines().find_map(|line| line.trim().strip_prefix(start));
    rest.unwrap_or_else(|| panic!("no {start:?} in {text}"))
}

/// Seconds, as Prometheus writes a time.
fn secs(time: &str) -> f64 {
    let (number, unit) = time.trim().split_at(time.trim().len() - 1);
    number.parse::<f64>().unwrap() * if unit == "m" { 60.0 } else { 1.0 }
}

#[test]
fn overdue_pending_work_fires_an_alert_within_two_minutes() {
    const TWO_MINUTES: f64 = 120.0;
    let rules = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/alerts.yml")).unwrap();
    // What happened is seen at the next scrape, and judged at the next evaluation after that.
    let seen = secs(after(&rules, "# scrape_interval: ")) + secs(after(&rules, "# evaluation_interval: "));

    let failing = alert(&rules, "RollbackFailing");
    let attempts: i32 = after(failing, "expr: ").rsplit(">= ").next().unwrap().parse().unwrap();
    assert_eq!(attempts, 5);
    let others = ["order_unpaid", "timetable", "bulk"];
    assert!(failing.contains(&format!("tag!~\"{}\"", others.join("|"))), "{failing}");
    for tag in MqTag::ALL.into_iter().filter(|tag| !others.contains(&tag.wire())) {
        let policy = retry_policy(tag);
        let failed: f64 = (1..=attempts).map(|attempt| policy.ceiling(attempt).as_secs_f64()).sum();
        let fires = failed + seen + secs(after(failing, "for: "));
        assert!(policy.max_attempts > attempts && fires < TWO_MINUTES, "{tag}: after {fires} s");
    }

    let overdue = alert(&rules, "DebtOverdue");
    let threshold = after(overdue, "expr: ").rsplit("> ").next().unwrap().parse::<f64>().unwrap();
    assert!(
        (threshold - DEFAULT_OVERDUE_BOUND.as_secs_f64()).abs() < f64::EPSILON,
        "the bound of the invariant"
    );
    let fires = threshold + seen + secs(after(overdue, "for: "));
    assert!(fires < TWO_MINUTES, "after {fires} s");
}
