//! When a failed attempt is tried again.

use rand::Rng;
use std::time::Duration;

/// Exponential backoff with full jitter: before attempt n + 1 a job waits a random time up to
/// `base` × 2ⁿ⁻¹, never more than `cap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts before the job is a dead letter, the first one included; at least 1.
    pub max_attempts: i32,
    /// The longest wait after the first failure.
    pub base: Duration,
    /// The longest wait after any failure.
    pub cap: Duration,
}

impl RetryPolicy {
    /// The longest wait after this attempt (counted from 1) has failed.
    pub fn ceiling(&self, attempt: i32) -> Duration {
        let doublings = u32::try_from(attempt.max(1) - 1).unwrap_or(0).min(31);
        self.base.saturating_mul(1 << doublings).min(self.cap)
    }

    /// A random wait up to [`Self::ceiling`].
    pub fn wait(&self, attempt: i32) -> Duration {
        self.ceiling(attempt).mul_f64(rand::rng().random_range(0.0..=1.0))
    }
}

/// The policy of a tag.
pub(crate) type RetryPolicies = dyn Fn(&str) -> RetryPolicy + Send + Sync;

/// Half to all of this wait, so that workers that fail together do not come back together.
pub(crate) fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy =
        RetryPolicy { max_attempts: 5, base: Duration::from_millis(100), cap: Duration::from_secs(1) };

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let ceilings: Vec<u128> = (1..=6).map(|n| POLICY.ceiling(n).as_millis()).collect();
        assert_eq!(ceilings, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(POLICY.ceiling(i32::MAX), POLICY.cap);
    }

    #[test]
    fn a_wait_never_exceeds_its_ceiling() {
        assert!((0..1000).all(|_| POLICY.wait(3) <= POLICY.ceiling(3)));
    }
}
