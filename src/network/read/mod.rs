//! Reading a network from a folder or a zip. Every broken rule is found, up to a bound; a network
//! comes of it only if none is.

mod fares;
mod fleet;
mod head;
mod places;
mod times;

pub(super) use fleet::{ModelText, bus_number, model};
use head::toml_file;
pub(super) use head::{RulesText, at_most, languages, toml_text};
pub(super) use places::degrees;

use super::{
    bounds::{MAX_FILE_BYTES, MAX_FOLDER_BYTES, YEARS},
    fault::{Fault, Faults, shown, with_nearest},
    format,
    model::Network,
    names::Code,
    rows::Row,
    source::{Embedded, Limits, Source},
};
use chrono::{Datelike, NaiveDate};
use chrono_tz::Tz;
use std::{borrow::Borrow, collections::BTreeMap, fmt::Display, path::Path, sync::Arc};

/// What a file of a network may hold.
pub(super) const LIMITS: Limits = Limits { file: MAX_FILE_BYTES, total: MAX_FOLDER_BYTES };

/// A network, and where its parts stand.
#[derive(Clone, Debug)]
pub struct Read {
    /// The network.
    pub network: Network,
    /// Where its parts stand.
    pub lines: Lines,
}

/// On which lines the parts of a network stand.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    pub(super) departures: BTreeMap<Code, u64>,
    pub(super) routes: BTreeMap<Code, u64>,
}

/// Reads a folder or a zip.
///
/// # Errors
/// All broken rules, with file, line and column.
pub fn read(path: &Path) -> Result<Read, Faults> {
    read_source(Source::open(path, LIMITS).map_err(Faults::from)?)
}

/// Reads a zip in memory.
///
/// # Errors
/// As [`read`].
pub fn read_zip(bytes: Arc<[u8]>) -> Result<Read, Faults> {
    read_source(Source::of_zip(bytes, LIMITS).map_err(Faults::from)?)
}

/// Reads files that are built in.
///
/// # Errors
/// As [`read`].
pub fn read_embedded(files: Embedded) -> Result<Read, Faults> {
    read_source(Source::embedded(files, LIMITS))
}

fn read_source(mut source: Source) -> Result<Read, Faults> {
    let mut faults = Faults::default();
    unknown_files(&source, &mut faults);
    let Some(network) = head::network(&mut source, &mut faults) else { return Err(faults) };
    let mut draft = Draft { network, seen: Seen::default() };
    places::stops(&mut source, &mut draft, &mut faults);
    fleet::models(&mut source, &mut draft, &mut faults);
    fleet::drivers(&mut source, &mut draft, &mut faults);
    fleet::buses(&mut source, &mut draft, &mut faults);
    places::routes(&mut source, &mut draft, &mut faults);
    places::directions(&mut source, &mut draft, &mut faults);
    times::calendars(&mut source, &mut draft, &mut faults);
    times::departures(&mut source, &mut draft, &mut faults);
    fares::fares(&mut source, &mut draft, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let lines = Lines { departures: draft.seen.departures.lines, routes: draft.seen.routes.lines };
    Ok(Read { network: draft.network, lines })
}

fn unknown_files(source: &Source, faults: &mut Faults) {
    for name in source.names().filter(|name| !format::files().any(|known| known == *name)) {
        let rule = with_nearest("no file of this name is known".to_owned(), name, format::files());
        faults.push(Fault::of_file(shown(name), rule));
    }
}

/// What was read so far.
struct Draft {
    network: Network,
    seen: Seen,
}

/// What the files name, also where the rest of the line is refused: a reference to it is no
/// second fault.
#[derive(Default)]
struct Seen {
    stops: Keys<Code>,
    models: Keys<Code>,
    drivers: Keys<Code>,
    buses: Keys<u32>,
    routes: Keys<Code>,
    directions: Keys<(Code, u16)>,
    calendars: Keys<Code>,
    departures: Keys<Code>,
}

/// Keys with the lines on which they stand.
struct Keys<K> {
    lines: BTreeMap<K, u64>,
}

impl<K> Default for Keys<K> {
    fn default() -> Self {
        Self { lines: BTreeMap::new() }
    }
}

impl<K: Ord> Keys<K> {
    /// Enters a key; a key that is there already is a fault.
    fn enter(&mut self, key: K, row: &Row<'_>, column: &str, faults: &mut Faults) -> bool {
        if let Some(line) = self.lines.get(&key) {
            let rule = format!("{} stands on line {line} already", shown(row.get(column)));
            faults.push(row.fault(column, rule));
            return false;
        }
        self.lines.insert(key, row.line());
        true
    }

    /// Whether the key is there; if not, that is a fault.
    fn need<Q: Ord + ?Sized + Display>(
        &self,
        key: &Q,
        row: &Row<'_>,
        (column, file): (&str, &str),
        faults: &mut Faults,
    ) -> bool
    where
        K: Borrow<Q>,
    {
        let is_there = self.lines.contains_key(key);
        if !is_there {
            faults.push(row.fault(column, format!("{} is not in {file}", shown(&key.to_string()))));
        }
        is_there
    }
}

/// A zone of the IANA's database.
pub(super) fn zone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| "an IANA zone like Europe/Berlin".to_owned())
}

/// A date like `2026-01-31`.
pub(super) fn date(text: &str) -> Result<NaiveDate, String> {
    let shaped = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let date = text.parse::<NaiveDate>().ok().filter(|date| shaped && YEARS.contains(&date.year()));
    date.ok_or_else(|| format!("a date like 2026-01-31 of the years {} to {}", YEARS.start(), YEARS.end()))
}

/// Adds a fault if a file has more things than the bound.
fn bound(table: &format::Table, count: usize, most: usize, faults: &mut Faults) {
    if count > most {
        faults.push(Fault::of_file(table.file, format!("at most {most} of them, this has {count}")));
    }
}
