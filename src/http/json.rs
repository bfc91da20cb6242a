//! JSON bodies.

use serde_json::Value;
use std::collections::BTreeMap;

/// The value with the fields of every object sorted by name. A first response and its replay from
/// the database then have the same text. Without this, the order of fields would depend on a
/// feature of `serde_json` that another crate may enable.
pub(super) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<String, Value> =
                fields.into_iter().map(|(name, field)| (name, sorted(field))).collect();
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
