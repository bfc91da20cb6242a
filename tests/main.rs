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

mod api;
mod console;
mod contract;
mod deploy;
mod docs;
mod edges;
mod harness;
mod load;
mod network;
mod ops;
mod queue;
mod restore;
mod saga;
mod soak;
mod traces;
mod web;
mod webhooks;
