//! Tables of a feed, read leniently: columns and files that are not known are no faults, and a
//! broken line does not stop the reading.

use super::super::{
    bounds::{MAX_CODE, MAX_FAULTS, MAX_FEED_BYTES, MAX_FEED_FILE_BYTES, MAX_HELD_BYTES, MAX_HELD_ROWS},
    fault::{Fault, Faults, shown},
    names::Code,
    records::{Record, Records},
    source::{Limits, Source},
};
use chrono::NaiveDate;
use sha2::{Digest, Sha256};
use std::{collections::HashSet, fmt::Write as _};

/// What a file of a feed may hold.
pub(super) const LIMITS: Limits = Limits { file: MAX_FEED_FILE_BYTES, total: MAX_FEED_BYTES };
/// Files of which only what is sold is held in memory.
const STREAMED: [&str; 2] = ["stop_times.txt", "fare_rules.txt"];
/// Bytes of the digest that makes a code of an id unique.
const DIGEST_BYTES: usize = 5;

/// A line of a table.
pub(super) struct Line<'a> {
    pub(super) file: &'a str,
    columns: &'a [String],
    record: &'a Record,
}

impl Line<'_> {
    /// Its number.
    pub(super) fn number(&self) -> u64 {
        self.record.line
    }

    /// A cell; empty if the table has no such column.
    pub(super) fn get(&self, column: &str) -> &str {
        self.columns.iter().position(|known| known == column).map_or("", |at| self.record.get(at))
    }

    /// A fault of a column, which shows the cell.
    pub(super) fn fault(&self, column: &str, rule: &str) -> Fault {
        let rule = format!("{rule}; it is {}", shown(self.get(column)));
        Fault::of_line(self.file, self.number(), rule).column(column)
    }

    /// A cell that must be filled.
    pub(super) fn need(&self, column: &str, faults: &mut Faults) -> Option<&str> {
        let text = self.get(column);
        if text.is_empty() {
            faults.push(Fault::of_line(self.file, self.number(), "it must not be empty").column(column));
        }
        Some(text).filter(|text| !text.is_empty())
    }

    /// A cell by a rule; `None` if it is empty or breaks the rule.
    pub(super) fn read<T>(
        &self,
        column: &str,
        faults: &mut Faults,
        rule: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.get(column);
        if text.is_empty() {
            return None;
        }
        rule(text).map_err(|rule| faults.push(self.fault(column, &rule))).ok()
    }

    /// A date of any year, as `20260131`; `2026-01-31` is a fault and is taken.
    pub(super) fn date(&self, column: &str, faults: &mut Faults) -> Option<NaiveDate> {
        const RULE: &str = "a date like 20260131";
        let text = self.need(column, faults)?;
        let digits: String = text.split('-').collect();
        let is_plain = digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit());
        let date = NaiveDate::parse_from_str(&digits, "%Y%m%d").ok().filter(|_| is_plain);
        if date.is_none() || text.len() != digits.len() {
            faults.push(self.fault(column, RULE));
        }
        date
    }
}

/// What has been reported once. A text that many lines have would leave no room for other faults.
#[derive(Default)]
pub(super) struct Reported(HashSet<String>);

impl Reported {
    /// Whether a text is reported for the first time. As many texts as faults are known; of others
    /// it is `true`.
    pub(super) fn is_first(&mut self, text: &str) -> bool {
        !self.0.contains(text) && (self.0.len() >= MAX_FAULTS || self.0.insert(text.to_owned()))
    }
}

/// Reads a table line by line; returns whether the feed has it.
pub(super) fn each(
    source: &mut Source,
    file: &str,
    required: &[&str],
    faults: &mut Faults,
    mut line: impl FnMut(&Line<'_>, &mut Faults),
) -> bool {
    let read = source.read(file, |input| {
        let (mut records, mut record) = (Records::new(file, input), Record::default());
        if !records.next(&mut record)? {
            return Err(Fault::of_file(file, "it begins with a line that names its columns"));
        }
        let columns: Vec<String> = record.fields().map(str::to_owned).collect();
        for (at, column) in columns.iter().enumerate().filter(|(_, column)| !column.is_empty()) {
            if columns[..at].contains(column) {
                let rule = format!("the column {} stands twice; the first is taken", shown(column));
                faults.push(Fault::of_line(file, record.line, rule));
            }
        }
        if let Some(column) = required.iter().find(|column| !columns.iter().any(|known| known == *column)) {
            return Err(Fault::of_line(file, record.line, format!("the column {column} is missing")));
        }
        let (mut rows, is_held, mut is_utf8) = (0, !STREAMED.contains(&file), true);
        while records.next(&mut record)? {
            rows += 1;
            if is_held && (rows > MAX_HELD_ROWS || records.taken > MAX_HELD_BYTES) {
                let rule = format!("at most {MAX_HELD_ROWS} lines and {MAX_HELD_BYTES} bytes");
                return Err(Fault::of_line(file, record.line, rule));
            }
            if let Some(rule) = record.not_utf8.as_ref().filter(|_| is_utf8) {
                is_utf8 = false;
                let rule = format!("{rule}; it is read as Latin-1, and so are others of this file");
                faults.push(Fault::of_line(file, record.line, rule));
            }
            line(&Line { file, columns: &columns, record: &record }, faults);
        }
        Ok(())
    });
    match read {
        Some(Ok(Ok(()))) => true,
        Some(Ok(Err(fault)) | Err(fault)) => {
            faults.push(fault);
            true
        }
        None => false,
    }
}

/// The code of an id of a feed: the id if it is a code. Other signs become `_`, and a digest of the
/// id makes the code unique and stable.
pub(super) fn code_of(id: &str) -> Code {
    if let Ok(code) = id.parse() {
        return code;
    }
    let mut ending = String::from(".");
    for byte in Sha256::digest(id.as_bytes()).iter().take(DIGEST_BYTES) {
        let _ = write!(ending, "{byte:02x}");
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.:".contains(c) { c } else { '_' };
    let begin: String = id.chars().take(MAX_CODE - ending.len()).map(plain).collect();
    let code = format!("{begin}{ending}").parse();
    code.unwrap_or_else(|rule| unreachable!("signs and length are those of a code: {rule}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_ids_are_stable_and_differ() {
        assert_eq!(code_of("100310_weekday_1").as_str(), "100310_weekday_1");
        let codes: std::collections::BTreeSet<Code> =
            ["a b", "a/b", "絵鞆", "室蘭", "", &"x".repeat(65), &"x".repeat(66)].map(code_of).into();
        assert_eq!(codes.len(), 7);
        assert_eq!(code_of("a b"), code_of("a b"));
    }
}
