//! The rows of a table whose columns are known: each cell is read by its rule, and each broken rule
//! is a fault with file, line and column.

use super::{
    bounds::{MAX_NAME, MAX_ROWS, MAX_URL},
    fault::{Fault, Faults, shown, with_nearest},
    format::Table,
    names::{Language, Names},
    records::{Record, Records},
    source::Source,
};
use crate::domain::fault_of_name;
use std::{collections::HashMap, fmt::Display, str::FromStr};

/// A row of a table.
pub(super) struct Row<'a> {
    table: &'a Table,
    header: &'a HashMap<String, usize>,
    record: &'a Record,
}

impl Row<'_> {
    /// The line on which it begins.
    pub(super) fn line(&self) -> u64 {
        self.record.line
    }

    /// A cell; empty if the table has no such column.
    pub(super) fn get(&self, column: &str) -> &str {
        self.header.get(column).map_or("", |at| self.record.get(*at))
    }

    /// A fault of a column.
    pub(super) fn fault(&self, column: &str, rule: impl Into<String>) -> Fault {
        Fault::of_line(self.table.file, self.line(), rule).column(column)
    }

    /// Reads a cell that may be empty: `None` if it breaks its rule, which is added to the faults.
    pub(super) fn optional<T: FromStr<Err: Display>>(
        &self,
        column: &str,
        faults: &mut Faults,
    ) -> Option<Option<T>> {
        match self.get(column) {
            "" => Some(None),
            _ => self.required(column, faults).map(Some),
        }
    }

    /// Reads a cell that must be filled.
    pub(super) fn required<T: FromStr<Err: Display>>(&self, column: &str, faults: &mut Faults) -> Option<T> {
        self.with(column, faults, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// Reads a cell that must be filled by a rule.
    pub(super) fn with<T>(
        &self,
        column: &str,
        faults: &mut Faults,
        rule: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = match self.get(column) {
            "" => Err("it must not be empty".to_owned()),
            text => rule(text).map_err(|rule| format!("{rule}; it is {}", shown(text))),
        };
        value.map_err(|rule| faults.push(self.fault(column, rule))).ok()
    }

    /// Reads a cell that may be empty by a rule.
    pub(super) fn optional_with<T>(
        &self,
        column: &str,
        faults: &mut Faults,
        rule: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        if self.get(column).is_empty() { Some(None) } else { self.with(column, faults, rule).map(Some) }
    }

    /// The name in the first language and in all others that have one here.
    pub(super) fn names(&self, languages: &[Language], faults: &mut Faults) -> Option<Names> {
        let mut names = Names::of(self.with("name", faults, |text| line_of(text, MAX_NAME))?);
        for language in languages.iter().skip(1) {
            let column = format!("name.{language}");
            let name = self.optional_with(&column, faults, |text| line_of(text, MAX_NAME))?;
            names.others.extend(name.map(|name| (language.clone(), name)));
        }
        Some(names)
    }
}

/// A text of one line whose characters can be seen, in any script.
pub(super) fn line_of(text: &str, most: usize) -> Result<String, String> {
    fault_of_name(text, most).map_or_else(|| Ok(text.to_owned()), Err)
}

/// An address of a page on the web.
pub(super) fn url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = text.len() <= MAX_URL && text.bytes().all(|b| b.is_ascii_graphic());
    let is_url = plain && rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
    let rule = || format!("an address like https://example.org/ of at most {MAX_URL} characters of ASCII");
    is_url.then(|| text.to_owned()).ok_or_else(rule)
}

/// Reads a table row by row.
pub(super) fn each(
    source: &mut Source,
    table: &Table,
    languages: &[Language],
    faults: &mut Faults,
    mut row: impl FnMut(&Row<'_>, &mut Faults),
) {
    let read = source.read(table.file, |input| {
        let mut records = Records::new(table.file, input);
        let mut record = Record::default();
        if !records.next(&mut record)? {
            return Err(Fault::of_file(table.file, "it begins with a line that names its columns"));
        }
        let Some(header) = header(table, languages, &record, faults) else { return Ok(()) };
        let mut rows = 0;
        while records.next(&mut record)? {
            rows += 1;
            if rows > MAX_ROWS {
                return Err(Fault::of_line(table.file, record.line, format!("at most {MAX_ROWS} rows")));
            }
            if let Some(rule) = &record.not_utf8 {
                faults.push(Fault::of_line(table.file, record.line, rule.clone()));
            } else if record.len() == header.len() {
                row(&Row { table, header: &header, record: &record }, faults);
            } else {
                let rule =
                    format!("{} cells, as the first line has; this has {}", header.len(), record.len());
                faults.push(Fault::of_line(table.file, record.line, rule));
            }
        }
        Ok(())
    });
    match read {
        Some(Ok(Err(fault)) | Err(fault)) => faults.push(fault),
        Some(Ok(Ok(()))) => {}
        None if table.is_optional => {}
        None => faults.push(Fault::of_file(table.file, "this file is missing")),
    }
}

/// The columns by name, if they are those of the table.
fn header(
    table: &Table,
    languages: &[Language],
    record: &Record,
    faults: &mut Faults,
) -> Option<HashMap<String, usize>> {
    let mut known: Vec<String> =
        table.required.iter().chain(table.optional).map(|&column| column.to_owned()).collect();
    if table.has_names {
        known.extend(languages.iter().skip(1).map(|language| format!("name.{language}")));
    }
    let before = faults.count();
    if let Some(rule) = &record.not_utf8 {
        faults.push(Fault::of_line(table.file, record.line, rule.clone()));
        return None;
    }
    let mut header = HashMap::new();
    for (at, column) in record.fields().enumerate() {
        let fault = |rule| Fault::of_line(table.file, record.line, rule);
        if !known.iter().any(|known| known == column) {
            let rule = format!("no column {} is known here", shown(column));
            faults.push(fault(with_nearest(rule, column, known.iter().map(String::as_str))));
        } else if header.insert(column.to_owned(), at).is_some() {
            faults.push(fault(format!("the column {column} stands twice")));
        }
    }
    for column in table.required.iter().filter(|column| !header.contains_key(**column)) {
        faults.push(Fault::of_line(table.file, record.line, format!("the column {column} is missing")));
    }
    (faults.count() == before).then_some(header)
}
