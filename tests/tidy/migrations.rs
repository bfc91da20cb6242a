//! What a migration says in its head, and what it may be beside the builds that run.

use crate::{Finding, Source, samples::Sample};

/// Migrations up to this one say no phase; a migration is never edited.
const LAST_UNMARKED: u32 = 51;
/// How a contract migration ends older builds.
const RAISES: &str = "update schema_floor set lowest = ";

/// Migrations without a phase, contract migrations that leave the floor, and migrations outside of a
/// transaction that are more than one index.
pub fn phases(files: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        if number(&file.path).is_none_or(|number| number <= LAST_UNMARKED) {
            continue;
        }
        let mut found = |what: &str| findings.push(Finding::new(&file.path, 1, what.to_owned()));
        let head: Vec<&str> = file.text.lines().take_while(|line| line.starts_with("--")).collect();
        let sql: Vec<&str> = file.text.lines().filter(|line| !line.starts_with("--")).collect();
        let sql = sql.join("\n").to_lowercase();
        let raised = sql.matches(RAISES).count();
        match head.iter().find_map(|line| line.strip_prefix("-- phase: ")) {
            Some("expand") if raised > 0 => {
                found("an expand migration raises the floor; use `-- phase: contract`");
            }
            Some("contract") if raised != 1 => found(
                "a contract migration that does not raise the floor once; use \
                 `update schema_floor set lowest = …`",
            ),
            Some("expand" | "contract") => {}
            _ => found("no phase in the head; use `-- phase: expand` or `-- phase: contract`"),
        }
        if head.first().is_some_and(|line| line.starts_with("-- no-transaction")) && !is_one_index(&sql) {
            found(
                "a migration outside of a transaction that may be left half done; use one \
                 `create index concurrently` without `if not exists`",
            );
        }
    }
    findings
}

fn number(path: &str) -> Option<u32> {
    path.strip_prefix("migrations/")?.strip_suffix(".sql")?.split('_').next()?.parse().ok()
}

/// The server runs several statements of one text in one transaction, and an index that exists may be
/// invalid.
fn is_one_index(sql: &str) -> bool {
    let sql = sql.trim();
    let index =
        ["create index concurrently ", "create unique index concurrently ", "drop index concurrently "];
    sql.strip_suffix(';').is_some_and(|one| !one.contains(';'))
        && index.iter().any(|start| sql.starts_with(start))
        && !sql.contains("if not exists")
}

pub const SAMPLES: [Sample; 1] = [Sample {
    rule: "migration phases",
    breaks: &[
        ("migrations/0060_a.sql", "-- What it is for.\nselect 1;"),
        ("migrations/0061_b.sql", "-- phase: contract\ndrop table a;"),
        ("migrations/0062_c.sql", "-- phase: expand\nupdate schema_floor set lowest = 60;"),
        (
            "migrations/0063_d.sql",
            "-- no-transaction\n-- phase: expand\ncreate index concurrently if not exists a on b (c);",
        ),
    ],
    found: &[
        "migrations/0060_a.sql:1: no phase in the head; use `-- phase: expand` or `-- phase: contract`",
        "migrations/0061_b.sql:1: a contract migration that does not raise the floor once; use \
         `update schema_floor set lowest = …`",
        "migrations/0062_c.sql:1: an expand migration raises the floor; use `-- phase: contract`",
        "migrations/0063_d.sql:1: a migration outside of a transaction that may be left half done; use one \
         `create index concurrently` without `if not exists`",
    ],
    keeps: &[
        ("migrations/0051_a.sql", "select 1;"),
        ("migrations/0060_a.sql", "-- phase: expand\nselect 1;"),
        ("migrations/0061_b.sql", "-- phase: contract\nupdate schema_floor set lowest = 60;\ndrop table a;"),
        (
            "migrations/0062_c.sql",
            "-- no-transaction\n-- phase: expand\ncreate index concurrently a on b (c);",
        ),
        ("migrations/locks.csv", "60,a"),
    ],
}];
