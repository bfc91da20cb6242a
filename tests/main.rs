//! Farebox's tests: over HTTP, on a real PostgreSQL, with real API and worker processes.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "tests have no users, and fail by panics"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "no test drops a future that begins a transaction, but on purpose"
)]

mod account_rules;
mod accounts;
mod acts;
mod api_schema;
mod authorizations;
mod bad_input;
mod balances;
mod booking;
mod cancel_safety;
mod checker;
mod clocks;
mod console;
mod crashes;
mod documents;
mod edges;
mod embedded;
mod harness;
mod hostile;
mod input_rules;
mod invariants_table;
mod languages;
mod limits;
mod lists;
mod live_seats;
mod lockout;
mod lost_commit;
mod manifest;
mod matrix;
mod operators;
mod orders;
mod outage;
mod paying;
mod queue;
mod queue_faults;
mod queue_features;
mod queue_model;
mod recurring;
mod retries;
mod roles;
mod schema_change;
mod secrets;
mod sessions;
mod snooze;
mod soak;
mod speed;
mod timetable;
mod tour;
mod transport;
mod trip_cancel;
mod trip_rules;
mod trip_seats;
mod truth;
