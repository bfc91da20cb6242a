//! Whether a value is one that a schema of the description allows: its types, words, fields and formats.
//! Bounds and patterns are left to the tools that make up requests.

use chrono::{DateTime, NaiveDate};
use serde_json::Value;

/// Deepest nesting that is looked at: a schema may refer to itself.
const MAX_DEPTH: usize = 24;

/// Everything of the value that the schema does not allow, or does not describe.
pub fn misfits(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    look(schema, value, "", MAX_DEPTH, &mut found);
    found
}

/// What a reference names; anything else itself.
pub fn resolved(value: &Value) -> &Value {
    let mut value = value;
    while let Some(target) = value["$ref"].as_str() {
        let target = target.trim_start_matches('#');
        value = farebox::http::description().pointer(target).unwrap_or_else(|| panic!("no {target}"));
    }
    value
}

fn look(schema: &Value, value: &Value, at: &str, depth: usize, found: &mut Vec<String>) {
    let schema = resolved(schema);
    let Some(depth) = depth.checked_sub(1) else { return };
    if !is_of_type(&schema["type"], value) {
        found.push(format!("{at} is {value}, and not of the type {}", schema["type"]));
        return;
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        found.push(format!("{at} is {value}, which is none of {}", schema["enum"]));
    }
    if let (Some(format), Some(text)) = (schema["format"].as_str(), value.as_str())
        && !has_format(format, text)
    {
        found.push(format!("{at} is {value}, and no {format}"));
    }
    let parts = || ["anyOf", "oneOf"].into_iter().filter_map(|name| schema[name].as_array());
    for parts in parts() {
        let misfits = |part: &Value| {
            let mut of_part = Vec::new();
            look(part, value, at, depth, &mut of_part);
            // Fields of the schema around the alternatives are none of theirs.
            of_part.retain(|misfit| !misfit.ends_with(UNDESCRIBED));
            of_part
        };
        if !parts.iter().any(|part| misfits(part).is_empty()) {
            found.push(format!("{at} is {value}, which is no alternative"));
        }
    }
    if let Some(items) = value.as_array().filter(|_| schema["items"].is_object()) {
        items.iter().for_each(|item| look(&schema["items"], item, &format!("{at}/[]"), depth, found));
    }
    if let Some(fields) = value.as_object() {
        let has_parts = parts().next().is_some();
        look_at_fields(schema, fields, at, depth, has_parts, found);
    }
}

const UNDESCRIBED: &str = " is not described";

fn look_at_fields(
    schema: &Value,
    fields: &serde_json::Map<String, Value>,
    at: &str,
    depth: usize,
    has_parts: bool,
    found: &mut Vec<String>,
) {
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            found.push(format!("{at}/{name} is absent"));
        }
    }
    for (name, value) in fields {
        let at = format!("{at}/{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, more) if more.is_object() => look(more, value, &at, depth, found),
            (Value::Null, _) if schema["properties"].is_object() && !has_parts => {
                found.push(format!("{at}{UNDESCRIBED}"));
            }
            (Value::Null, _) => {}
            (field, _) => look(field, value, &at, depth, found),
        }
    }
}

fn is_of_type(kind: &Value, value: &Value) -> bool {
    match kind {
        Value::Array(kinds) => kinds.iter().any(|kind| is_of_type(kind, value)),
        Value::String(kind) => match kind.as_str() {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            other => panic!("the type {other}"),
        },
        _ => true,
    }
}

/// Ids are UUIDs, times are RFC 3339 in UTC.
fn has_format(format: &str, text: &str) -> bool {
    match format {
        "uuid" => text.len() == 36 && text.parse::<uuid::Uuid>().is_ok(),
        "date-time" => DateTime::parse_from_rfc3339(text).is_ok_and(|at| at.offset().local_minus_utc() == 0),
        "date" => text.parse::<NaiveDate>().is_ok(),
        _ => true,
    }
}
