//! The bounds of a network and of the files that it is read from. Each is checked while reading, so
//! that memory stays bounded whatever a file holds.

use std::ops::RangeInclusive;

/// Most bytes of one file of a network's folder, unzipped.
pub const MAX_FILE_BYTES: u64 = 64 << 20;
/// Most bytes of a file in TOML, which is read at once.
pub const MAX_TOML_BYTES: u64 = 4 << 20;
/// Most bytes of all files of a network's folder, unzipped.
pub const MAX_FOLDER_BYTES: u64 = 256 << 20;
/// Most bytes of a zip that is uploaded. The table of previews has the same bound.
pub const MAX_ZIP_BYTES: usize = 8 << 20;
/// Most bytes of one file of a GTFS feed, unzipped. Feeds are read record by record.
pub const MAX_FEED_FILE_BYTES: u64 = 2 << 30;
/// Most bytes of all files of a GTFS feed, unzipped.
pub const MAX_FEED_BYTES: u64 = 4 << 30;
/// Most records of a file of a feed that is held in memory: all but times, fares' rules and what is
/// not read.
pub const MAX_HELD_ROWS: u64 = 4_000_000;
/// Most bytes of the records of such a file.
pub const MAX_HELD_BYTES: u64 = 512 << 20;
/// Most times of the trips of a feed that are sold.
pub const MAX_SOLD_TIMES: usize = 10_000_000;
/// Bytes that a zipped file may have unzipped, whatever its ratio.
pub const FREE_UNZIPPED_BYTES: u64 = 1 << 20;
/// Most bytes that one zipped byte may become. Timetables reach some thirty.
pub const MAX_ZIP_RATIO: u64 = 200;
/// Most files of a folder or a zip.
pub const MAX_FILES: usize = 1_000;
/// Most bytes of a zip's directory, in which each file has its name.
pub const MAX_DIRECTORY_BYTES: u64 = 1 << 20;
/// Most bytes of one record of a CSV file, its quoted line breaks included.
pub const MAX_RECORD_BYTES: usize = 1 << 20;
/// Most fields of one record of a CSV file.
pub const MAX_FIELDS: usize = 500;
/// Most records of one file of a network's folder.
pub const MAX_ROWS: u64 = 1_000_000;
/// Most faults that are kept; of more, the number is.
pub const MAX_FAULTS: usize = 100;
/// Most characters of a fault's rule.
pub const MAX_RULE: usize = 500;
/// Most characters of a faulty text that a fault shows.
pub const MAX_SHOWN: usize = 40;

/// Most characters of a code.
pub const MAX_CODE: usize = 64;
/// Most characters of a name.
pub const MAX_NAME: usize = 200;
/// Most characters of a description.
pub const MAX_DESCRIPTION: usize = 1_000;
/// Most characters of a phone number.
pub const MAX_PHONE: usize = 40;
/// Most characters of a bus's plate.
pub const MAX_PLATE: usize = 40;
/// Most characters of a language's tag.
pub const MAX_LANGUAGE: usize = 35;
/// Most characters of an address on the web.
pub const MAX_URL: usize = 500;
/// Most languages of a network.
pub const MAX_LANGUAGES: usize = 20;
/// Most stops of a network.
pub const MAX_STOPS: usize = 200_000;
/// Most routes of a network.
pub const MAX_ROUTES: usize = 20_000;
/// The highest number of a direction.
pub const MAX_DIRECTION: u16 = 999;
/// Stops of a direction.
pub const STOPS_OF_DIRECTION: RangeInclusive<usize> = 2..=300;
/// Most bus models of a network.
pub const MAX_MODELS: usize = 500;
/// Most decks of a bus model.
pub const MAX_DECKS: usize = 4;
/// Most rows of a deck.
pub const MAX_DECK_ROWS: usize = 100;
/// Most places in a row of a deck.
pub const MAX_ROW_CELLS: usize = 20;
/// Seats of a bus model.
pub const SEATS_OF_MODEL: RangeInclusive<usize> = 1..=400;
/// Most characters of a seat's label.
pub const MAX_LABEL: usize = crate::domain::MAX_SEAT_LABEL;
/// Most buses of a network.
pub const MAX_BUSES: usize = 50_000;
/// The highest number of a bus.
pub const MAX_BUS: u32 = 1_000_000_000;
/// Most drivers of a network.
pub const MAX_DRIVERS: usize = 100_000;
/// Most calendars of a network.
pub const MAX_CALENDARS: usize = 20_000;
/// Years that dates may be of.
pub const YEARS: RangeInclusive<i32> = 1970..=2199;
/// Most days from a calendar's first day to its last.
pub const MAX_CALENDAR_DAYS: i64 = 3_660;
/// Most exceptions of a calendar.
pub const MAX_EXCEPTIONS: usize = 3_660;
/// Most departures of a network.
pub const MAX_DEPARTURES: usize = 200_000;
/// The first minute after the service day's midnight that no departure may have: 48:00.
pub const DEPARTS_BEFORE: u16 = 48 * 60;
/// Minutes that a departure takes from its first stop to its last.
pub const MINUTES_OF_DEPARTURE: RangeInclusive<u32> = 1..=24 * 60;
/// Most fares of a network.
pub const MAX_FARES: usize = 500_000;
/// The largest amount, in the currency's smallest unit.
pub const MAX_MINOR: i64 = crate::domain::MAX_MINOR;
/// The longest hold, cut-off or refund deadline, seconds: 30 days.
pub const MAX_RULE_SECS: u32 = 30 * 24 * 3_600;
/// Most days of one check.
pub const MAX_CHECK_DAYS: u16 = 400;
