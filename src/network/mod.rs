//! The operator's network as a value: its model, its files, and GTFS. No database.
//!
//! [`read`] reads the documented format, [`write`] writes it, [`check`] finds what only shows over
//! the days, and [`gtfs`] converts feeds. docs/operators/network.md is the format's reference.

pub mod bounds;
mod calendar;
pub mod check;
mod currency;
mod fault;
pub mod format;
pub mod gtfs;
mod layout;
mod model;
mod names;
mod read;
mod records;
mod rows;
mod source;
pub mod write;
mod zip_directory;
mod zipped;

pub use calendar::{Calendar, WeekDays};
pub use currency::{Amount, Currency};
pub use fault::{Fault, Faults};
pub use layout::{BusModel, Cell, Deck, STANDARD, Seat};
pub use model::{
    Bus, Departure, Direction, Driver, Fare, FareKey, Network, Place, Route, Rules, Stop, WallTime,
};
pub use names::{Code, Language, Names};
pub use read::{Lines, Read, read, read_embedded, read_zip};
pub use source::Embedded;
pub use zipped::zipped;
