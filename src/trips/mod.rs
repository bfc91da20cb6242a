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
mod wall;

pub use cache::{PAGE, list};
pub use seat_map::{ReadSeatMaps, TripDetail, detail};
pub use timetable::{
    MOST_DAYS, Made, NewTrip, NotMade, NotMadeCursor, Skipped, add, count_not_made, generate, not_made,
};
pub use views::{State, Trip, Wanted, search};
