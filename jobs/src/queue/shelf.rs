//! Jobs that are claimed and wait for a free slot. The driver puts them here; apalis's worker takes them, one for each
//! slot that gets free; the driver takes back what would wait too long.

use super::Delivery;
use futures_util::task::AtomicWaker;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;

/// How long a claimed job waits for a slot before it is given back. It was claimed because one was expected to be free
/// at once (pace.rs); then a handler took longer than those before it.
pub(super) const SHELF_LIMIT: Duration = Duration::from_millis(200);

#[derive(Default)]
pub(super) struct Shelf {
    waiting: Mutex<Waiting>,
    taker: AtomicWaker,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Delivery>,
    closed: bool,
}

impl Shelf {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, jobs: impl Iterator<Item = Delivery>) {
        self.waiting().jobs.extend(jobs);
        self.taker.wake();
    }

    /// The next job; none once the driver has ended.
    pub(super) fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<Delivery>> {
        self.taker.register(cx.waker());
        let mut waiting = self.waiting();
        match waiting.jobs.pop_front() {
            Some(job) => Poll::Ready(Some(job)),
            None if waiting.closed => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// When the first of them will have waited too long.
    pub(super) fn overdue_at(&self) -> Option<Instant> {
        self.waiting().jobs.front().map(|job| job.lease.claimed + SHELF_LIMIT)
    }

    /// Those that were claimed before `then`, or all.
    pub(super) fn take_back(&self, then: Option<Instant>) -> Vec<Delivery> {
        let mut waiting = self.waiting();
        let old =
            waiting.jobs.iter().take_while(|job| then.is_none_or(|then| job.lease.claimed <= then)).count();
        waiting.jobs.drain(..old).collect()
    }

    /// The driver has ended: whoever waits for a job need not.
    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.taker.wake();
    }
}
