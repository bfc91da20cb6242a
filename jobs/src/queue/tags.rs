//! The tags a worker claims, and how far back it looks in each.

use super::Lease;
use chrono::{DateTime, Utc};
use std::time::Duration;
use tokio::time::Instant;

/// While claims come back full, how long the entries of jobs that are gone are not walked over again. A job that
/// turned up behind that mark (its transaction committed late, its lease ran out) waits that much longer.
const LOOK_BACK_EVERY: Duration = Duration::from_millis(50);

/// Two columns of one list: a busy queue's index begins with the entries of jobs that have just ended, and a claim
/// that started there each time would walk over all of them.
pub(super) struct Tags {
    pub(super) names: Vec<String>,
    /// Earlier jobs of this tag have been claimed. Nothing: look from the beginning.
    pub(super) since: Vec<Option<DateTime<Utc>>>,
    looked_back: Instant,
}

impl Tags {
    pub(super) fn new(names: Vec<String>) -> Self {
        let since = vec![None; names.len()];
        Self { names, since, looked_back: Instant::now() }
    }

    /// The tags take turns at being first, so that a busy one cannot starve the others.
    pub(super) fn take_turns(&mut self) {
        if self.names.len() > 1 {
            self.names.rotate_left(1);
            self.since.rotate_left(1);
        }
        if self.looked_back.elapsed() >= LOOK_BACK_EVERY {
            self.look_back();
        }
    }

    /// Whether the next claim sees every due job.
    pub(super) fn whole(&self) -> bool {
        self.since.iter().all(Option::is_none)
    }

    /// The next claim starts from the beginning.
    pub(super) fn look_back(&mut self) {
        self.since.fill(None);
        self.looked_back = Instant::now();
    }

    /// The next claim starts at this job, the last of its tag that was claimed.
    pub(super) fn start_at(&mut self, lease: &Lease) {
        if let Some(at) = self.names.iter().position(|name| *name == lease.tag) {
            self.since[at] = Some(lease.run_at);
        }
    }
}
