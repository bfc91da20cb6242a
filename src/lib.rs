//! Farebox: seat booking and wallet payment as sagas over a PostgreSQL queue.
//!
//! docs/contributors/architecture.md describes the modules and the sagas; start reading at
//! [`booking`] and [`payment`].

pub mod audit;
pub mod booking;
pub mod console;
pub mod demo;
pub mod domain;
pub mod embedded;
pub mod flow;
pub mod http;
pub mod limits;
pub mod metrics;
pub mod ops;
pub mod orders;
pub mod passwords;
pub mod payment;
pub mod process;
pub mod recurring;
pub mod redis_link;
pub mod riders;
pub mod schema;
pub mod settings;
pub mod sheet;
pub mod tally;
pub mod telemetry;
pub mod trips;
pub mod upkeep;
pub mod verify;
pub mod worker;
