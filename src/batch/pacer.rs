//! How fast a backlog is worked off. After an hour without workers there may be a hundred thousand overdue orders; worked off
//! as fast as it goes, they take the machine from the riders, who book meanwhile. Nobody waits for them: whoever wants an
//! overdue order's seats is given them at once.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// Those whose turn comes within so long go together, so that they can share a statement: fifty at the rate of the default settings,
/// of the sixty-four that one takes. Of a statement for each dozen, as 8 ms brought it, much was the statement's own: closing took the
/// server half a processor, and takes a third.
const TOGETHER: Duration = Duration::from_millis(28);

/// The turns of one process.
#[derive(Debug)]
pub struct OverduePacer {
    /// From one turn to the next; nothing if there is no bound.
    apart: Duration,
    since: Instant,
    next: Mutex<Instant>,
}

impl OverduePacer {
    /// With so many turns a second; without bound if 0.
    pub fn new(per_sec: u32) -> Self {
        let (apart, now) = (Duration::from_secs(1).checked_div(per_sec).unwrap_or_default(), Instant::now());
        Self { apart, since: now, next: Mutex::new(now) }
    }

    /// Waits for its turn.
    pub async fn turn(&self) {
        if !self.apart.is_zero() {
            sleep_until(self.next_turn(Instant::now())).await;
        }
    }

    fn next_turn(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = now.max(*next);
        *next = turn + self.apart;
        let spans = (turn - self.since).as_nanos().div_ceil(TOGETHER.as_nanos());
        self.since + TOGETHER * u32::try_from(spans).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_come_in_groups_and_at_the_rate() {
        let backlog = OverduePacer::new(500);
        let at = |ms| backlog.since + Duration::from_millis(ms);
        // Fourteen a span, but the first span holds the one turn that is due at its very beginning.
        let turns: Vec<Instant> = (0..31).map(|_| backlog.next_turn(at(0))).collect();
        let groups = turns.chunk_by(|a, b| a == b).map(|group| (group[0], group.len())).collect::<Vec<_>>();
        assert_eq!(groups, [(at(0), 1), (at(28), 14), (at(56), 14), (at(84), 2)]);
        // What nobody used is not made up for.
        assert_eq!(backlog.next_turn(at(2_800)), at(2_800));
        assert_eq!(backlog.next_turn(at(2_800)), at(2_828));
    }
}
