//! When a failed attempt is made again, and how long a receiver is left alone.

use rand::Rng;
use std::time::Duration;

/// After this many failed attempts in a row a receiver is paused, and then tried with one event.
pub(super) const PROBE_AFTER: i32 = 10;

/// The wait before the next attempt at an event: twice as long each time, half of it at random, so that
/// events that failed together do not come back together.
pub(super) fn wait(first: Duration, longest: Duration, failed_attempts: i32) -> Duration {
    jittered(doubled(first, failed_attempts).min(longest))
}

/// How long a receiver is left alone, if it is, after this many failed attempts in a row. It begins with
/// twice the first wait.
pub(super) fn pause(first: Duration, longest: Duration, failures: i32) -> Option<Duration> {
    (failures >= PROBE_AFTER).then(|| jittered(doubled(first, failures - PROBE_AFTER + 2).min(longest)))
}

/// The failures in a row after a round in which every attempt failed. A round that begins below the bound
/// ends at most at it, however many attempts were under way.
pub(super) fn failures_after(before: i32, failed: usize) -> i32 {
    if before < PROBE_AFTER {
        before.saturating_add(i32::try_from(failed).unwrap_or(PROBE_AFTER)).min(PROBE_AFTER)
    } else {
        before.saturating_add(1)
    }
}

fn doubled(first: Duration, times: i32) -> Duration {
    first.saturating_mul(1 << u32::try_from(times.max(1) - 1).unwrap_or(0).min(31))
}

fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(5);
    const LONGEST: Duration = Duration::from_secs(21_600);

    #[test]
    fn waits_double_up_to_the_longest() {
        for (failed, most) in [(1, 5), (2, 10), (5, 80), (13, 20_480), (14, 21_600), (i32::MAX, 21_600)] {
            let most = Duration::from_secs(most);
            for _ in 0..100 {
                let wait = wait(FIRST, LONGEST, failed);
                assert!(wait >= most / 2 && wait <= most, "{failed}: {wait:?}");
            }
        }
    }

    /// The figure of docs/clients/webhooks.md.
    #[test]
    fn three_days_have_at_least_twenty_attempts() {
        let longest = |failed| doubled(FIRST, failed).min(LONGEST);
        let all = (1..).scan(Duration::ZERO, |at, failed| {
            *at += longest(failed);
            Some(*at)
        });
        let retries = all.take_while(|at| *at < Duration::from_secs(259_200)).count();
        assert!(retries >= 20, "{retries}");
    }

    #[test]
    fn a_receiver_is_paused_after_ten_failures_and_then_for_longer() {
        assert_eq!(pause(FIRST, LONGEST, PROBE_AFTER - 1), None);
        let paused = pause(FIRST, Duration::from_secs(300), PROBE_AFTER).expect("a pause");
        assert!(paused >= FIRST && paused <= FIRST * 2, "{paused:?}");
        let paused = pause(FIRST, Duration::from_secs(300), PROBE_AFTER + 30).expect("a pause");
        assert!(paused >= Duration::from_secs(150) && paused <= Duration::from_secs(300), "{paused:?}");
        assert_eq!([(0, 8), (8, 8), (10, 1), (10, 8)].map(|(b, f)| failures_after(b, f)), [8, 10, 11, 11]);
    }
}
