//! Trips: making them from the timetable, showing them with their seats, and operators' actions
//! upon them.

mod cache;
pub mod cancel;
mod departures;
mod extra;
mod generated;
mod given_prices;
pub mod horizon;
mod itineraries;
mod journey;
mod labels;
pub mod layouts;
pub mod live;
pub mod manifest;
pub mod network;
mod passes;
mod prices;
pub mod seat_map;
pub mod seats;
mod single_flight;
pub mod times;
mod timetable;
mod views;

pub use cache::{ListContext, PAGE, TripLists, list};
pub use extra::{NewTrip, add};
pub use generated::{GeneratedTrips, SkippedDeparture};
pub use itineraries::{Itineraries, ItineraryCache, zone_of_days};
pub use journey::{Journey, JourneyContext, ListedTrip, ShownTrip};
pub use prices::ClassPrice;
pub use seat_map::{TripDetail, Viewer, detail};
pub use single_flight::SingleFlight;
pub use timetable::{MAX_DAYS, NotMade, NotMadeCursor, count_not_made, generate, has_timetable, not_made};
pub use views::{DIRECTION_RULE, Trip, TripQuery, TripState, is_direction, search};
