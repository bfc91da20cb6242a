//! The rate at which a worker closes long overdue orders. After an hour without workers there may be a
//! hundred thousand of them. Closed without a limit, they would take the database from the riders who
//! book meanwhile. No rider waits for them: a booking that wants an overdue order's seats gets them at once.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// Permits that fall due within this time are granted together, so that their orders share a statement.
/// Longer fills a batch better and costs less for each order; much longer would exceed the largest batch.
const BATCH_INTERVAL: Duration = Duration::from_millis(28);

/// Permits of one process to close an overdue order.
#[derive(Debug)]
pub struct OverduePacer {
    /// From one permit to the next; zero without a limit.
    interval: Duration,
    started_at: Instant,
    next: Mutex<Instant>,
}

impl OverduePacer {
    /// With this many permits a second; without a limit if 0.
    pub fn new(per_sec: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(per_sec).unwrap_or_default();
        let now = Instant::now();
        Self { interval, started_at: now, next: Mutex::new(now) }
    }

    /// Waits for a permit.
    pub async fn acquire(&self) {
        if !self.interval.is_zero() {
            sleep_until(self.next_permit(Instant::now())).await;
        }
    }

    fn next_permit(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let permit = now.max(*next);
        *next = permit + self.interval;
        let batches = (permit - self.started_at).as_nanos().div_ceil(BATCH_INTERVAL.as_nanos());
        self.started_at + BATCH_INTERVAL * u32::try_from(batches).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn permits_come_in_groups_and_at_the_rate() {
        let pacer = OverduePacer::new(500);
        let at = |ms| pacer.started_at + Duration::from_millis(ms);
        // Fourteen in an interval, but the first has only the permit that is due at its very beginning.
        let permits: Vec<Instant> = (0..31).map(|_| pacer.next_permit(at(0))).collect();
        let groups = permits.chunk_by(|a, b| a == b).map(|group| (group[0], group.len())).collect::<Vec<_>>();
        assert_eq!(groups, [(at(0), 1), (at(28), 14), (at(56), 14), (at(84), 2)]);
        // Unused permits do not accumulate.
        assert_eq!(pacer.next_permit(at(2_800)), at(2_800));
        assert_eq!(pacer.next_permit(at(2_800)), at(2_828));
    }
}
