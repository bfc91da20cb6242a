//! Sending events to webhooks.

use serde::{Deserialize, Deserializer, de::Error};
use std::time::Duration;

/// Sending events to webhooks.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Webhooks {
    /// How long a receiver has for an answer, connecting included, milliseconds.
    #[serde(deserialize_with = "bounded::<_, 100, 30_000>")]
    timeout_ms: u64,
    /// Most requests to one receiver at once.
    #[serde(deserialize_with = "bounded::<_, 1, 64>")]
    parallel: u64,
    #[serde(deserialize_with = "bounded::<_, 1, 3_600_000>")]
    first_wait_ms: u64,
    #[serde(deserialize_with = "bounded::<_, 1, 259_200>")]
    longest_wait_secs: u64,
    #[serde(deserialize_with = "bounded::<_, 1, 2_592_000>")]
    give_up_secs: u64,
    #[serde(deserialize_with = "bounded::<_, 1, 3_600_000>")]
    longest_pause_ms: u64,
    /// How long events and their deliveries are kept, days: longer than an event is tried.
    #[serde(deserialize_with = "bounded::<_, 4, 3_650>")]
    pub retention_days: u64,
    /// Whether receivers may have private addresses.
    pub private_addresses: bool,
    /// Whether production may send in clear.
    pub allow_plaintext: bool,
}

impl Webhooks {
    /// How long a receiver has for an answer, connecting included.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Most requests to one receiver at once.
    pub fn parallel(&self) -> usize {
        usize::try_from(self.parallel).unwrap_or(1)
    }

    /// The wait after the first failed attempt at an event.
    pub fn first_wait(&self) -> Duration {
        Duration::from_millis(self.first_wait_ms)
    }

    /// The longest wait between two attempts at an event.
    pub fn longest_wait(&self) -> Duration {
        Duration::from_secs(self.longest_wait_secs)
    }

    /// For how long an event is tried.
    pub fn give_up(&self) -> Duration {
        Duration::from_secs(self.give_up_secs)
    }

    /// The longest time for which a receiver that fails again and again is left alone.
    pub fn longest_pause(&self) -> Duration {
        Duration::from_millis(self.longest_pause_ms)
    }
}

fn bounded<'de, D: Deserializer<'de>, const LEAST: u64, const MOST: u64>(
    deserializer: D,
) -> Result<u64, D::Error> {
    let value = u64::deserialize(deserializer)?;
    if (LEAST..=MOST).contains(&value) {
        Ok(value)
    } else {
        Err(D::Error::custom(format!("{LEAST} to {MOST}")))
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::Settings;

    #[test]
    fn each_bound_is_named_where_it_is_broken() {
        for (key, value, rule) in [
            ("webhooks.timeout_ms", "30001", "100 to 30000"),
            ("webhooks.parallel", "0", "1 to 64"),
            ("webhooks.retention_days", "3", "4 to 3650"),
        ] {
            let loaded = Settings::load("development", &[(key, value.to_owned())]);
            assert!(loaded.is_err_and(|error| error.to_string().contains(rule)), "{key} = {value}");
        }
    }
}
