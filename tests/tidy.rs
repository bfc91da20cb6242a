//! The rules of the tree, each with what to do instead: `path:line: what is wrong; use what`.
//!
//! ```console
//! $ cargo test -p farebox-tidy
//! ```
//!
//! Each rule is a function of the files' paths and texts. Its table of limits, words or modules stands
//! at the top of its file in tests/tidy. tests/tidy/samples.rs has an input that breaks each rule, and one
//! that keeps it.
#![allow(unreachable_pub, reason = "a test has no users: `pub` is for its other files")]

#[path = "tidy/arrows.rs"]
mod arrows;
#[path = "tidy/attributes.rs"]
mod attributes;
#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/links.rs"]
mod links;
#[path = "tidy/migrations.rs"]
mod migrations;
#[path = "tidy/modules.rs"]
mod modules;
#[path = "tidy/rust.rs"]
mod rust;
#[path = "tidy/samples.rs"]
mod samples;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/sql.rs"]
mod sql;
#[path = "tidy/words.rs"]
mod words;

use std::{cell::OnceCell, collections::BTreeMap, fs, path::Path};

/// A file of the tree: its path from the root, with `/`, and its text; a picture has none.
struct Source {
    path: String,
    text: String,
    parts: OnceCell<rust::Rust>,
}

impl Source {
    fn new(path: String, text: String) -> Self {
        Self { path, text, parts: OnceCell::new() }
    }

    /// Code, comments and strings of a Rust file.
    fn parts(&self) -> &rust::Rust {
        self.parts.get_or_init(|| rust::parts(&self.text))
    }

    fn is(&self, extension: &str) -> bool {
        self.path.ends_with(extension)
    }
}

/// Where a rule is broken, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// Counted from 1.
    line: usize,
    what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: String) -> Self {
        Self { path: path.to_owned(), line, what }
    }
}

/// Finds all places that break a rule.
type Rule = fn(&[Source]) -> Vec<Finding>;

const RULES: [(&str, Rule); 17] = [
    ("import direction", arrows::directions),
    ("import circles", arrows::circles),
    ("file length", sizes::files),
    ("function length", sizes::functions),
    ("columns", sizes::columns),
    ("README length", documents::readme),
    ("sentences", documents::sentences),
    ("banned names", words::names),
    ("banned function names", words::functions),
    ("banned prose", words::prose),
    ("allow without a reason", attributes::reasons),
    ("files that do not exist", links::named_files),
    ("links", links::targets),
    ("anchors", links::anchors),
    ("queue writes", sql::queue_writes),
    ("planner fences", sql::planner_fences),
    ("migration phases", migrations::phases),
];

/// Folders that are not of the tree: what is built, fetched or written by a program.
const NOT_OURS: [&str; 6] = ["target", ".git", ".sqlx", ".farebox", ".claude", "node_modules"];
/// Findings that are printed; the counts are of all.
const PRINTED: usize = 200;

/// Every file of the tree, by path.
fn tree() -> Vec<Source> {
    let root = std::env::var("TIDY_ROOT")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../..").to_owned());
    let mut files = Vec::new();
    collect(Path::new(&root), "", &mut files);
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder of the tree").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{path}/"), files);
        } else {
            files.push(Source::new(path, fs::read_to_string(entry.path()).unwrap_or_default()));
        }
    }
}

/// Fails with the findings, and the number for each rule.
fn holds(files: &[Source]) {
    let (mut lines, mut counts) = (Vec::new(), BTreeMap::new());
    for (name, rule) in RULES {
        for Finding { path, line, what } in rule(files) {
            *counts.entry(name).or_insert(0) += 1;
            lines.push(format!("{path}:{line}: {what}"));
        }
    }
    let (all, more) = (lines.len(), lines.len().saturating_sub(PRINTED));
    lines.truncate(PRINTED);
    let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{count:6} {name}")).collect();
    assert!(all == 0, "{}\nand {more} more; all:\n{}", lines.join("\n"), counts.join("\n"));
}

#[test]
fn the_tree_is_tidy() {
    holds(&tree());
}

#[test]
fn every_rule_is_red_where_it_is_broken_and_green_where_it_is_kept() {
    for (name, rule) in RULES {
        let sample = samples::SAMPLES
            .iter()
            .chain(&sql::SAMPLES)
            .chain(&migrations::SAMPLES)
            .find(|sample| sample.rule == name);
        let sample = sample.unwrap_or_else(|| panic!("no sample for {name}"));
        let found: Vec<String> = rule(&samples::files(sample.breaks))
            .into_iter()
            .map(|Finding { path, line, what }| format!("{path}:{line}: {what}"))
            .collect();
        assert_eq!(found, sample.found, "{name}");
        assert_eq!(rule(&samples::files(sample.keeps)), [], "{name}");
    }
}
