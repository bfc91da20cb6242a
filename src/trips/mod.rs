//! Trips: making them from the timetable, showing them with their seats, and operators' actions
//! upon them.

mod cache;
pub mod cancel;
mod extra;
pub mod horizon;
pub mod live;
pub mod manifest;
pub mod seat_map;
pub mod seats;
mod timetable;
mod views;
mod wall;

pub use cache::{PAGE, list};
pub use extra::{NewTrip, add};
pub use seat_map::{TripDetail, Viewer, detail};
pub use timetable::{
    GeneratedTrips, MAX_DAYS, NotMade, NotMadeCursor, SkippedDeparture, count_not_made, generate, not_made,
};
pub use views::{Trip, TripQuery, TripState, search};
