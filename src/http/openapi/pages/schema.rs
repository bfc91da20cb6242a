//! Schemas: their fields, words and examples.

use super::{guide, text};
use maud::{Markup, html};
use serde_json::Value;

/// The names of all schemas.
pub(super) fn names(document: &Value) -> impl Iterator<Item = &String> {
    document["components"]["schemas"].as_object().into_iter().flatten().map(|(name, _)| name)
}

/// All schemas with their anchors.
pub(super) fn all(document: &Value) -> Markup {
    let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
    html! {
        section {
            h2 #schemas { "Schemas" }
            @for (name, schema) in schemas {
                article.schema id={ "schema-" (name) } data-item="" {
                    h3 { code { (name) } }
                    (guide::description(text(&schema["description"])))
                    (body(schema))
                    @if let Some(example) = schema["examples"].get(0) { (pretty("Example", example)) }
                }
            }
        }
    }
}

/// What a schema has: fields, words, or a type.
fn body(schema: &Value) -> Markup {
    html! {
        @if schema["properties"].is_object() { (fields(schema)) }
        @if let Some(words) = schema["enum"].as_array().filter(|_| !text(&schema["description"]).contains("\n- ")) {
            p { "One of " @for word in words { code { (plain(word)) } " " } }
        }
        @for part in alternatives(schema) { div.part { p { "Or:" } (guide::description(text(&part["description"]))) (body(part)) } }
        @if !schema["properties"].is_object() { p.type { (kind(schema)) (rules(schema)) } }
    }
}

fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["oneOf", "anyOf"].into_iter().filter_map(|name| schema[name].as_array());
    lists.flatten().filter(|part| part["properties"].is_object())
}

/// The fields of an object.
pub(super) fn fields(schema: &Value) -> Markup {
    let fields = schema["properties"].as_object().into_iter().flatten();
    let is_required =
        |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    html! {
        dl.fields {
            @for (name, field) in fields {
                dt { code { (name) } " " span.type { (kind(field)) } @if !is_required(name) { " " span.may { "may be absent" } } }
                dd { (guide::description(text(&field["description"]))) (rules(field)) }
            }
        }
    }
}

/// The type of a value, with a link to its schema.
pub(super) fn kind(schema: &Value) -> Markup {
    if let Some(name) = schema["$ref"].as_str().and_then(|target| target.rsplit('/').next()) {
        return html! { a href={ "#schema-" (name) } { (name) } };
    }
    if let Some(parts) = ["anyOf", "oneOf"].iter().find_map(|name| schema[*name].as_array()) {
        return html! { @for (nr, part) in parts.iter().enumerate() { @if nr > 0 { " or " } (kind(part)) } };
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().map(text).collect(),
        one => vec![text(one)],
    };
    html! {
        @for (nr, one) in types.iter().enumerate() {
            @if nr > 0 { " or " }
            @match *one {
                "array" => { "list of " (kind(&schema["items"])) },
                "object" if schema["additionalProperties"].is_object() => {
                    "object with values: " (kind(&schema["additionalProperties"]))
                },
                "" => "any value",
                one => (one),
            }
        }
        @if let Some(format) = schema["format"].as_str().filter(|format| !format.contains("int")) { " (" (format) ")" }
    }
}

/// The bounds, words and pattern of a value.
pub(super) fn rules(schema: &Value) -> Markup {
    let names = [
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("minLength", "characters at least"),
        ("maxLength", "characters at most"),
        ("minItems", "items at least"),
        ("maxItems", "items at most"),
        ("default", "default"),
        ("pattern", "pattern"),
    ];
    let rules: Vec<_> = names.into_iter().filter(|(name, _)| !schema[*name].is_null()).collect();
    let words = schema["enum"].as_array().filter(|_| schema["properties"].is_null());
    html! {
        @if !rules.is_empty() {
            p.rules { @for (nr, (name, said)) in rules.iter().enumerate() { @if nr > 0 { ", " } (said) " " code { (plain(&schema[*name])) } } }
        }
        @if let Some(words) = words.filter(|_| !text(&schema["description"]).contains("\n- ")) {
            p.rules { "one of " @for word in words { code { (plain(word)) } " " } }
        }
    }
}

/// A word without its quotes; anything else as JSON.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// JSON under a title that opens it.
pub(super) fn pretty(title: &str, value: &Value) -> Markup {
    html! { details { summary { (title) } pre { code { (serde_json::to_string_pretty(value).unwrap_or_default()) } } } }
}
