//! GTFS Schedule in and out (gtfs.org/documentation/schedule/reference).
//!
//! A feed is read table by table with the reader of the project's own format, because feeds are
//! dirty: gtfs-structures stops at a file's first error and has no bounds.
//! docs/decisions/0021-networks-as-files.md tells more.

mod assign;
mod convert;
mod days;
mod days_out;
mod fares;
mod feed;
mod mapping;
mod matched;
mod names;
mod stop_times;
mod tables;
mod trips;
pub mod write;

pub use convert::{Converted, convert};
pub use mapping::Mapping;
