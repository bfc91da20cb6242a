//! Trips: making them from the timetable, showing them with their seats, and what operators do with them.

mod cache;
pub mod cancel;
pub mod horizon;
pub mod live;
pub mod manifest;
pub mod seat_map;
pub mod seats;
mod timetable;
mod views;

pub use cache::list;
pub use seat_map::{TripDetail, detail};
pub use timetable::{MOST_DAYS, NewTrip, add, generate};
pub use views::{State, Trip, Wanted, search};
