//! Estimates how many attempts end during one round trip to the database, from how long attempts
//! and statements took lately.

use std::time::Duration;

/// The weight of the newest measurement.
const WEIGHT: f64 = 1.0 / 8.0;

/// Moving averages, seconds.
#[derive(Debug)]
pub(crate) struct CompletionEstimator {
    run: f64,
    statement: f64,
}

impl CompletionEstimator {
    /// Without measurements it expects no completion.
    pub(crate) fn new() -> Self {
        Self { run: 1.0, statement: 0.0 }
    }

    /// An attempt took this long.
    pub(crate) fn record_attempt(&mut self, took: Duration) {
        self.run += (took.as_secs_f64() - self.run) * WEIGHT;
    }

    /// A statement took this long.
    pub(crate) fn record_statement(&mut self, took: Duration) {
        self.statement += (took.as_secs_f64() - self.statement) * WEIGHT;
    }

    /// How many attempts these slots end during one statement, if there is always a next one to
    /// begin.
    pub(crate) fn expected_completions(&self, slots: usize) -> usize {
        let statements = self.statement / self.run.max(f64::EPSILON);
        (statements * slots as f64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_attempts_end_during_a_statement_and_long_ones_do_not() {
        let mut estimator = CompletionEstimator::new();
        assert_eq!(estimator.expected_completions(10), 0);
        for _ in 0..200 {
            estimator.record_attempt(Duration::from_micros(500));
            estimator.record_statement(Duration::from_millis(1));
        }
        assert!((19..=20).contains(&estimator.expected_completions(10)), "{estimator:?}");
        for _ in 0..200 {
            estimator.record_attempt(Duration::from_secs(1));
        }
        assert_eq!(estimator.expected_completions(10), 0);
    }
}
