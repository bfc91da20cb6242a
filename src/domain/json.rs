//! How values are written in JSON.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serializer;

/// Writes RFC 3339 with six digits, as the database writes it, so that a stored response and a
/// fresh one are the same text.
pub fn micros<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&rfc3339(at))
}

/// RFC 3339 with six digits.
pub fn rfc3339(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// [`micros`] for a time that may be absent.
pub fn some_micros<S: Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => micros(at, serializer),
        None => serializer.serialize_none(),
    }
}
