//! How an attempt ended, and what the queue writes about its job.

use crate::{JobError, Lease, Outcome, error::storable};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The longest wait for another attempt: 30 days.
const MAX_RETRY_WAIT: Duration = Duration::from_secs(30 * 24 * 3_600);

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum AttemptResult {
    /// The handler returned.
    Returned(Result<Outcome, JobError>),
    /// It panicked or was aborted: why.
    Broken(String),
    /// It was never started.
    Unstarted,
    /// It was never started, because the job had been cancelled.
    Cancelled,
}

/// The end of an attempt, as the supervisor sends it to the driver.
#[derive(Debug)]
pub(crate) struct AttemptReport {
    pub(crate) lease: Arc<Lease>,
    pub(crate) result: AttemptResult,
    /// When it began and how long it took, if it was started.
    pub(crate) ran: Option<(Instant, Duration)>,
    /// Whether its cancellation had been requested.
    pub(crate) cancelled: bool,
}

impl AttemptReport {
    /// Of an attempt that is not started.
    pub(crate) fn unstarted(lease: Arc<Lease>) -> Self {
        Self { lease, result: AttemptResult::Unstarted, ran: None, cancelled: false }
    }
}

/// What the queue does with a job after an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Disposition {
    /// The job ended well, with the handler's note.
    Done(Option<String>),
    /// The attempt failed with this error; the job is due again after this time, at most 30 days.
    Retry(String, Duration),
    /// The job is given up, for a reason that `queue.dead_letter` knows, with this error.
    Dead(&'static str, String),
    /// The job ended without being done, because its cancellation was requested; the error, if the
    /// attempt failed.
    Cancelled(Option<String>),
    /// The job is given up: the lease of its last attempt expired. The claim that found it has
    /// written that into its history.
    Crashed,
    /// The attempt never started, and does not count.
    Release,
}

/// What to write about a job, and the lease that permits it.
#[derive(Clone, Debug)]
pub struct Completion {
    /// The attempt's lease.
    pub lease: Arc<Lease>,
    /// What becomes of the job.
    pub disposition: Disposition,
}

/// What came of an [`Completion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionResult {
    /// The job is changed.
    Written,
    /// Another transaction holds the row at this moment: try again.
    Locked,
    /// The lease is lost, or the job is settled; nothing was changed.
    LeaseLost,
}

impl Disposition {
    /// The word by which the statement of [`complete_batch`](crate::protocol::complete_batch) knows
    /// it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Retry(..) => "retry",
            Self::Dead(reason, _) => reason,
            Self::Cancelled(_) => "cancelled",
            Self::Crashed => "crashed",
            Self::Release => "release",
        }
    }

    /// The note or the error, as the database takes it.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Done(note) | Self::Cancelled(note) => note.as_deref().map(storable),
            Self::Retry(error, _) | Self::Dead(_, error) => Some(storable(error)),
            Self::Crashed | Self::Release => None,
        }
    }

    /// Seconds until the next attempt.
    pub(crate) fn wait_secs(&self) -> f64 {
        if let Self::Retry(_, wait) = self { wait.min(&MAX_RETRY_WAIT).as_secs_f64() } else { 0.0 }
    }
}
