//! How far a standby has followed its primary: which moment's data it surely has.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Most positions of the primary that wait to be replayed. Beyond it every other is forgotten: the lag is
/// then known less exactly, and never too small.
const MAX_PENDING: usize = 256;

/// Compares positions of the primary's log with what the standby has replayed. Only this process's
/// monotonic clock is used: the clocks of the two servers may differ, and a primary without writes sends no
/// times.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Positions that the primary had reached, and when, which the standby has yet to replay.
    pending: VecDeque<(Instant, i64)>,
    /// The standby has everything that was acknowledged before this moment.
    current_to: Option<Instant>,
}

impl Progress {
    /// Takes a comparison in: at `at` or later the primary had written its log up to `written`, and still
    /// later the standby had replayed it up to `replayed`.
    pub(super) fn compare(&mut self, at: Instant, written: i64, replayed: i64) {
        // After a failover the log may go on from an earlier position: the later ones never come.
        if self.pending.back().is_some_and(|(_, last)| *last > written) {
            self.pending.clear();
        }
        self.pending.push_back((at, written));
        while let Some((at, _)) = self.pending.front().filter(|(_, position)| *position <= replayed) {
            self.current_to = Some(*at);
            self.pending.pop_front();
        }
        if self.pending.len() > MAX_PENDING {
            let mut keep = false;
            self.pending.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }

    /// How old the data of the standby is at most; `None` if it has caught up with nothing yet.
    pub(super) fn lag(&self, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.current_to?))
    }

    /// Forgets everything: it was another server's.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_the_age_of_the_last_position_that_was_replayed() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut progress = Progress::default();
        assert_eq!(progress.lag(at(0)), None, "nothing is known");
        progress.compare(at(0), 100, 90);
        assert_eq!(progress.lag(at(10)), None, "it has yet to reach the first position");
        progress.compare(at(100), 200, 100);
        assert_eq!(progress.lag(at(100)), Some(Duration::from_millis(100)));
        progress.compare(at(200), 200, 200);
        assert_eq!(progress.lag(at(200)), Some(Duration::ZERO), "a primary without writes");
        progress.compare(at(300), 300, 200);
        progress.compare(at(400), 400, 200);
        assert_eq!(progress.lag(at(400)), Some(Duration::from_millis(200)), "it stands still");
        assert_eq!(
            progress.lag(at(900)),
            Some(Duration::from_millis(700)),
            "and nothing more is heard of it"
        );
    }

    #[test]
    fn a_log_that_goes_on_from_before_is_followed() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut progress = Progress::default();
        progress.compare(at(0), 500, 400);
        progress.compare(at(100), 450, 400);
        progress.compare(at(200), 460, 450);
        assert_eq!(progress.lag(at(200)), Some(Duration::from_millis(100)));
    }

    #[test]
    fn a_standby_that_never_follows_takes_bounded_memory_and_is_not_flattered() {
        let start = Instant::now();
        let mut progress = Progress::default();
        progress.compare(start, 0, 0);
        for n in 1..10_000_u32 {
            progress.compare(start + Duration::from_millis(n.into()), i64::from(n), 0);
            assert!(progress.pending.len() <= MAX_PENDING + 1);
        }
        let now = start + Duration::from_secs(10);
        assert_eq!(progress.lag(now), Some(Duration::from_secs(10)));
        progress.compare(now, 10_000, 5_000);
        let lag = progress.lag(now).expect("it has caught up with some");
        assert!(lag >= Duration::from_secs(5) && lag < Duration::from_secs(10), "{lag:?}");
    }
}
