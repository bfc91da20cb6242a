//! What documents are written like.

use crate::{Finding, Source};

/// Words of a sentence.
const SENTENCE: usize = 30;
/// Words of README.md, code and all.
const README: usize = 700;

pub fn readme(files: &[Source]) -> Vec<Finding> {
    let readme = files.iter().filter(|file| file.path == "README.md");
    readme
        .filter_map(|file| {
            let words = file.text.split_whitespace().count();
            let what = format!("{words} words, more than {README}; use a document under docs, and a link");
            (words > README).then(|| Finding::new(&file.path, 1, what))
        })
        .collect()
}

pub fn sentences(files: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is(".md")) {
        for (_, paragraph) in paragraphs(&file.text) {
            for (line, sentence) in in_sentences(&paragraph) {
                let words =
                    sentence.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count();
                if words > SENTENCE {
                    let start: String = sentence.split_whitespace().take(5).collect::<Vec<_>>().join(" ");
                    let what =
                        format!("a sentence of {words} words, more than {SENTENCE}; use two: \"{start} …\"");
                    findings.push(Finding::new(&file.path, line, what));
                }
            }
        }
    }
    findings
}

/// The lines of a document that are not in a block of code.
pub fn text_lines(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (n, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push((n + 1, line));
        }
    }
    lines
}

/// A document's running text: paragraphs, items of lists and cells of tables, each with the line it begins
/// in. A code span is one word, and a link is its text.
fn paragraphs(text: &str) -> Vec<(usize, Vec<(usize, String)>)> {
    let mut paragraphs: Vec<(usize, Vec<(usize, String)>)> = Vec::new();
    let mut last = None;
    for (n, line) in text_lines(text) {
        let line = plain(line);
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', '<']) {
            last = None;
        } else if trimmed.starts_with('|') {
            paragraphs.extend(trimmed.split('|').map(|cell| (n, vec![(n, cell.trim().to_owned())])));
            last = None;
        } else {
            let text = item(trimmed);
            if last.is_some_and(|last| last + 1 == n) && text.is_none() {
                let (_, lines) = paragraphs.last_mut().expect("a paragraph was begun");
                lines.push((n, trimmed.to_owned()));
            } else {
                paragraphs.push((n, vec![(n, text.unwrap_or(trimmed).to_owned())]));
            }
            last = Some(n);
        }
    }
    paragraphs
}

/// The text of a list's item or of a quotation.
fn item(line: &str) -> Option<&str> {
    let numbered = line.split_once(". ").filter(|(number, _)| number.chars().all(|c| c.is_ascii_digit()));
    ["- ", "* ", "> "].iter().find_map(|mark| line.strip_prefix(mark)).or(numbered.map(|(_, text)| text))
}

/// The line without markup.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    for (n, part) in line.split('`').enumerate() {
        plain.push_str(if n % 2 == 1 { "code" } else { part });
    }
    while let Some(at) = plain.find("](") {
        let end = plain[at..].find(')').map_or(plain.len(), |length| at + length + 1);
        plain.replace_range(at..end, "");
    }
    plain.replace(['[', '*', '_'], "")
}

/// Each sentence with the line that it begins in.
fn in_sentences(lines: &[(usize, String)]) -> Vec<(usize, String)> {
    let words: Vec<(usize, &str)> =
        lines.iter().flat_map(|(n, text)| text.split_whitespace().map(|word| (*n, word))).collect();
    let mut sentences: Vec<(usize, String)> = Vec::new();
    let mut begun = false;
    for (at, (n, word)) in words.iter().enumerate() {
        if begun {
            let (_, sentence) = sentences.last_mut().expect("a sentence was begun");
            sentence.push(' ');
            sentence.push_str(word);
        } else {
            sentences.push((*n, (*word).to_owned()));
        }
        let next = words.get(at + 1).map(|(_, next)| *next);
        begun =
            !(word.trim_end_matches(['"', ')', '\'']).ends_with(['.', '!', '?']) && next.is_none_or(starts));
    }
    sentences
}

/// Whether a word can be the first one of a sentence.
fn starts(word: &str) -> bool {
    !word.starts_with(|c: char| c.is_lowercase()) || word.starts_with("code")
}
