//! Trips: making them from the timetable, and showing them with their seats.

mod timetable;
mod views;

pub use timetable::{MOST_DAYS, NewTrip, add, generate};
pub use views::{Trip, TripDetail, detail, of_day};
