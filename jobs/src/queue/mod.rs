//! The queue: jobs in PostgreSQL, run by apalis through a backend of our own. It knows nothing of what a job does:
//! a tag is a string, a payload is JSON.
//!
//! Whoever changes the domain calls [`enqueue`], [`hurry`] or [`take_off`] in the same transaction. A worker
//! ([`run`]) leases due jobs and hands each to the handler as a [`Delivery`]; the handler completes it in its own
//! transaction with [`Lease::complete`], fenced by the lease's token.

mod ack;
pub mod admin;
mod backend;
mod claim;
mod delivery;
mod driver;
mod enqueue;
mod error;
mod job;
mod lease;
mod link;
mod listen;
mod policy;
mod round;
mod supervise;
mod tags;
mod verdict;
mod worker;

pub use apalis::prelude::WorkerError;
pub use delivery::{Delivery, Outcome};
pub use enqueue::{Due, Enqueued, enqueue, hurry, take_off};
pub use error::{BoxError, JobError};
pub use job::{Job, NewJob};
pub use lease::{Lease, SettleError};
pub use policy::RetryPolicy;
pub use worker::{WorkerConfig, run};

/// Where an immediate job announces itself; the payload is empty.
pub const CHANNEL: &str = "farebox_jobs";
