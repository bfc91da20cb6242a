//! Schemas in the form that generators of clients read best.

use serde_json::{Map, Value, json};

/// A schema of what a client sends.
pub(super) fn taken(schema: &mut Value) {
    walk(schema, false);
}

/// A schema of what a client gets. A field that may be absent is absent instead of null.
pub(super) fn given(schema: &mut Value) {
    walk(schema, true);
}

fn walk(value: &mut Value, is_given: bool) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| walk(value, is_given)),
        Value::Object(schema) => {
            join_words(schema);
            if let Some(constant) = schema.remove("const") {
                schema.insert("enum".to_owned(), json!([constant]));
            }
            if schema.get("additionalProperties") == Some(&Value::Bool(true)) {
                schema.remove("additionalProperties");
            }
            replace_booleans(schema);
            if is_given {
                drop_nulls(schema);
            }
            schema.values_mut().for_each(|value| walk(value, is_given));
        }
        _ => {}
    }
}

/// Turns alternatives that are words, each with its meaning, into one list of words.
fn join_words(schema: &mut Map<String, Value>) {
    let words_of = |part: &Value| {
        let words = part.get("enum").and_then(Value::as_array).cloned();
        words.or_else(|| part.get("const").map(|word| vec![word.clone()]))
    };
    let Some(Value::Array(parts)) = schema.get("oneOf") else { return };
    let Some(words) = parts.iter().map(words_of).collect::<Option<Vec<_>>>() else { return };
    let mut about = schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    for (part, words) in parts.iter().zip(&words) {
        let meaning = part.get("description").and_then(Value::as_str);
        let list = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`"));
        let list = list.collect::<Vec<_>>().join(", ");
        let separator = if about.contains("\n- ") || about.is_empty() { "\n" } else { "\n\n" };
        about += &format!("{separator}- {list}{}", meaning.map_or(String::new(), |text| format!(": {text}")));
    }
    schema.remove("oneOf");
    schema.insert("type".to_owned(), json!("string"));
    schema.insert("enum".to_owned(), Value::Array(words.concat()));
    schema.insert("description".to_owned(), json!(about.trim_start()));
}

/// `true` as a schema is `{}`.
fn replace_booleans(schema: &mut Map<String, Value>) {
    if let Some(items) = schema.get_mut("items").filter(|items| items.is_boolean()) {
        *items = json!({});
    }
    for field in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        if field.1.is_boolean() {
            *field.1 = json!({});
        }
    }
}

/// Takes null away from the fields that may be absent.
fn drop_nulls(schema: &mut Map<String, Value>) {
    let required = schema.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| required.as_array().is_some_and(|all| all.iter().any(|one| one == name));
    for (name, field) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        if !is_required(name) {
            drop_null(field);
        }
    }
}

fn drop_null(field: &mut Value) {
    if let Some(types) = field.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|kind| kind != "null");
        if let [kind] = types.as_slice() {
            field["type"] = kind.clone();
        }
    }
    let Some(parts) = field.get_mut("anyOf").and_then(Value::as_array_mut) else { return };
    parts.retain(|part| part.get("type").is_none_or(|kind| kind != "null"));
    if let [Value::Object(part)] = parts.as_slice() {
        let part = part.clone();
        if let Some(field) = field.as_object_mut() {
            field.remove("anyOf");
            for (key, value) in part {
                field.entry(key).or_insert(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_one_list() {
        let mut schema = json!({ "description": "What it is.", "oneOf": [
            { "type": "string", "const": "a", "description": "One." }, { "type": "string", "enum": ["b", "c"] }
        ] });
        taken(&mut schema);
        let about = "What it is.\n\n- `a`: One.\n- `b`, `c`";
        assert_eq!(schema, json!({ "description": about, "type": "string", "enum": ["a", "b", "c"] }));
    }

    #[test]
    fn what_may_be_absent_is_not_null() {
        let schema = json!({ "type": "object", "required": ["x"], "properties": {
            "x": { "type": ["string", "null"] }, "y": { "type": ["string", "null"] }, "z": true,
            "w": { "description": "w", "anyOf": [{ "$ref": "#/w" }, { "type": "null" }] },
        } });
        let mut seen = schema.clone();
        given(&mut seen);
        assert_eq!(seen["properties"]["x"], json!({ "type": ["string", "null"] }));
        assert_eq!(seen["properties"]["y"], json!({ "type": "string" }));
        assert_eq!(seen["properties"]["z"], json!({}));
        assert_eq!(seen["properties"]["w"], json!({ "description": "w", "$ref": "#/w" }));
        let mut sent = schema;
        taken(&mut sent);
        assert_eq!(sent["properties"]["y"], json!({ "type": ["string", "null"] }));
    }
}
