//! The queue, through real workers and through its own interface.

mod faults;
mod features;
mod model;
mod recurring;
mod schema;
mod workers;
