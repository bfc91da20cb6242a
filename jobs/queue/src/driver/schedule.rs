//! When the driver polls for due jobs, and how long it waits after an error.

use crate::retry_policy::jittered;
use std::time::Duration;
use tokio::time::Instant;

/// The wait after the first database error in a row; it doubles.
const MIN_BACKOFF: Duration = Duration::from_millis(100);
/// The longest wait after a database error.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// The shortest wait between two polls that found nothing.
const MIN_POLL: Duration = Duration::from_millis(1);

pub(super) struct Schedule {
    /// A job may be due now: one was enqueued or released, or a claim came back full.
    poll_now: bool,
    /// A job was enqueued: it is not to wait for the commit of a batch that is being completed.
    notified: bool,
    /// The time of the next poll, unless something happens before it.
    next_poll_at: Instant,
    backoff: Duration,
}

impl Schedule {
    pub(super) fn new() -> Self {
        Self { poll_now: true, notified: false, next_poll_at: Instant::now(), backoff: MIN_BACKOFF }
    }

    pub(super) fn next_poll_at(&self) -> Instant {
        self.next_poll_at
    }

    /// Polls as soon as a connection is idle and no other poll is under way.
    pub(super) fn poll_soon(&mut self) {
        self.poll_now = true;
    }

    /// A notification came: polls even while another poll is under way.
    pub(super) fn on_notification(&mut self) {
        (self.poll_now, self.notified) = (true, true);
    }

    /// Whether to poll now. Two polls at a time walk over each other's jobs, so a second one goes
    /// only after a notification.
    pub(super) fn may_poll(&self, polling: bool) -> bool {
        let wanted = self.poll_now || Instant::now() >= self.next_poll_at;
        wanted && (!polling || self.notified)
    }

    /// A poll has started.
    pub(super) fn on_poll_started(&mut self) {
        (self.poll_now, self.notified) = (false, false);
    }

    /// Nothing more is due: the next poll is after `wait`, at most after `poll`.
    pub(super) fn poll_after(&mut self, wait: Option<Duration>, poll: Duration) {
        self.next_poll_at = Instant::now() + wait.unwrap_or(poll).clamp(MIN_POLL, poll);
    }

    /// The wait after an error; the next one is twice as long.
    pub(super) fn back_off(&mut self) -> Duration {
        let wait = jittered(self.backoff);
        self.backoff = (self.backoff * 2).min(MAX_BACKOFF);
        wait
    }

    /// The database answers again.
    pub(super) fn reset_backoff(&mut self) {
        self.backoff = MIN_BACKOFF;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_poll_goes_only_after_a_notification() {
        let mut schedule = Schedule::new();
        assert!(schedule.may_poll(false) && !schedule.may_poll(true));
        schedule.on_notification();
        assert!(schedule.may_poll(true));
        schedule.on_poll_started();
        schedule.poll_after(Some(Duration::from_secs(60)), Duration::from_secs(60));
        assert!(!schedule.may_poll(false));
        schedule.poll_soon();
        assert!(schedule.may_poll(false) && !schedule.may_poll(true));
    }

    #[test]
    fn the_backoff_doubles_up_to_its_limit_and_is_reset() {
        let mut schedule = Schedule::new();
        for _ in 0..10 {
            schedule.back_off();
        }
        assert!(schedule.back_off() > MAX_BACKOFF / 2 - Duration::from_millis(1));
        schedule.reset_backoff();
        assert!(schedule.back_off() <= MIN_BACKOFF);
    }
}
