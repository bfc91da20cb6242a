//! How long rows are stored.

use serde::{Deserialize, Deserializer, de::Error};

/// Fewest days of a retention that erases what cannot be had back. The functions of the database have the
/// same bound.
const LEAST_DAYS: u16 = 90;
/// Most days of a retention: a hundred years.
const MOST_DAYS: u16 = 36_500;

/// Deleting and erasing old rows.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Retention {
    /// How long the barriers of finished sagas are kept, days.
    pub barrier_days: u32,
    /// After how many days an account that nobody uses is forgotten; 0 for never.
    #[serde(deserialize_with = "days")]
    pub idle_account_days: u16,
    /// After how many days the audit log loses reasons and details; 0 for never.
    #[serde(deserialize_with = "days")]
    pub audit_text_days: u16,
    /// How often old rows are pruned, seconds.
    pub every_secs: u32,
    /// Most rows of one kind that one statement deletes.
    pub batch: u32,
}

fn days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let days = u16::deserialize(deserializer)?;
    if days == 0 || (LEAST_DAYS..=MOST_DAYS).contains(&days) {
        Ok(days)
    } else {
        Err(D::Error::custom(format!("0 for never, or {LEAST_DAYS} to {MOST_DAYS} days")))
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::Settings;

    #[test]
    fn what_erases_for_good_waits_ninety_days() {
        for key in ["retention.idle_account_days", "retention.audit_text_days"] {
            for (days, fits) in [("0", true), ("1", false), ("89", false), ("90", true), ("36501", false)] {
                let loaded = Settings::load("development", &[(key, days.to_owned())]);
                assert_eq!(loaded.is_ok(), fits, "{key} = {days}");
                let says = |error: &dyn std::fmt::Display| error.to_string().contains("90 to 36500");
                assert!(loaded.err().is_none_or(|error| says(&error)), "{key} = {days}");
            }
        }
    }
}
