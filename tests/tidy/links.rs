//! Files and headings that a document or a comment names are there.

use crate::{Finding, Source, documents::text_lines, sizes::is_old_migration};
use std::collections::{BTreeMap, BTreeSet};

/// Ends of names that are taken for files of the tree.
const ENDS: [&str; 9] = [".rs", ".sql", ".md", ".toml", ".lua", ".js", ".css", ".yml", ".sh"];
/// Files of others, which a comment or a document may name.
const OTHERS: [&str; 2] = ["Cargo.toml", "axe.min.js"];

/// Files that an example has the reader make: the end of the document's path, and a part of their names.
const MADE_UP: [(&str, &str); 1] = [("docs/contributors/add-a-step.md", "voucher")];

/// Names of files in comments, and in what a document marks as code.
pub fn named_files(files: &[Source]) -> Vec<Finding> {
    // Every path, and what is left of it from each of its folders on.
    let ends =
        |path: &str| path.match_indices('/').map(|(at, _)| path[at + 1..].to_owned()).collect::<Vec<_>>();
    let known: BTreeSet<String> =
        files.iter().flat_map(|file| [vec![file.path.clone()], ends(&file.path)].concat()).collect();
    let is_there = |name: &str| known.contains(name.trim_start_matches("./").trim_start_matches("../"));
    let held = |file: &&Source| file.path != "tests/tidy/samples.rs" && !is_old_migration(&file.path);
    let mut findings = Vec::new();
    for file in files.iter().filter(held) {
        let is_made_up =
            |name: &str| MADE_UP.iter().any(|(end, part)| file.path.ends_with(end) && name.contains(part));
        for (line, text) in naming_lines(file) {
            for name in file_names(&text) {
                if !OTHERS.contains(&name) && !is_made_up(name) && !is_there(name) {
                    let what = format!("there is no file `{name}`; use a path of the tree");
                    findings.push(Finding::new(&file.path, line, what));
                }
            }
        }
    }
    findings
}

fn naming_lines(file: &Source) -> Vec<(usize, String)> {
    match file.path.rsplit('.').next() {
        Some("rs") => {
            let comments = &file.parts().comments;
            comments.lines().enumerate().map(|(n, line)| (n + 1, line.to_owned())).collect()
        }
        Some("md") => {
            let marked = |line: &str| line.split('`').skip(1).step_by(2).collect::<Vec<_>>().join(" ");
            text_lines(&file.text).into_iter().map(|(n, line)| (n, marked(line))).collect()
        }
        Some("sql") => {
            let lines = file.text.lines().enumerate();
            lines.filter_map(|(n, line)| Some((n + 1, line.split_once("--")?.1.to_owned()))).collect()
        }
        Some("toml" | "yml") => {
            let lines = file.text.lines().enumerate();
            lines.filter_map(|(n, line)| Some((n + 1, line.split_once("# ")?.1.to_owned()))).collect()
        }
        _ => Vec::new(),
    }
}

/// Words that end as the name of a file does. One with a placeholder, as `<version>.toml` or `*.rs`, is none.
fn file_names(text: &str) -> impl Iterator<Item = &str> {
    let part = |c: char| c.is_alphanumeric() || "./_-<>*{}$:…".contains(c);
    let words = text.split(move |c: char| !part(c)).map(|word| word.trim_end_matches(['.', ':']));
    words.filter(|word| {
        let holder =
            word.contains(['<', '>', '*', '{', '}', '$', ':', '…']) || word.starts_with(['.', '/', '-']);
        let end = ENDS.iter().find(|end| word.ends_with(**end));
        !holder && end.is_some_and(|end| word.len() > end.len() && !word.ends_with("/.rs"))
    })
}

/// The relative links of a document: line, path and heading.
fn relative_links(file: &Source) -> Vec<(usize, String, Option<String>)> {
    let mut links = Vec::new();
    for (line, text) in text_lines(&file.text) {
        let text: String = text.split('`').step_by(2).collect::<Vec<_>>().join("code");
        let inline = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let listed = text.trim_start().strip_prefix('[').and_then(|rest| Some(rest.split_once("]: ")?.1));
        for target in inline.chain(listed) {
            let target = target.split_whitespace().next().unwrap_or_default();
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = target.split_once('#').map_or((target, None), |(path, h)| (path, Some(h)));
            links.push((line, resolved(&file.path, path), heading.map(str::to_owned)));
        }
    }
    links
}

/// The path from the root of what a document calls by a path from its own folder.
fn resolved(document: &str, target: &str) -> String {
    if target.is_empty() {
        return document.to_owned();
    }
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

pub fn targets(files: &[Source]) -> Vec<Finding> {
    let is_there = |path: &str| {
        let folder = format!("{path}/");
        files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
    };
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is(".md")) {
        for (line, path, _) in relative_links(file) {
            if !is_there(&path) {
                let what = format!("a link leads to `{path}`, which does not exist; use a path of the tree");
                findings.push(Finding::new(&file.path, line, what));
            }
        }
    }
    findings
}

pub fn anchors(files: &[Source]) -> Vec<Finding> {
    let documents = files.iter().filter(|file| file.is(".md"));
    let headings: BTreeMap<&str, BTreeSet<String>> =
        documents.clone().map(|file| (file.path.as_str(), headings(&file.text))).collect();
    let mut findings = Vec::new();
    for file in documents {
        for (line, path, heading) in relative_links(file) {
            let (Some(heading), Some(there)) = (heading, headings.get(path.as_str())) else { continue };
            if !there.contains(&heading) {
                let what = format!("`{path}` has no heading `#{heading}`; use the heading's words with `-`");
                findings.push(Finding::new(&file.path, line, what));
            }
        }
    }
    findings
}

/// The anchors of a document's headings, as public hosts make them.
fn headings(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for (_, line) in text_lines(text) {
        let Some((marks, title)) = line.split_once(' ') else { continue };
        if marks.is_empty() || !marks.chars().all(|c| c == '#') {
            continue;
        }
        let kept = title.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let again = (1..).map(|n| format!("{anchor}-{n}")).find(|again| !anchors.contains(again));
        let fresh = if anchors.contains(&anchor) { again.unwrap_or_default() } else { anchor };
        anchors.insert(fresh);
    }
    anchors
}
