//! Traces: whether, where and how many are exported.

use super::secrets::secret;
use secrecy::SecretString;
use serde::Deserialize;

/// The export of traces.
#[derive(Clone, Debug, Deserialize)]
pub struct Otel {
    /// The collector's address; none if empty.
    pub endpoint: String,
    /// Headers of each request to it, `name=value`, separated by commas. May hold a token.
    #[serde(deserialize_with = "secret")]
    pub headers: SecretString,
    /// Whether production may send to another machine without TLS.
    pub allow_plaintext: bool,
    /// Of a hundred traces, how many are recorded.
    pub sample_percent: Percent,
    /// Whether a caller's `traceparent` decides if its trace is recorded.
    pub follow_callers: bool,
    /// The service's name; that of the program if empty.
    pub service_name: String,
}

/// A part of a hundred: 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Percent(pub f64);

impl TryFrom<f64> for Percent {
    type Error = &'static str;

    fn try_from(percent: f64) -> Result<Self, Self::Error> {
        if (0.0..=100.0).contains(&percent) {
            Ok(Self(percent))
        } else {
            Err("otel.sample_percent: a number from 0 to 100")
        }
    }
}
