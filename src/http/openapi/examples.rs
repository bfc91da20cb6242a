//! Examples of response bodies, for the API's description. A test checks each against its schema.

use serde_json::{Map, Value};

/// The examples by the name of their schema.
pub(crate) fn examples() -> Map<String, Value> {
    // A test reads every example, so a syntax error fails there.
    serde_json::from_str(include_str!("examples.json")).unwrap_or_default()
}
