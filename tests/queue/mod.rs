//! The queue, through real workers and through its own interface.

mod faults;
mod features;
mod location;
mod model;
mod polling;
mod recurring;
mod schema;
mod store;
mod workers;
