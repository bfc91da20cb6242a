//! The invariants.

use serde::Deserialize;
use std::time::Duration;

/// How long an undo may be due without being done, unless the settings (`verify.debt_secs`) say
/// otherwise.
pub const DEFAULT_OVERDUE_BOUND: Duration = Duration::from_secs(60);

/// The invariants.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Verify {
    /// How long an undo may be due without being done before that breaks an invariant, seconds.
    pub debt_secs: OverdueBound,
}

impl Verify {
    /// How long an undo may be due without being done.
    pub fn overdue_bound(&self) -> Duration {
        self.debt_secs.0
    }
}

/// How long an undo may be due without being done: above 0, at most a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "f64")]
pub struct OverdueBound(Duration);

impl TryFrom<f64> for OverdueBound {
    type Error = &'static str;

    fn try_from(secs: f64) -> Result<Self, Self::Error> {
        const MAX: Duration = Duration::from_secs(24 * 3_600);
        let bound = Duration::try_from_secs_f64(secs).ok();
        let fits = |bound: &Duration| !bound.is_zero() && *bound <= MAX;
        bound.filter(fits).map(Self).ok_or("verify.debt_secs: above 0, at most 86400")
    }
}
