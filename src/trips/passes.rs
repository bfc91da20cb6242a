//! When a job that goes over its trips in passes comes again.

use chrono::{DateTime, TimeDelta, Utc};

/// The shortest and the longest time until the next pass.
const NEXT_PASS: (TimeDelta, TimeDelta) = (TimeDelta::milliseconds(200), TimeDelta::seconds(60));

/// When the next pass is due, if others are in the way: after a quarter of the time since the work began,
/// within bounds. Most others end soon; one that does not is not asked for all the time.
pub(super) fn next_pass(now: DateTime<Utc>, began: DateTime<Utc>) -> DateTime<Utc> {
    let (soonest, latest) = NEXT_PASS;
    now + ((now - began) / 4).clamp(soonest, latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_become_rarer_within_bounds() {
        let began = DateTime::from_timestamp(0, 0).expect("a time");
        for (secs, wait) in [(0, 200), (-5, 200), (2, 500), (100, 25_000), (4_000, 60_000)] {
            let now = began + TimeDelta::seconds(secs);
            assert_eq!((next_pass(now, began) - now).num_milliseconds(), wait, "{secs} s after it began");
        }
    }
}
