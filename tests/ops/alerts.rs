//! The alerts of config/alerts.yml: they use metrics that exist, fire in their case and not beside it,
//! in time, and lead to the runbook and to the console.

use super::promtool::{described, promtool, unknown};
use crate::{console::session::ConsoleSession, harness::World};
use farebox::settings::DEFAULT_OVERDUE_BOUND;
use farebox_jobs::{MqTag, retry_policy};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A path within the repository.
fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn rules() -> String {
    fs::read_to_string(at("config/alerts.yml")).unwrap()
}

/// The names of the alerts, in their order.
fn names(rules: &str) -> Vec<&str> {
    rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect()
}

/// The files of promtool's unit tests.
fn unit_tests() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(at("tests/ops/alert_rules")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The query of an alert, on one line or folded over several.
fn expression(alert: &str) -> String {
    let (first, rest) = alert.split_once("\n        expr: ").unwrap().1.split_once('\n').unwrap();
    if first != ">-" {
        return first.to_owned();
    }
    let folded = rest.lines().take_while(|line| line.starts_with("          "));
    folded.map(str::trim).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_alert_uses_metrics_that_exist() {
    let (rules, table) = (rules(), described());
    for name in names(&rules) {
        let expression = expression(alert(&rules, name));
        assert!(expression.contains("farebox"), "{name}: {expression}");
        assert_eq!(unknown(&expression, &table), Vec::<String>::new(), "{name}: {expression}");
    }
}

#[test]
fn prometheus_accepts_the_rules_and_each_fires_in_its_case_and_not_beside_it() {
    promtool(&["check", "rules", "config/alerts.yml"], "").unwrap_or_else(|said| panic!("{said}"));
    let files = unit_tests();
    let mut args = vec!["test", "rules"];
    args.extend(files.iter().map(|file| file.to_str().unwrap()));
    promtool(&args, "").unwrap_or_else(|said| panic!("{said}"));
}

/// In how many of promtool's unit tests each alert fires at some time, and never fires.
fn cases() -> BTreeMap<String, [usize; 2]> {
    let mut cases = BTreeMap::<String, [usize; 2]>::new();
    for file in unit_tests() {
        let text = fs::read_to_string(file).unwrap();
        for case in text.split("  - name: ").skip(1) {
            let mut fires = BTreeMap::<&str, bool>::new();
            for check in case.split("ALERTS{alertname=\"").skip(1) {
                let (name, rest) = check.split_once('"').unwrap();
                assert!(rest.starts_with(",alertstate=\"firing\"})"), "{check}");
                let expected = rest.split("exp_samples:").nth(1).unwrap();
                *fires.entry(name).or_default() |= !expected.trim_start().starts_with("[]");
            }
            for (name, fires) in fires {
                cases.entry(name.to_owned()).or_default()[usize::from(!fires)] += 1;
            }
        }
    }
    cases
}

#[test]
fn every_alert_has_unit_tests_for_its_case_and_beside_it() {
    let (rules, cases) = (rules(), cases());
    for name in names(&rules) {
        let [fires, silent] = cases.get(name).copied().unwrap_or_default();
        assert!(fires > 0, "{name} fires in no case of tests/ops/alert_rules");
        assert!(silent > 0, "{name} is silent in no case of tests/ops/alert_rules");
    }
    let known: BTreeSet<&str> = names(&rules).into_iter().collect();
    let others: Vec<&String> = cases.keys().filter(|name| !known.contains(name.as_str())).collect();
    assert_eq!(others, Vec::<&String>::new(), "cases of no alert");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_leads_to_its_section_of_the_runbook_and_to_a_page_of_the_console() {
    let (rules, runbook) = (rules(), fs::read_to_string(at("docs/operators/runbook.md")).unwrap());
    let mut pages = BTreeSet::new();
    for name in names(&rules) {
        let alert = alert(&rules, name);
        let link =
            format!("'{{{{ $externalLabels.farebox_docs }}}}/operators/runbook.md#{}'", name.to_lowercase());
        assert_eq!(after(alert, "runbook_url: "), link, "{name}");
        let page = after(alert, "console_url: '{{ $externalLabels.farebox_console }}").trim_end_matches('\'');
        let section = runbook.split(&format!("\n## {name}\n")).nth(1).unwrap_or_else(|| panic!("no {name}"));
        let section = section.split("\n## ").next().unwrap();
        let console = format!("**Console:** `{page}`");
        for part in ["**Meaning:**", "**Check:**", "**Act:**", console.as_str()] {
            assert!(section.contains(part), "no {part} in the section {name}");
        }
        let severity = if alert.contains("severity: page") { "*Page.*" } else { "*Ticket.*" };
        assert!(section.trim_start().starts_with(severity), "{name} is no {severity}");
        pages.insert(page.to_owned());
    }
    let world = World::new().await;
    let ops = ConsoleSession::enter(&world, "ops").await;
    for page in pages {
        ops.page(&page).await;
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
    let rules = rules();
    // What happened is seen at the next scrape, and judged at the next evaluation after that.
    let seen = secs(after(&rules, "# scrape_interval: ")) + secs(after(&rules, "# evaluation_interval: "));

    let failing = alert(&rules, "RollbackFailing");
    let attempts: i32 = after(failing, "expr: ").rsplit(">= ").next().unwrap().parse().unwrap();
    assert_eq!(attempts, 5);
    let others = ["order_unpaid", "timetable", "bulk", "webhook_event", "webhook_delivery"];
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
