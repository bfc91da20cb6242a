//! What statements may do: who writes the queue's tables, and what a planner fence says.

use crate::{Finding, Source, samples::Sample};

/// Words that write to the table that follows them.
const WRITES: [&str; 7] =
    ["insert into", "update", "update only", "delete from", "delete from only", "truncate", "merge into"];
/// Folders of the application: it changes the queue by the queue's functions.
const APPLICATION: [&str; 2] = ["src/", "jobs/src/"];

/// Statements that write a table of the queue by themselves: the file, the words before the table, and why
/// they may.
const OWN_WRITES: [(&str, &str, &str); 2] = [
    ("src/statements/claim_seats.sql", "insert into", "docs/decisions/0018-queue-writes.md"),
    ("src/statements/debit_wallets.sql", "insert into", "docs/decisions/0018-queue-writes.md"),
];

/// Statements of the application that write the queue's tables.
pub fn queue_writes(files: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| APPLICATION.iter().any(|folder| file.path.starts_with(folder))) {
        let sql = statements(file);
        for (at, _) in sql.match_indices("queue.") {
            let before = sql[..at].split_whitespace().rev().take(3).collect::<Vec<_>>();
            let before = before.into_iter().rev().collect::<Vec<_>>().join(" ");
            let Some(words) = WRITES.iter().find(|words| ends_with_words(&before, words)) else { continue };
            let may = |(path, own, _): &(&str, &str, &str)| *path == file.path && own == words;
            if !OWN_WRITES.iter().any(may) {
                let what = format!(
                    "`{words} queue.…` outside the queue; use its functions (retire, arm, \
                     enqueue_or_expedite, complete)"
                );
                findings.push(Finding::new(&file.path, line_of(&sql, at), what));
            }
        }
    }
    findings
}

/// How a comment marks a fence; the reason follows.
const MARK: &str = "planner fence: ";
/// Lines above a fence in which its comment may stand.
const NEAR: usize = 2;
/// Migrations up to this one have fences without the mark; a migration is never edited.
const LAST_UNMARKED: u32 = 27;

/// `offset 0` without a comment that says why the planner gets no choice.
pub fn planner_fences(files: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| is_code(&file.path)) {
        let lines: Vec<&str> = file.text.lines().collect();
        for (n, line) in statements(file).lines().enumerate() {
            let marked = || lines[n.saturating_sub(NEAR)..=n].iter().any(|line| line.contains(MARK));
            if has_fence(line) && !marked() {
                let what = "`offset 0` without its reason; use a comment `planner fence: …` \
                            (docs/decisions/0009-planner-fences.md)";
                findings.push(Finding::new(&file.path, n + 1, what.to_owned()));
            }
        }
    }
    findings
}

/// `offset 0` as words of their own: `offset 01` is none.
fn has_fence(line: &str) -> bool {
    line.match_indices("offset 0").any(|(at, fence)| {
        let part = |c: char| c.is_alphanumeric() || c == '_';
        !line[..at].ends_with(part) && !line[at + fence.len()..].starts_with(part)
    })
}

fn is_code(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let number = name.split('_').next().and_then(|number| number.parse::<u32>().ok());
    let old = path.contains("migrations/") && number.is_some_and(|number| number <= LAST_UNMARKED);
    !old && ["src/", "jobs/", "migrations/"].iter().any(|folder| path.starts_with(folder))
}

/// The SQL of a file in small letters, with the lines of the whole: the strings of a Rust file, and of an SQL
/// file all but its comments.
fn statements(file: &Source) -> String {
    let sql = match file.path.rsplit('.').next() {
        Some("rs") => &file.parts().strings,
        Some("sql") => &file.text,
        _ => return String::new(),
    };
    let lines = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
    lines.map(|line| line.to_lowercase() + "\n").collect()
}

fn ends_with_words(text: &str, words: &str) -> bool {
    text.strip_suffix(words).is_some_and(|rest| rest.is_empty() || rest.ends_with([' ', '(', '"']))
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

pub const SAMPLES: [Sample; 2] = [
    Sample {
        rule: "queue writes",
        breaks: &[
            ("src/a.rs", "const A: &str = \"with a as (\n delete from queue.job)\";"),
            ("src/b.sql", "select 1;\nUPDATE\n  queue.paused set tag = ''"),
            ("src/statements/claim_seats.sql", "delete from queue.job"),
            ("jobs/src/c.rs", "fn c() { run(\"insert into queue.dead_letter\") }"),
        ],
        found: &[
            "src/a.rs:2: `delete from queue.…` outside the queue; use its functions (retire, arm, \
             enqueue_or_expedite, complete)",
            "src/b.sql:3: `update queue.…` outside the queue; use its functions (retire, arm, \
             enqueue_or_expedite, complete)",
            "src/statements/claim_seats.sql:1: `delete from queue.…` outside the queue; use its functions \
             (retire, arm, enqueue_or_expedite, complete)",
            "jobs/src/c.rs:1: `insert into queue.…` outside the queue; use its functions (retire, arm, \
             enqueue_or_expedite, complete)",
        ],
        keeps: &[
            (
                "src/a.rs",
                "// delete from queue.job\nfn a() { run(\"select queue.retire($1) from queue.job\") }",
            ),
            ("src/b.sql", "select 1 from queue.job for update; -- update queue.job"),
            ("src/statements/claim_seats.sql", "insert into queue.job (id)"),
            ("jobs/queue/src/c.rs", "const C: &str = \"delete from queue.job\";"),
            ("tests/d.rs", "const D: &str = \"delete from queue.job\";"),
        ],
    },
    Sample {
        rule: "planner fences",
        breaks: &[
            ("src/a.rs", "const A: &str = \"\n select 1\n offset 0\n\";"),
            ("src/b.sql", "-- planner fence: it is far away\n\n\nselect 1 offset 0"),
            ("migrations/0028_a.sql", "select 1 OFFSET 0;"),
        ],
        found: &[
            "src/a.rs:3: `offset 0` without its reason; use a comment `planner fence: …` \
             (docs/decisions/0009-planner-fences.md)",
            "src/b.sql:4: `offset 0` without its reason; use a comment `planner fence: …` \
             (docs/decisions/0009-planner-fences.md)",
            "migrations/0028_a.sql:1: `offset 0` without its reason; use a comment `planner fence: …` \
             (docs/decisions/0009-planner-fences.md)",
        ],
        keeps: &[
            (
                "src/a.rs",
                "/// `offset 0`\nconst A: &str = \"select 1\n -- planner fence: by id\n offset 0\";",
            ),
            ("src/b.sql", "select 1 offset 0 -- planner fence: by key\n;select 1 offset 01"),
            ("src/c.rs", "// planner fence: by keys\nsql.push(\" offset 0\");"),
            ("migrations/0027_a.sql", "select 1 offset 0;"),
        ],
    },
];
