//! Times that a setting may have: bounded, so that they can be added to every date.

use serde::{Deserialize, Deserializer, de::Error as _};

/// The longest time of a setting in seconds or milliseconds, seconds: a year.
const MAX_SECS: u32 = 365 * 86_400;

/// Reads how long an unpaid order holds its seats: seconds above 0, at most a year.
///
/// # Errors
/// The rule.
pub fn hold_secs(text: &str) -> Result<f64, String> {
    let secs: f64 = text.trim().parse().map_err(|_| POSITIVE_RULE.to_owned())?;
    if bounded(secs) && secs > 0.0 { Ok(secs) } else { Err(POSITIVE_RULE.to_owned()) }
}

const POSITIVE_RULE: &str = "a number of seconds above 0, at most a year";

/// Whether a time is within the bounds; NaN and infinity are not.
fn bounded(secs: f64) -> bool {
    (0.0..=f64::from(MAX_SECS)).contains(&secs)
}

pub(super) fn secs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let secs = f64::deserialize(deserializer)?;
    if bounded(secs) { Ok(secs) } else { Err(D::Error::custom("a number of seconds from 0, at most a year")) }
}

pub(super) fn positive_secs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let secs = secs(deserializer)?;
    if secs > 0.0 { Ok(secs) } else { Err(D::Error::custom(POSITIVE_RULE)) }
}

pub(super) fn millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let millis = i64::deserialize(deserializer)?;
    let fits = (0..=i64::from(MAX_SECS) * 1_000).contains(&millis);
    if fits { Ok(millis) } else { Err(D::Error::custom("a number of milliseconds from 0, at most a year")) }
}
