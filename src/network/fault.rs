//! What is wrong in a file: where, and which rule is broken.

use super::bounds::{MAX_FAULTS, MAX_RULE, MAX_SHOWN};
use std::fmt;

/// A broken rule, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, or the file and what it is in.
    pub file: String,
    /// The line on which the record begins, from 1; `None` if it is about the whole file.
    pub line: Option<u64>,
    /// The column or key.
    pub column: Option<String>,
    /// The rule, as a sentence without its subject.
    pub rule: String,
}

impl Fault {
    /// About a whole file.
    pub fn of_file(file: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { file: file.into(), line: None, column: None, rule: printable(&rule.into()) }
    }

    /// About one line.
    pub fn of_line(file: impl Into<String>, line: u64, rule: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::of_file(file, rule) }
    }

    /// The same about one column or key.
    #[must_use]
    pub fn column(self, column: impl Into<String>) -> Self {
        Self { column: Some(column.into()), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ": {column}")?;
        }
        write!(f, ": {}", self.rule)
    }
}

/// A rule may quote what a file holds: no sign of it reaches a terminal as a command, and its length
/// is bounded.
fn printable(rule: &str) -> String {
    let mut printable = String::new();
    for c in rule.chars().take(MAX_RULE) {
        if c.is_control() { printable.extend(c.escape_default()) } else { printable.push(c) }
    }
    printable
}

/// The faults of a reading: the first [`MAX_FAULTS`], and how many there were in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    first: Vec<Fault>,
    count: u64,
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        let mut faults = Self::default();
        faults.push(fault);
        faults
    }
}

impl Faults {
    /// Adds a fault.
    pub fn push(&mut self, fault: Fault) {
        self.count += 1;
        if self.first.len() < MAX_FAULTS {
            self.first.push(fault);
        }
    }

    /// Adds the faults of another reading.
    pub fn extend(&mut self, more: Self) {
        let unkept = more.count - more.first.len() as u64;
        more.first.into_iter().for_each(|fault| self.push(fault));
        self.count += unkept;
    }

    /// The first of them.
    pub fn first(&self) -> &[Fault] {
        &self.first
    }

    /// How many there were in all.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.first {
            writeln!(f, "{fault}")?;
        }
        let unkept = self.count - self.first.len() as u64;
        if unkept > 0 {
            writeln!(f, "and {unkept} more faults")?;
        }
        Ok(())
    }
}

/// A faulty text as a fault shows it: quoted, escaped, and cut.
pub(super) fn shown(text: &str) -> String {
    let cut: String = text.chars().take(MAX_SHOWN).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("{cut:?}{dots}")
}

/// `rule`, with the nearest of the known words if one is near.
pub(super) fn with_nearest<'a>(rule: String, word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let word: String = word.chars().take(MAX_SHOWN).collect();
    let near = known.map(|known| (strsim::damerau_levenshtein(&word, known), known)).min();
    match near {
        Some((far, known)) if far <= 2.max(known.chars().count() / 3) => {
            format!("{rule}; the nearest is {known}")
        }
        _ => rule,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_bounded_and_say_their_place() {
        let mut faults = Faults::default();
        for line in 0..250 {
            faults.push(Fault::of_line("stops.csv", line, "a rule").column("zone"));
        }
        let mut twice = faults.clone();
        twice.extend(faults.clone());
        assert_eq!((faults.first().len(), faults.count(), twice.count()), (MAX_FAULTS, 250, 500));
        let text = faults.to_string();
        assert!(text.starts_with("stops.csv:0: zone: a rule\n") && text.ends_with("and 150 more faults\n"));
        assert_eq!(Fault::of_file("x", "a\u{1b}[2J").to_string(), "x: a\\u{1b}[2J");
        assert_eq!(Fault::of_file("x", "y".repeat(5_000)).rule.len(), MAX_RULE);
        assert_eq!(shown(&"a\n".repeat(100)).chars().filter(|c| *c == 'a').count(), MAX_SHOWN / 2);
        let near = |word| with_nearest("no".to_owned(), word, ["stops.csv", "routes.csv"].into_iter());
        assert_eq!((near("stop.csv").as_str(), near("x").as_str()), ("no; the nearest is stops.csv", "no"));
    }
}
