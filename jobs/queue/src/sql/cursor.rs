//! The tags that a worker claims, by priority, and where the next claim starts in each.

use crate::{Lease, Priority};
use chrono::{DateTime, Utc};
use std::time::Duration;
use tokio::time::Instant;

/// While claims come back full, how long the entries of jobs that are gone are not walked over
/// again. A job that turned up behind that mark (its transaction committed late, its lease ran out)
/// waits that much longer.
const RESET_EVERY: Duration = Duration::from_millis(50);

/// Columns of one list, in the order of claiming: a busy queue's index begins with the entries of
/// jobs that have just ended, and a claim that started there each time would walk over all of them.
#[derive(Clone, Debug)]
pub struct ClaimCursor {
    pub(crate) names: Vec<String>,
    pub(crate) priorities: Vec<i16>,
    /// Earlier jobs of this tag and priority have been claimed. None: the claim starts from the
    /// beginning.
    pub(crate) since: Vec<Option<DateTime<Utc>>>,
    reset_at: Instant,
}

impl ClaimCursor {
    /// These tags, from the beginning of each.
    pub fn new(tags: &[String]) -> Self {
        let each = Priority::ALL
            .iter()
            .flat_map(|priority| tags.iter().map(move |tag| (tag.clone(), priority.rank())));
        let (names, priorities): (Vec<_>, Vec<_>) = each.unzip();
        let since = vec![None; names.len()];
        Self { names, priorities, since, reset_at: Instant::now() }
    }

    /// Of each priority the tags take turns at being first, so that a busy one cannot starve the
    /// others.
    pub(crate) fn rotate(&mut self) {
        let tags = self.names.len() / Priority::ALL.len();
        if tags > 1 {
            self.names.chunks_mut(tags).for_each(|names| names.rotate_left(1));
            self.since.chunks_mut(tags).for_each(|since| since.rotate_left(1));
        }
        if self.reset_at.elapsed() >= RESET_EVERY {
            self.reset();
        }
    }

    /// Whether the next claim sees every due job.
    pub(crate) fn is_at_start(&self) -> bool {
        self.since.iter().all(Option::is_none)
    }

    /// The next claim starts from the beginning.
    pub(crate) fn reset(&mut self) {
        self.since.fill(None);
        self.reset_at = Instant::now();
    }

    /// The next claim starts at this job, the last of its tag and priority that was claimed.
    pub fn advance_to(&mut self, lease: &Lease, priority: i16) {
        let at = self
            .names
            .iter()
            .zip(&self.priorities)
            .position(|(name, rank)| *rank == priority && *name == lease.tag);
        if let Some(at) = at {
            self.since[at] = Some(lease.run_at);
        }
    }
}
