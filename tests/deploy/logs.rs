//! Lines of the log as JSON: the fields that the operators' book lists, and no other.

use crate::harness::{Client, Process, World};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};

/// Keys of every line.
const ALWAYS: [&str; 4] = ["timestamp", "level", "target", "fields"];

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fields of the book's tables: those of a line, and those within `fields`.
fn listed() -> BTreeSet<String> {
    let book = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operators/logs.md"));
    let rows = book.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.flat_map(|row| {
        row.split('|').next().unwrap_or_default().split('`').step_by(2).map(str::to_owned).collect::<Vec<_>>()
    })
    .filter(|name| !name.trim().is_empty() && !name.contains(','))
    .collect()
}

/// The names of fields in the calls of `tracing`'s macros.
fn written(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            written(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = text(&path);
            for level in ["debug", "info", "warn", "error", "info_span"] {
                for call in source.split(&format!("tracing::{level}!(")).skip(1) {
                    names.extend(fields_of(call));
                }
            }
        }
    }
}

/// The fields of a call: its arguments up to the message.
fn fields_of(call: &str) -> Vec<String> {
    let (mut depth, mut quoted, mut names, mut argument) = (0_i32, false, Vec::new(), String::new());
    let mut end = |argument: &mut String| {
        let taken = std::mem::take(argument);
        let name =
            taken.trim().split(" = ").next().unwrap_or_default().trim_start_matches(['%', '?']).to_owned();
        let is_text = name.starts_with('"');
        if !name.is_empty() && !is_text && !name.contains(':') {
            names.push(name);
        }
        is_text
    };
    let mut has_message = false;
    for c in call.chars() {
        match c {
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' if !quoted && depth == 0 => break,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                if end(&mut argument) && !call.trim_start().starts_with('"') {
                    has_message = true;
                    break;
                }
                continue;
            }
            _ => {}
        }
        argument.push(c);
    }
    if !has_message {
        end(&mut argument);
    }
    names
}

#[test]
fn the_book_lists_every_field_and_no_other() {
    let mut names = BTreeSet::new();
    for folder in ["src", "jobs/src", "jobs/queue/src"] {
        written(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut names);
    }
    assert!(names.len() > 30, "{names:?}");
    names.extend(ALWAYS.map(str::to_owned));
    names.extend(["message", "span", "spans"].map(str::to_owned));
    assert_eq!(listed(), names, "docs/operators/logs.md and the fields of the sources");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_is_an_object_with_the_listed_fields() {
    let json = [("FAREBOX__LOG__JSON", "true")];
    let world = World::with(&json).await;
    let mut worker = Process::worker(&world.db.url, &json, &[]);
    let (rider, trip) = (world.rider("100.00").await, world.trip(20).await);
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay(&order).await.expect(200);
    rider.fault("order_add_cancle.after=error").book(&trip, &["2"]).await.problem(500, "003099");
    world.drained().await;
    let forged = Client::stranger(&world.api.base()).with_token("forged");
    forged.get("/v1/wallet").await.expect(401);
    let api = world.log().await;
    worker.signal(libc::SIGTERM);
    assert!(worker.wait().success());
    let (listed, mut seen) = (listed(), BTreeSet::new());
    for line in api.lines().chain(worker.log().lines()) {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for key in ALWAYS {
            assert!(value.get(key).is_some(), "no {key} in {line}");
        }
        assert!(chrono::DateTime::parse_from_rfc3339(value["timestamp"].as_str().unwrap()).is_ok(), "{line}");
        let fields = value["fields"].as_object().unwrap();
        for number in ["status", "ms"] {
            assert!(fields.get(number).is_none_or(Value::is_u64), "{number} is no number: {line}");
        }
        for name in value.as_object().unwrap().keys().chain(fields.keys()) {
            assert!(listed.contains(name), "docs/operators/logs.md does not list {name}: {line}");
            seen.insert(name.clone());
        }
    }
    for name in ["method", "route", "status", "ms", "trace_id", "address", "event", "message"] {
        assert!(seen.contains(name), "no line has {name}");
    }
}
