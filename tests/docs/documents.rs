//! The books for operators and clients name what the program has.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A path within the repository.
fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_clients_book_has_every_problem_and_no_other() {
    let problems = &farebox::http::description()["components"]["schemas"]["ProblemCode"]["x-problems"];
    let rows = problems.as_array().unwrap().iter().map(|one| {
        let text = |name: &str| one[name].as_str().unwrap();
        let (code, status) = (text("code"), one["status"].as_u64().unwrap());
        format!("| {code} | {status} | {} | {} | {} |", text("title"), text("titleZh"), text("next"))
    });
    let book = text("docs/clients/errors.md");
    let listed: Vec<&str> = book.lines().filter(|line| line.starts_with("| 00")).collect();
    let rows: Vec<String> = rows.collect();
    for row in &rows {
        assert!(listed.contains(&row.as_str()), "docs/clients/errors.md lacks {row}");
    }
    assert_eq!(listed.len(), rows.len(), "docs/clients/errors.md has a code that the program does not have");
}

#[test]
fn the_runbook_has_a_section_for_every_alert_and_no_other() {
    let (rules, runbook) = (text("config/alerts.yml"), text("docs/operators/runbook.md"));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let sections: Vec<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert!(!alerts.is_empty());
    assert_eq!(
        sections, alerts,
        "the sections of docs/operators/runbook.md and the alerts of config/alerts.yml"
    );
}

/// The keys of `config/default.toml` by their sections.
fn settings() -> BTreeMap<String, BTreeSet<String>> {
    let (mut settings, mut section) = (BTreeMap::<String, BTreeSet<String>>::new(), String::new());
    for line in text("config/default.toml").lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            settings.entry(section.clone()).or_default().insert(key.to_owned());
        }
    }
    settings
}

/// Attributes of spans, as OpenTelemetry names them: no settings.
const ATTRIBUTES: [&str; 3] = ["http.request.method", "http.response.status_code", "http.route"];

#[test]
fn every_setting_that_a_book_names_exists() {
    let settings = settings();
    let mut named = 0;
    for folder in ["docs/operators", "docs/clients"] {
        for entry in fs::read_dir(at(folder)).unwrap() {
            let path = entry.unwrap().path();
            let book = fs::read_to_string(&path).unwrap();
            for code in book.split('`').skip(1).step_by(2) {
                let word = code.split(' ').next().unwrap_or_default();
                // Before the dot of a file such as `.ci/run` is no section.
                let Some((section, key)) = word.split_once('.').filter(|(section, _)| !section.is_empty())
                else {
                    continue;
                };
                let is_none = key == "*" || ATTRIBUTES.contains(&word);
                let Some(keys) = settings.get(section).filter(|_| !is_none) else { continue };
                named += 1;
                assert!(keys.contains(key), "{} names `{word}`, which is no setting", path.display());
            }
        }
    }
    assert!(named > 0);
}
