//! The database and the optional Redis, and whether a connection to them may be in clear.

use super::secrets::secret;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de::Error as _};

/// The optional Redis.
#[derive(Clone, Debug, Deserialize)]
pub struct Redis {
    /// Where it is; empty for none. May hold a password.
    #[serde(deserialize_with = "secret")]
    pub url: SecretString,
    /// Whether production may connect without TLS.
    pub allow_plaintext: bool,
    /// How long a request waits for it, milliseconds.
    pub timeout_ms: u64,
    /// How long it is not used after a failure, milliseconds.
    pub retry_ms: u64,
    /// How long a list of trips is kept, milliseconds.
    pub trips_ms: u64,
}

impl Redis {
    /// Whether there is one.
    pub fn is_named(&self) -> bool {
        !self.url.expose_secret().is_empty()
    }
}

/// The database.
#[derive(Clone, Debug, Deserialize)]
pub struct Database {
    /// Whether production may connect without TLS.
    pub allow_plaintext: bool,
    /// A standby of it that answers reads; empty for none. May hold a password.
    #[serde(deserialize_with = "secret")]
    pub replica_url: SecretString,
    /// How old the standby's data may be, milliseconds.
    #[serde(deserialize_with = "replica_max_lag_ms")]
    pub replica_max_lag_ms: u64,
    /// Connections of one process.
    pub max_connections: u32,
    /// Further connections for operators and metrics.
    pub reserved_connections: u32,
    /// How long a request waits for one, milliseconds.
    pub acquire_timeout_ms: u64,
    /// Longest statement, milliseconds.
    pub statement_timeout_ms: u64,
    /// Longest wait for a lock, milliseconds.
    pub lock_timeout_ms: u64,
}

impl Database {
    /// Whether there is a standby to read from.
    pub fn names_replica(&self) -> bool {
        !self.replica_url.expose_secret().is_empty()
    }
}

/// More than a comparison of the servers takes, and less than a deadline of anything.
fn replica_max_lag_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let millis = u64::deserialize(deserializer)?;
    if (500..=60_000).contains(&millis) {
        Ok(millis)
    } else {
        Err(D::Error::custom("database.replica_max_lag_ms: from 500 to 60000"))
    }
}
