//! Trips: making them from the timetable, showing them with their seats, and what operators do with them.

mod cache;
pub mod cancel;
pub mod horizon;
pub mod live;
pub mod manifest;
pub mod seats;
mod timetable;
mod views;

pub use cache::list;
pub use timetable::{MOST_DAYS, NewTrip, add, generate};
pub use views::{State, Trip, TripDetail, Wanted, detail, of_day, search};
