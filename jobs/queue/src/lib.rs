//! A job queue in PostgreSQL. It knows nothing of what a job does: a tag is a string, a payload is
//! JSON.
//!
//! A program that changes its data calls [`enqueue`], [`enqueue_or_expedite`] or [`remove`] in the
//! same transaction. A worker ([`run`]) leases due jobs and gives each to the handler as a
//! [`Delivery`]; the handler completes it in its own transaction with [`Lease::complete`], fenced
//! by the lease's token. apalis runs the handlers.

pub mod admin;
mod config;
mod delivery;
mod driver;
mod enqueue;
mod error;
pub mod import;
mod job;
mod lease;
mod lease_id;
mod location;
mod maintenance;
mod metrics;
mod migrate;
mod notify;
mod outcome;
mod prefetch;
mod retry_policy;
mod sql;
mod state;
pub mod store;
mod time_limit;
mod trace;
mod transaction;
mod worker;

pub use apalis::prelude::WorkerError;
pub use config::WorkerConfig;
pub use delivery::{Delivery, Outcome};
pub use enqueue::{Due, Enqueued, enqueue, enqueue_or_expedite, expedite, remove};
pub use error::{BoxError, JobError};
pub use job::{Job, NewJob, Priority};
pub use lease::{Lease, SettleError};
pub use location::{InvalidName, OnQueue, QueueConfig, QueueConnection};
pub use maintenance::acquire_task;
pub use metrics::{BOUNDS, Metrics};
pub use migrate::{MigrateError, migrate, require_current, schema_version};
pub use notify::notifier::Notifier;
pub use retry_policy::RetryPolicy;
pub use trace::{in_current_trace, with_trace_id, with_traceparent};
pub use transaction::{begin, begin_with};
pub use worker::run;

/// The statements of the driver, for tests that check them or drive a worker otherwise. No part of
/// the stable interface.
#[doc(hidden)]
pub mod protocol {
    pub use crate::{
        lease_id::LeaseId,
        maintenance::apply_retention,
        outcome::{Completion, CompletionResult, Disposition},
        sql::{
            claim::{
                ClaimKind, ClaimRequest, ClaimResult, Claimed, complete_and_claim, take_concurrency_keys,
            },
            complete::complete_batch,
            cursor::ClaimCursor,
            heartbeat::{RenewedLease, heartbeat},
        },
    };
}

/// The code of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
