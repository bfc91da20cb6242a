//! What has ended and is not yet written.

use crate::outcome::{Completion, Disposition};
use std::time::Duration;
use tokio::time::Instant;

/// The wait before completions whose rows were locked are tried again.
const LOCKED_WAIT: Duration = Duration::from_millis(50);

pub(super) struct Outbox {
    /// What ended well and is completed with the next claim: all are [`Disposition::Done`] without
    /// a concurrency key.
    done: Vec<Completion>,
    /// What else is to be written, by the statement for all cases.
    careful: Vec<Completion>,
    /// Of these, the ones whose rows another transaction holds.
    locked: Vec<Completion>,
    /// When those are tried again.
    locked_until: Instant,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self { done: Vec::new(), careful: Vec::new(), locked: Vec::new(), locked_until: Instant::now() }
    }

    pub(super) fn len(&self) -> usize {
        self.done.len() + self.careful.len() + self.locked.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many are completed with the next claims.
    pub(super) fn done(&self) -> usize {
        self.done.len()
    }

    pub(super) fn push(&mut self, completion: Completion) {
        let simple = matches!(completion.disposition, Disposition::Done(_))
            && completion.lease.concurrency_key.is_none();
        if simple { self.done.push(completion) } else { self.careful.push(completion) }
    }

    /// Takes up to `batch` that ended well.
    pub(super) fn take_done(&mut self, batch: usize) -> Vec<Completion> {
        let batch = self.done.len().min(batch);
        self.done.drain(..batch).collect()
    }

    /// These could not be sent: they go with the next claim again.
    pub(super) fn put_back_done(&mut self, mut done: Vec<Completion>) {
        self.done.append(&mut done);
    }

    /// One of these cannot be completed now: the statement for all cases finds it.
    pub(super) fn write_carefully(&mut self, mut done: Vec<Completion>) {
        self.careful.append(&mut done);
    }

    /// The first `batch` for the statement for all cases; none if there are none.
    pub(super) fn careful(&self, batch: usize) -> &[Completion] {
        &self.careful[..self.careful.len().min(batch)]
    }

    /// Takes what [`Self::careful`] gives.
    pub(super) fn take_careful(&mut self, batch: usize) -> Vec<Completion> {
        let batch = self.careful.len().min(batch);
        self.careful.drain(..batch).collect()
    }

    /// Another transaction holds this one's row.
    pub(super) fn set_aside(&mut self, completion: Completion) {
        self.locked.push(completion);
        self.locked_until = Instant::now() + LOCKED_WAIT;
    }

    /// When to try locked rows again, if there are any.
    pub(super) fn locked_until(&self) -> Option<Instant> {
        (!self.locked.is_empty()).then_some(self.locked_until)
    }

    /// Moves the locked ones back once their wait is over.
    pub(super) fn retry_locked(&mut self) {
        if Instant::now() >= self.locked_until {
            self.careful.append(&mut self.locked);
        }
    }
}
