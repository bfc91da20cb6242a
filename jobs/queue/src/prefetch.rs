//! Jobs that are claimed and wait for a free slot. The driver pushes them; apalis's worker takes
//! one for each slot that gets free; the driver takes back what would wait too long.

use crate::Delivery;
use futures_util::task::AtomicWaker;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;

/// How long a claimed job waits for a slot before it is released. It was claimed because a slot was
/// expected to be free at once (driver/estimator.rs); then a handler took longer than those before
/// it.
pub(crate) const MAX_WAIT: Duration = Duration::from_millis(200);

/// The buffer between the driver and apalis's worker.
#[derive(Default)]
pub(crate) struct PrefetchBuffer {
    waiting: Mutex<Waiting>,
    worker: AtomicWaker,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Delivery>,
    closed: bool,
}

impl PrefetchBuffer {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, jobs: impl Iterator<Item = Delivery>) {
        self.waiting().jobs.extend(jobs);
        self.worker.wake();
    }

    /// The next job; none once the driver has ended.
    pub(crate) fn poll_pop(&self, cx: &Context<'_>) -> Poll<Option<Delivery>> {
        self.worker.register(cx.waker());
        let mut waiting = self.waiting();
        match waiting.jobs.pop_front() {
            Some(job) => Poll::Ready(Some(job)),
            None if waiting.closed => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// When the first job will have waited too long.
    pub(crate) fn overdue_at(&self) -> Option<Instant> {
        self.waiting().jobs.front().map(|job| job.lease.claimed + MAX_WAIT)
    }

    /// Removes the jobs that were claimed no later than `claimed_by`, or all.
    pub(crate) fn take_back(&self, claimed_by: Option<Instant>) -> Vec<Delivery> {
        let mut waiting = self.waiting();
        let is_old = |job: &&Delivery| claimed_by.is_none_or(|limit| job.lease.claimed <= limit);
        let old = waiting.jobs.iter().take_while(is_old).count();
        waiting.jobs.drain(..old).collect()
    }

    /// The driver has ended: apalis's worker gets no more jobs.
    pub(crate) fn close(&self) {
        self.waiting().closed = true;
        self.worker.wake();
    }
}
