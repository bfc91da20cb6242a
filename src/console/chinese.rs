//! Chinese for the texts that come from below the console in English alone: details and rules of
//! problems, notes of jobs, reasons of states, kinds of ledger entries, acts of the audit log. The API
//! and the database keep the English ones.
//!
//! A text is looked up as a whole. `{}` in a pattern stands for what varies, which is looked up
//! itself. A text without a pattern stays English, and so does what people wrote.

mod audit;
mod notes;
mod problems;

use crate::browser::language::Lang;
use serde_json::{Map, Value};
use std::{borrow::Cow, iter};

/// How deep a text is looked up in what varies of another one.
const MAX_DEPTH: u8 = 3;
/// What varies in a pattern.
const HOLE: &str = "{}";

/// English patterns with their Chinese ones, which hold as many holes, in the same order.
type Table = &'static [(&'static str, &'static str)];

/// What each kind of text is looked up in. A pattern that is more special stands before one that fits
/// more; what people may have written is looked up among few.
const AUDIT: [Table; 1] = [audit::TEXTS];
const NOTES: [Table; 2] = [notes::TEXTS, audit::TEXTS];
const CHANGES: [Table; 1] = [notes::CHANGES];
const PROBLEMS: [Table; 2] = [problems::TEXTS, audit::TEXTS];

/// A word of the audit log, of the ledger, of a state or of a role.
pub(super) fn word(lang: Lang, text: &str) -> Cow<'_, str> {
    in_language(lang, text, &AUDIT)
}

/// The reason of a state, or the note of a job.
pub(super) fn note(lang: Lang, text: &str) -> Cow<'_, str> {
    in_language(lang, text, &NOTES)
}

/// What an import changes.
pub(super) fn change(lang: Lang, text: &str) -> Cow<'_, str> {
    in_language(lang, text, &CHANGES)
}

/// What an import changes, as a list.
pub(super) fn changes(lang: Lang, all: &[String]) -> String {
    all.iter().map(|one| change(lang, one)).collect::<Vec<_>>().join(lang.t(", ", "、"))
}

/// The detail of a problem, or the rule of a field.
pub(super) fn problem(lang: Lang, text: &str) -> Cow<'_, str> {
    in_language(lang, text, &PROBLEMS)
}

/// The detail of a problem's body. That of a field is its name and its rule.
pub(super) fn detail(lang: Lang, body: &Map<String, Value>) -> String {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    match text("detail").strip_suffix(text("rule")).filter(|field| field.ends_with(": ")) {
        Some(field) if lang == Lang::Chinese => {
            format!("{}：{}", field.trim_end_matches(": "), problem(lang, text("rule")))
        }
        _ => problem(lang, text("detail")).into_owned(),
    }
}

fn in_language<'a>(lang: Lang, text: &'a str, tables: &[Table]) -> Cow<'a, str> {
    let chinese = (lang == Lang::Chinese).then(|| translated(text, tables, MAX_DEPTH)).flatten();
    chinese.map_or(Cow::Borrowed(text), Cow::Owned)
}

fn translated(text: &str, tables: &[Table], depth: u8) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    let all = tables.iter().copied().flatten();
    let fitting = all.filter_map(|(english, chinese)| Some((varying(text, english)?, english, chinese)));
    // Of several that fit, the longest says most.
    let (parts, _, chinese) = fitting.max_by_key(|(_, english, _)| english.len())?;
    let parts = parts
        .into_iter()
        .map(|part| translated(part, tables, depth).unwrap_or_else(|| part.to_owned()))
        .chain(iter::repeat(String::new()));
    Some(chinese.split(HOLE).zip(parts).flat_map(|(fixed, part)| [fixed.to_owned(), part]).collect())
}

/// What stands in the holes of a pattern; `None` if the text does not fit it.
fn varying<'a>(text: &'a str, pattern: &str) -> Option<Vec<&'a str>> {
    let mut fixed = pattern.split(HOLE);
    let mut rest = text.strip_prefix(fixed.next()?)?;
    let mut fixed = fixed.peekable();
    let mut parts = Vec::new();
    while let Some(next) = fixed.next() {
        let at = match (next, fixed.peek()) {
            ("", None) => rest.len(),
            (last, None) => rest.strip_suffix(last)?.len(),
            (next, Some(_)) => rest.find(next)?,
        };
        parts.push(&rest[..at]);
        rest = &rest[at + next.len()..];
    }
    rest.is_empty().then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    const ALL: [Table; 4] = [audit::TEXTS, notes::TEXTS, notes::CHANGES, problems::TEXTS];

    #[test]
    fn a_text_is_found_with_what_varies() {
        for (english, expected) in [
            ("there is no such order", "没有此订单"),
            ("nothing to do: the order is closed", "无需处理：订单已关闭"),
            ("the order is closed", "订单状态为：已关闭"),
            ("1 to 500 characters, this has 0", "1 至 500 个字符，现有 0 个"),
            ("at most 50.00 at once", "每次最多 50.00"),
            ("3 trips made", "已生成 3 个场次"),
            ("3 trips made; 1 departures not made: 7 on", "已生成 3 个场次；1 个班次时刻未生成：7 on"),
            ("what a person wrote", "what a person wrote"),
            ("", ""),
        ] {
            let found = [note, problem].map(|look_up| look_up(Lang::Chinese, english));
            assert!(found.iter().any(|one| one == expected), "{english}: {found:?}");
            assert_eq!(problem(Lang::English, english), english);
        }
        assert_eq!(varying("a1b2c", "a{}b{}c"), Some(vec!["1", "2"]));
        assert_eq!(varying("a1b", "a{}c"), None);
        assert_eq!(varying("a: ", "a: {}"), Some(vec![""]));
    }

    #[test]
    fn no_pattern_takes_what_a_later_one_is_for() {
        for (english, chinese) in problems::TEXTS {
            let filled = [english, chinese].map(|text| text.replace(HOLE, "7"));
            assert_eq!(problem(Lang::Chinese, &filled[0]), filled[1]);
        }
    }

    #[test]
    fn both_sides_have_the_same_holes_and_no_pattern_fits_all() {
        for (english, chinese) in ALL.into_iter().flatten() {
            assert_eq!(english.matches(HOLE).count(), chinese.matches(HOLE).count(), "{english}");
            assert!(english.replace(HOLE, "").trim().len() > 2, "{english}");
            assert!(!chinese.is_ascii(), "{chinese}");
        }
    }

    /// The source below the console, as one text without the breaks of long lines.
    fn source(folder: &Path, all: &mut String) {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() && !entry.ends_with("chinese") {
                source(&entry, all);
            } else if entry.extension().is_some_and(|end| end == "rs" || end == "sql") {
                let text = fs::read_to_string(&entry).expect("a text").replace("\\\"", "\"");
                let mut lines = text.split("\\\n");
                all.push_str(lines.next().unwrap_or_default());
                lines.for_each(|line| all.push_str(line.trim_start()));
            }
        }
    }

    #[test]
    fn every_pattern_is_still_a_text_of_the_source() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut all = String::new();
        source(&root.join("src"), &mut all);
        source(&root.join("jobs"), &mut all);
        source(&root.join("migrations"), &mut all);
        let gone: Vec<&str> = ALL
            .into_iter()
            .flatten()
            .flat_map(|(english, _)| english.split(HOLE))
            .filter(|part| !all.contains(*part))
            .collect();
        assert_eq!(gone, Vec::<&str>::new(), "write the new text into the table");
    }
}
