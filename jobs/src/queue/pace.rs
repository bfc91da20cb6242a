//! How fast attempts and statements have been lately, and so how many slots will be free by the time a claim's answer
//! is here.

use std::time::Duration;

/// The weight of the newest measurement.
const WEIGHT: f64 = 1.0 / 8.0;

/// Moving averages, seconds.
#[derive(Debug)]
pub(super) struct Pace {
    run: f64,
    statement: f64,
}

impl Pace {
    /// Knows nothing: expects no slot to get free.
    pub(super) fn new() -> Self {
        Self { run: 1.0, statement: 0.0 }
    }

    /// An attempt took so long.
    pub(super) fn ran(&mut self, took: Duration) {
        self.run += (took.as_secs_f64() - self.run) * WEIGHT;
    }

    /// A statement took so long.
    pub(super) fn asked(&mut self, took: Duration) {
        self.statement += (took.as_secs_f64() - self.statement) * WEIGHT;
    }

    /// How many attempts these slots will end while a statement is on its way, if there is always a next one to begin.
    pub(super) fn ends_meanwhile(&self, slots: usize) -> usize {
        let rounds = self.statement / self.run.max(f64::EPSILON);
        (rounds * slots as f64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_attempts_make_room_meanwhile_and_long_ones_do_not() {
        let mut pace = Pace::new();
        assert_eq!(pace.ends_meanwhile(10), 0);
        for _ in 0..200 {
            pace.ran(Duration::from_micros(500));
            pace.asked(Duration::from_millis(1));
        }
        assert!((19..=20).contains(&pace.ends_meanwhile(10)), "{pace:?}");
        for _ in 0..200 {
            pace.ran(Duration::from_secs(1));
        }
        assert_eq!(pace.ends_meanwhile(10), 0);
    }
}
