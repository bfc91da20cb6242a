//! The queue: jobs in PostgreSQL, run by apalis through a backend of our own. It knows nothing of what a job does:
//! a tag is a string, a payload is JSON.
//!
//! Whoever changes the domain calls [`enqueue`], [`hurry`] or [`take_off`] in the same transaction. A worker
//! ([`run`]) leases due jobs and hands each to the handler as a [`Delivery`]; the handler completes it in its own
//! transaction with [`Lease::complete`], fenced by the lease's token.

mod ack;
pub mod admin;
mod backend;
mod beat;
mod chores;
mod claim;
mod delivery;
mod driver;
mod enqueue;
mod error;
mod job;
mod lease;
mod link;
mod listen;
pub mod many;
mod metrics;
mod pace;
mod policy;
mod ring;
mod round;
mod search;
mod shelf;
mod supervise;
mod tags;
mod trace;
mod transaction;
mod upkeep;
mod verdict;
mod worker;

pub use apalis::prelude::WorkerError;
pub use delivery::{Delivery, Outcome};
pub use enqueue::{Due, Enqueued, enqueue, hurry, take_off};
pub use error::{BoxError, JobError};
pub use job::{Job, NewJob, Priority};
pub use lease::{Lease, SettleError};
pub use metrics::{BOUNDS, Metrics};
pub use policy::RetryPolicy;
pub use ring::Ringer;
pub use trace::{carried, traced};
pub use transaction::{begin, begin_with};
pub use upkeep::take_duty;
pub use worker::{WorkerConfig, run};

/// The statements of the driver, each a transaction of its own: for those who check them, or drive a worker otherwise.
pub mod protocol {
    pub use super::{
        ack::{Ack, Verdict, Written, write},
        beat::{Renewed, beat},
        claim::{Claimed, How, Round, Want, complete_and_claim, take_serials},
        driver::Fence,
        tags::Tags,
        upkeep::retain,
    };
}

/// Where an immediate job announces itself, with an empty payload, and a wish to cancel with [`CANCEL`].
pub const CHANNEL: &str = "farebox_jobs";
/// The payload of a message that a job which runs is to be cancelled.
pub const CANCEL: &str = "cancel";
