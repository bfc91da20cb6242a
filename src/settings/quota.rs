//! The arithmetic of a limit: the generic cell rate algorithm, which keeps one number for each who.
//!
//! A request costs an *interval*; what was spent and has not yet been earned back is the *debt*, and it may not grow beyond
//! the *burst*. The debt shrinks as time passes. `shared.lua` says the same in Redis.

use serde::Deserialize;

/// Microseconds in a second.
const SECOND: u64 = 1_000_000;
/// The longest window, seconds: keeps sums far from the end of the numbers, also of Lua's.
const LONGEST: u64 = 366 * 24 * 60 * 60;

/// So many requests at once, and as many again evenly spread over so many seconds; or no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Allowance(Option<Rate>);

/// A limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Requests.
    pub(crate) quota: u64,
    /// Seconds.
    pub(crate) window: u64,
}

impl Allowance {
    pub(crate) fn rate(self) -> Option<Rate> {
        self.0
    }
}

impl TryFrom<String> for Allowance {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let pair = text.split_once('/').and_then(|(quota, window)| {
            Some(Rate { quota: quota.parse().ok()?, window: window.parse().ok()? })
        });
        let fits = |rate: &Rate| {
            (1..=LONGEST).contains(&rate.window) && (1..=rate.window * SECOND).contains(&rate.quota)
        };
        let rate = pair.filter(fits);
        rate.map(|rate| Self(Some(rate)))
            .ok_or_else(|| format!("{text:?} is no limit, write requests/seconds or off"))
    }
}

impl Rate {
    /// What one request costs, microseconds.
    pub(crate) fn interval(self) -> u64 {
        self.window * SECOND / self.quota
    }

    /// What may be owed at the most, microseconds.
    pub(crate) fn burst(self) -> u64 {
        self.interval() * self.quota
    }

    /// Whether one more request fits.
    pub(crate) fn fits(self, debt: u64) -> bool {
        debt + self.interval() <= self.burst()
    }

    /// How many requests fit now.
    pub(crate) fn left(self, debt: u64) -> u64 {
        self.burst().saturating_sub(debt) / self.interval()
    }

    /// How long until one more fits than now, in whole seconds, rounded up.
    pub(crate) fn more_in(self, debt: u64) -> u64 {
        let one_more = (self.left(debt) + 1) * self.interval();
        (one_more + debt).saturating_sub(self.burst()).div_ceil(SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance(text: &str) -> Result<Allowance, String> {
        Allowance::try_from(text.to_owned())
    }

    #[test]
    fn limits_are_read_and_nonsense_is_refused() {
        assert_eq!(allowance("60/10"), Ok(Allowance(Some(Rate { quota: 60, window: 10 }))));
        assert_eq!(allowance("off"), Ok(Allowance(None)));
        for bad in ["", "60", "0/60", "60/0", "-1/60", "60/60/60", "60 / 60", "60/99999999999"] {
            assert!(allowance(bad).is_err(), "{bad:?} was taken for a limit");
        }
    }

    #[test]
    fn a_quota_is_spent_at_once_and_earned_back_evenly() {
        let rate = Rate { quota: 7, window: 10 };
        let (mut debt, mut passed) = (0, 0);
        while rate.fits(debt) {
            assert_eq!(rate.left(debt), 7 - passed);
            (debt, passed) = (debt + rate.interval(), passed + 1);
        }
        assert_eq!((passed, rate.left(debt), rate.more_in(debt)), (7, 0, 2), "10 s / 7, rounded up");
        assert!(rate.fits(debt - rate.interval()) && !rate.fits(debt - rate.interval() + 1));
        assert_eq!(rate.more_in(rate.interval()), 2, "with six left, the seventh comes back");
    }
}
