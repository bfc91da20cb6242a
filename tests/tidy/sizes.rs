//! How long files, functions and lines may be.

use crate::{Finding, Source, rust};

/// Lines of a Rust file.
const FILE: usize = 400;
/// Lines of a function, from its name to its last brace.
const FUNCTION: usize = 70;
/// Columns of a line of a document.
const DOCUMENT_COLUMNS: usize = 100;
/// Columns of a line of Rust, as in rustfmt.toml, of SQL and of all other code.
const CODE_COLUMNS: usize = 110;
/// The last migration that is older than these rules. Those before it keep old words and long lines for
/// good: a migration is never edited, since a database records its checksum and refuses another file.
const LAST_OLD_MIGRATION: u32 = 25;

/// Longer functions: the end of the file's path, the name, and why it may be.
const LONG_FUNCTIONS: [(&str, &str, &str); 2] = [
    ("src/http/mod.rs", "router", "the table of routes is read on one screen"),
    ("src/http/openapi/operations.rs", "operations", "the table of operations is data"),
];

pub fn files(files: &[Source]) -> Vec<Finding> {
    let rust = files.iter().filter(|file| file.is(".rs"));
    rust.filter_map(|file| {
        let lines = file.text.lines().count();
        let what = format!("{lines} lines, more than {FILE}; use a folder of files, each with one subject");
        (lines > FILE).then(|| Finding::new(&file.path, FILE + 1, what))
    })
    .collect()
}

pub fn functions(files: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is(".rs")) {
        let code = &file.parts().code;
        for (line, name, lines) in function_sizes(code) {
            let may = LONG_FUNCTIONS.iter().any(|(path, long, _)| file.path.ends_with(path) && *long == name);
            if lines > FUNCTION && !may {
                let what =
                    format!("`{name}` has {lines} lines, more than {FUNCTION}; use functions with names");
                findings.push(Finding::new(&file.path, line, what));
            }
        }
    }
    findings
}

/// Line, name and number of lines of each function that has a body.
fn function_sizes(code: &str) -> Vec<(usize, &str, usize)> {
    let mut sizes = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let stands_alone = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let name =
            code[at + 3..].split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        let Some(end) = code[at..].find(['{', ';']).map(|length| at + length) else { continue };
        if stands_alone && !name.is_empty() && code.as_bytes()[end] == b'{' {
            let (first, last) = (rust::line_of(code, at), rust::line_of(code, rust::closing(code, end) - 1));
            sizes.push((first, name, last - first + 1));
        }
    }
    sizes
}

pub fn columns(files: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let Some(most) = most_columns(file) else { continue };
        for (n, line) in file.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > most && is_held(file, line) && !cannot_break(line, most) {
                let what = format!("{columns} columns, more than {most}; use a line break");
                findings.push(Finding::new(&file.path, n + 1, what));
            }
        }
    }
    findings
}

fn most_columns(file: &Source) -> Option<usize> {
    const CODE: [&str; 7] = [".rs", ".sql", ".toml", ".yml", ".lua", ".js", ".css"];
    match file.path.as_str() {
        path if is_old_migration(path) => None,
        path if path.ends_with(".md") => Some(DOCUMENT_COLUMNS),
        path if CODE.iter().any(|end| path.ends_with(end)) => Some(CODE_COLUMNS),
        "tests/run" | ".ci/run" | ".ci/query-data" | ".ci/dependencies" | ".ci/sbom" | ".ci/migrations"
        | ".ci/upgrade" => Some(CODE_COLUMNS),
        _ => None,
    }
}

/// Documents, scripts, and comments. Code is rustfmt's; it leaves alone the texts of pages and of SQL,
/// which are read best as they are shown.
fn is_held(file: &Source, line: &str) -> bool {
    let marks: &[&str] = match file.path.rsplit('.').next() {
        Some("rs") => &["//"],
        Some("sql" | "lua") => &["--"],
        Some("toml" | "yml") => &["#"],
        _ => &[],
    };
    marks.iter().any(|mark| line.trim_start().starts_with(mark))
        || file.is(".md")
        || file.path.starts_with(".ci/")
        || file.path == "tests/run"
}

/// Whether it is a migration that is older than these rules.
pub fn is_old_migration(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let number = name.split('_').next().and_then(|number| number.parse::<u32>().ok());
    path.contains("migrations/") && number.is_some_and(|number| number <= LAST_OLD_MIGRATION)
}

/// A row of a table, or a line of which one word alone is too long.
fn cannot_break(line: &str, most: usize) -> bool {
    // In comments too, and commands that are shown there.
    let row = ["|", "//! |", "//! $"].iter().any(|mark| line.starts_with(mark));
    row || line.split_whitespace().any(|word| word.chars().count() > most - 20)
}
