//! The database and the optional Redis, and whether a connection to them may be in clear.

use super::secrets::secret;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

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
    /// Connections of one process.
    pub max_connections: u32,
    /// Further connections for health checks and operators.
    pub reserved_connections: u32,
    /// How long a request waits for one, milliseconds.
    pub acquire_timeout_ms: u64,
    /// Longest statement, milliseconds.
    pub statement_timeout_ms: u64,
    /// Longest wait for a lock, milliseconds.
    pub lock_timeout_ms: u64,
}
