//! Prometheus's own checker, and what its queries name.

use crate::harness::{folder, tools};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Labels that Prometheus itself adds.
const ADDED: [&str; 3] = ["job", "instance", "le"];

/// Runs promtool with this input; returns what it said if it found fault.
pub fn promtool(args: &[&str], input: &str) -> Result<(), String> {
    tools::need(&["prometheus"]);
    let mut command = Command::new("promtool");
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool of Debian's package prometheus");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    if output.status.success() { Ok(()) } else { Err(said) }
}

/// A folder of this call's own.
pub fn unique_folder(name: &str) -> PathBuf {
    let at = folder(&format!("{name}-{}", uuid::Uuid::now_v7()));
    fs::create_dir_all(&at).unwrap();
    at
}

/// Whether Prometheus can parse these queries.
pub fn parse_all(queries: &[String]) -> Result<(), String> {
    // JSON is YAML, so nothing has to be quoted by hand.
    let rules: Vec<_> = queries
        .iter()
        .enumerate()
        .map(|(nr, query)| serde_json::json!({ "record": format!("query:{nr}"), "expr": query }))
        .collect();
    let file = unique_folder("queries").join("queries.yml");
    let text = serde_json::json!({ "groups": [{ "name": "queries", "rules": rules }] }).to_string();
    fs::write(&file, text).unwrap();
    promtool(&["check", "rules", file.to_str().unwrap()], "")
}

/// A metric as docs/operators/metrics.md describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    pub kind: String,
    pub labels: BTreeSet<String>,
    pub shown_by: String,
}

/// The rows of the table of metrics: metric, type, labels, shown by, meaning.
pub fn described() -> BTreeMap<String, Described> {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operators/metrics.md");
    let book = fs::read_to_string(book).unwrap();
    let table = book.split("\n## The table\n").nth(1).expect("the table");
    let rows = table.split("\n\n").map(str::trim).find(|part| part.starts_with('|')).unwrap().lines().skip(2);
    let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 5, "{row}");
        let labels = words(cells[2]).into_iter().collect();
        let described = Described { kind: cells[1].to_owned(), labels, shown_by: cells[3].to_owned() };
        (words(cells[0]).remove(0), described)
    });
    rows.collect()
}

/// What a query names that the table of metrics does not have: metrics, and labels of selectors and of
/// `by`.
pub fn unknown(query: &str, table: &BTreeMap<String, Described>) -> Vec<String> {
    let (mut faults, mut labels) = (Vec::new(), BTreeSet::from(ADDED.map(str::to_owned)));
    let mut rest = query;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    while let Some(at) = ["farebox_", "process_"].iter().filter_map(|start| rest.find(start)).min() {
        let end = rest[at..].find(|c: char| !is_name(c)).map_or(rest.len(), |length| at + length);
        let (name, after) = (&rest[at..end], &rest[end..]);
        rest = after;
        let base = ["_bucket", "_sum", "_count"].into_iter().find_map(|part| name.strip_suffix(part));
        let of_histogram = base.and_then(|base| table.get(base)).filter(|metric| metric.kind == "histogram");
        let plain = table.get(name).filter(|metric| metric.kind != "histogram");
        let Some(metric) = of_histogram.or(plain) else {
            faults.push(format!("no metric {name}"));
            continue;
        };
        labels.extend(metric.labels.iter().cloned());
        for label in selected(after) {
            if !metric.labels.contains(&label) && !ADDED.contains(&label.as_str()) {
                faults.push(format!("{name} has no label {label}"));
            }
        }
    }
    for group in query.split("by (").skip(1) {
        let names = group.split(')').next().unwrap().split(',').map(str::trim);
        faults.extend(names.filter(|name| !labels.contains(*name)).map(|name| format!("by unknown {name}")));
    }
    faults
}

/// The labels of the selector that stands here, if one does.
fn selected(text: &str) -> Vec<String> {
    let Some(inside) = text.strip_prefix('{') else { return Vec::new() };
    // Outside of quotes are the names and the operators; a value may have braces.
    let mut names = Vec::new();
    for (nr, part) in inside.split('"').enumerate() {
        if nr % 2 == 0 {
            let (part, ends) = part.split_once('}').map_or((part, false), |(part, _)| (part, true));
            let name = part.trim_matches(|c: char| ",=~! ".contains(c));
            names.extend((!name.is_empty()).then(|| name.to_owned()));
            if ends {
                break;
            }
        }
    }
    names
}

#[test]
fn what_a_query_names_is_found() {
    let table = described();
    let fine = r#"sum by (tag) (rate(farebox_queue_attempts_total{outcome=~"a}|b",tag!="c"}[5m]))"#;
    assert_eq!(unknown(fine, &table), Vec::<String>::new());
    let wrong = r#"sum by (colour) (farebox_jobs{status="dead"} + farebox_none + farebox_batch_size)"#;
    let faults = [
        "farebox_jobs has no label status",
        "no metric farebox_none",
        "no metric farebox_batch_size",
        "by unknown colour",
    ];
    assert_eq!(unknown(wrong, &table), faults);
}
