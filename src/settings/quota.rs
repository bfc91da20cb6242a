//! The arithmetic of a limit: the generic cell rate algorithm (GCRA), which keeps one time for each
//! subject.
//!
//! Each request moves the subject's *theoretical arrival time* (TAT) ahead by one *interval*. The
//! TAT may lie ahead of the clock by at most the *burst*, and the clock catches up with it. The
//! functions take the distance of the TAT from the clock, the *lead*, in microseconds.
//! `limits/shared.lua` does the same in Redis.

use serde::Deserialize;

/// Microseconds in a second.
const SECOND: u64 = 1_000_000;
/// The longest window, seconds: keeps sums within the range of integers, also of Lua's.
const MAX_WINDOW: u64 = 366 * 24 * 60 * 60;

/// How many requests at once, and as many again spread evenly over how many seconds; or no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Quota(Option<Rate>);

/// A limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Requests.
    pub(crate) requests: u64,
    /// Seconds.
    pub(crate) window: u64,
}

impl Quota {
    pub(crate) fn rate(self) -> Option<Rate> {
        self.0
    }
}

impl TryFrom<String> for Quota {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let pair = text.split_once('/').and_then(|(requests, window)| {
            Some(Rate { requests: requests.parse().ok()?, window: window.parse().ok()? })
        });
        let fits = |rate: &Rate| {
            (1..=MAX_WINDOW).contains(&rate.window) && (1..=rate.window * SECOND).contains(&rate.requests)
        };
        let rate = pair.filter(fits);
        rate.map(|rate| Self(Some(rate)))
            .ok_or_else(|| format!("{text:?} is not a limit; write requests/seconds or off"))
    }
}

impl Rate {
    /// How far one request moves the TAT, microseconds.
    pub(crate) fn interval(self) -> u64 {
        self.window * SECOND / self.requests
    }

    /// How far the TAT may lie ahead, microseconds.
    pub(crate) fn burst(self) -> u64 {
        self.interval() * self.requests
    }

    /// Whether this many more fit.
    pub(crate) fn fits(self, lead: u64, units: u64) -> bool {
        lead.saturating_add(self.interval().saturating_mul(units)) <= self.burst()
    }

    /// How long until this many fit, whole seconds, rounded up; `None` if they never do.
    pub(crate) fn fits_in(self, lead: u64, units: u64) -> Option<u64> {
        let needed = self.interval().saturating_mul(units);
        let room = self.burst().checked_sub(needed)?;
        Some(lead.saturating_sub(room).div_ceil(SECOND))
    }

    /// This many times as many requests in the same time.
    pub(crate) fn times(self, factor: u32) -> Self {
        let most = self.window * SECOND;
        Self { requests: self.requests.saturating_mul(factor.into()).min(most), window: self.window }
    }

    /// How many requests fit now.
    pub(crate) fn left(self, lead: u64) -> u64 {
        self.burst().saturating_sub(lead) / self.interval()
    }

    /// How long until one more request fits than now, whole seconds, rounded up.
    pub(crate) fn more_in(self, lead: u64) -> u64 {
        let one_more = (self.left(lead) + 1) * self.interval();
        (one_more + lead).saturating_sub(self.burst()).div_ceil(SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(text: &str) -> Result<Quota, String> {
        Quota::try_from(text.to_owned())
    }

    #[test]
    fn limits_are_read_and_nonsense_is_refused() {
        assert_eq!(quota("60/10"), Ok(Quota(Some(Rate { requests: 60, window: 10 }))));
        assert_eq!(quota("off"), Ok(Quota(None)));
        for bad in ["", "60", "0/60", "60/0", "-1/60", "60/60/60", "60 / 60", "60/99999999999"] {
            assert!(quota(bad).is_err(), "{bad:?} was taken for a limit");
        }
    }

    #[test]
    fn a_quota_is_spent_at_once_and_restored_evenly() {
        let rate = Rate { requests: 7, window: 10 };
        let (mut lead, mut passed) = (0, 0);
        while rate.fits(lead, 1) {
            assert_eq!(rate.left(lead), 7 - passed);
            (lead, passed) = (lead + rate.interval(), passed + 1);
        }
        assert_eq!((passed, rate.left(lead), rate.more_in(lead)), (7, 0, 2), "10 s / 7, rounded up");
        assert!(rate.fits(lead - rate.interval(), 1) && !rate.fits(lead - rate.interval() + 1, 1));
        assert!(rate.fits(0, 7) && !rate.fits(0, 8) && rate.times(3).fits(0, 21));
        assert_eq!(
            (rate.fits_in(lead, 7), rate.fits_in(0, 7), rate.fits_in(0, 8)),
            (Some(10), Some(0), None)
        );
        assert_eq!(rate.more_in(rate.interval()), 2, "with six left, the seventh comes back");
    }
}
