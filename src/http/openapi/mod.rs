//! The API's description, OpenAPI 3.1. Schemas come from the types of the handlers, errors from the
//! catalogue of problems, and the rest from the list of operations.

mod accounts;
mod builder;
mod describe;
pub(crate) mod examples;
mod failures;
mod names;
mod network;
mod normal;
mod operations;
mod orders;
pub(crate) mod pages;
mod problems;
mod shared;
mod stream;
mod wallets;
mod webhooks;

pub(crate) use builder::Operation;

use axum::{body::Bytes, http::header, response::IntoResponse};
use builder::Schemas;
use examples::examples;
use operations::operations;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::LazyLock};

/// For people, in Markdown.
const INTRODUCTION: &str = include_str!("introduction.md");

/// Builds the operations and the document.
fn build() -> (Vec<Operation>, Value) {
    let mut schemas = Schemas::new();
    let operations = operations(&mut schemas);
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in &operations {
        paths.entry(operation.path).or_default().insert(operation.method.to_owned(), operation.describe());
    }
    let events = webhooks::events(&mut schemas);
    let tags =
        names::TAGS.iter().filter(|(tag, _)| operations.iter().any(|operation| operation.tag() == *tag));
    let tags: Vec<Value> = tags.map(|(tag, about)| json!({ "name": tag, "description": about })).collect();
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Farebox",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Seat booking and wallet payment",
            "description": INTRODUCTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The installation that serves this document" }],
        "tags": tags,
        "paths": paths,
        "webhooks": events,
        "components": {
            "schemas": all_schemas(schemas),
            "responses": failures::responses(&operations),
            "parameters": shared::parameters(),
            "headers": shared::headers(),
            "securitySchemes": { "token": {
                "type": "http", "scheme": "bearer", "description": "The `token` that `sign_in` answers with.",
            } },
        },
    });
    (operations, document)
}

/// The schemas by name, each with its example if there is one.
fn all_schemas(mut schemas: Schemas) -> Map<String, Value> {
    let others = [problems::schemas(&mut schemas), stream::schemas(&mut schemas)];
    let (mut all, ambiguous) = schemas.all();
    debug_assert!(ambiguous.is_empty(), "a request and a response differ in {ambiguous:?}");
    others.into_iter().for_each(|more| all.extend(more));
    for (name, example) in examples() {
        if let Some(schema) = all.get_mut(&name) {
            schema["examples"] = json!([example]);
        }
    }
    let pages: Vec<(String, Value)> =
        all.iter().filter_map(|(name, _)| example_of_page(&all, name)).collect();
    for (name, example) in pages {
        all[&name]["examples"] = json!([example]);
    }
    all
}

/// The example of a page, with that of its items.
fn example_of_page(all: &Map<String, Value>, name: &str) -> Option<(String, Value)> {
    let schema = all.get(name).filter(|_| name.starts_with("PageOf"))?;
    let item = schema["properties"]["items"]["items"]["$ref"].as_str()?.rsplit('/').next()?;
    let example = all.get(item)?["examples"].get(0)?;
    Some((name.to_owned(), json!({ "items": [example], "next": null })))
}

static BUILT: LazyLock<(Vec<Operation>, Value)> = LazyLock::new(build);

/// The document, for programs that read it without a server.
pub fn description() -> &'static Value {
    &BUILT.1
}

/// Every operation.
pub(crate) fn described() -> &'static [Operation] {
    &BUILT.0
}

/// The document as it is sent: written down once.
static TEXT: LazyLock<Bytes> = LazyLock::new(|| BUILT.1.to_string().into());

pub(crate) async fn document() -> impl IntoResponse {
    let headers =
        [(header::CACHE_CONTROL, "public, max-age=300"), (header::CONTENT_TYPE, "application/json")];
    (headers, TEXT.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The routes as the router has them, read from the one screen they are on.
    fn routed() -> BTreeSet<(String, String)> {
        // The pages for people are no part of the API: all of them are under /console.
        let pages = include_str!("../../console/mod.rs");
        assert!(
            pages.split(".route(").skip(1).all(|route| route.starts_with("\"/console")),
            "a page elsewhere"
        );
        let source = include_str!("../mod.rs").replacen(".merge(pages.routes)", "", 1);
        for other in [".merge(", ".nest(", ".route_service("] {
            assert!(!source.contains(other), "{other}..) brings routes that this test cannot see");
        }
        let table = source.split(".fallback(").next().expect("the table");
        let mut routes = BTreeSet::new();
        for route in table.split(".route(").skip(1) {
            let path = route.split('"').nth(1).expect("a path");
            let handlers = route.split('"').nth(2).expect("handlers");
            let before = routes.len();
            for method in ["get", "post", "put", "patch", "delete"] {
                let call = format!("{method}(");
                let names = |at: usize| handlers[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                if handlers.match_indices(&call).any(|(at, _)| !names(at)) {
                    routes.insert((method.to_owned(), path.to_owned()));
                }
            }
            assert!(routes.len() > before, "no method found of {path}");
        }
        routes
    }

    #[test]
    fn every_route_is_described_and_no_other() {
        let described: BTreeSet<_> =
            described().iter().map(|op| (op.method.to_owned(), op.path.to_owned())).collect();
        assert_eq!(routed(), described);
    }

    #[test]
    fn every_example_fits_its_schema() {
        let schemas = &BUILT.1["components"]["schemas"];
        assert!(!examples().is_empty(), "examples.json is valid");
        for (name, example) in examples() {
            let schema = &schemas[&name];
            let known = schema["properties"].as_object().unwrap_or_else(|| panic!("no schema {name}"));
            let fields = example.as_object().expect("an object");
            for field in fields.keys() {
                assert!(known.contains_key(field), "{name} has no {field}");
            }
            for field in schema["required"].as_array().into_iter().flatten() {
                assert!(fields.contains_key(field.as_str().expect("a name")), "{name} lacks {field}");
            }
        }
    }

    #[test]
    fn every_answer_to_a_rider_or_about_a_webhook_has_an_example() {
        let schemas = &BUILT.1["components"]["schemas"];
        let mut seen = 0;
        for operation in described().iter().filter(|one| one.path.starts_with("/v1/")) {
            let of_operators =
                matches!(operation.access, builder::Access::Viewer | builder::Access::Operator);
            if of_operators && !operation.path.starts_with("/v1/ops/webhooks") {
                continue;
            }
            for (media, schema) in operation.responses.iter().filter_map(|one| one.content.as_ref()) {
                let name = schema["$ref"].as_str().and_then(|target| target.rsplit('/').next());
                if let Some(name) = name.filter(|_| *media == "application/json") {
                    assert!(schemas[name]["examples"][0].is_object(), "{name} of {}", operation.path);
                    seen += 1;
                }
            }
        }
        assert!(seen > 20, "{seen}");
    }

    #[test]
    fn every_operation_has_a_name_a_tag_and_a_sentence() {
        let ids: Vec<String> = described().iter().map(Operation::id).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "a name is there twice");
        for operation in described() {
            let (method, path) = (operation.method, operation.path);
            assert!(names::name_of(method, path).is_some(), "{method} {path} has no line in names.rs");
            assert!(names::TAGS.iter().any(|(tag, _)| *tag == operation.tag()), "{method} {path}");
            assert_ne!(operation.tag(), "ops-others", "{path} needs a tag in names.rs");
        }
    }

    /// Whether a schema is a boolean or a list of alternatives that are constants.
    fn faults_of(value: &Value, at: &str, faults: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for name in ["items", "schema"] {
                    if fields.get(name).is_some_and(Value::is_boolean) {
                        faults.push(format!("{at}/{name} is a boolean"));
                    }
                }
                let properties = fields.get("properties").and_then(Value::as_object);
                for (name, _) in properties.into_iter().flatten().filter(|(_, field)| field.is_boolean()) {
                    faults.push(format!("{at}/properties/{name} is a boolean"));
                }
                let is_constant = |part: &Value| part.get("const").is_some();
                for name in ["oneOf", "anyOf"] {
                    let parts = fields.get(name).and_then(Value::as_array);
                    if parts.is_some_and(|parts| parts.iter().any(is_constant)) {
                        faults.push(format!("{at}/{name} has constants"));
                    }
                }
                fields.iter().for_each(|(name, value)| faults_of(value, &format!("{at}/{name}"), faults));
            }
            Value::Array(values) => values.iter().for_each(|value| faults_of(value, at, faults)),
            _ => {}
        }
    }

    #[test]
    fn words_are_enumerations_and_no_schema_is_a_boolean() {
        let mut faults = Vec::new();
        faults_of(&BUILT.1, "", &mut faults);
        assert!(faults.is_empty(), "{faults:#?}");
        assert_eq!(crate::domain::words::ApprovalState::ALL, crate::ops::wallets::approvals::STATES);
        let status = &BUILT.1["components"]["schemas"]["OrderStatus"]["enum"];
        assert_eq!(*status, json!(["unpaid", "paying", "paid", "refunding", "refunded", "closed"]));
    }

    /// The fields under a schema that nothing is said of.
    fn unsaid(schema: &Value, at: &str, found: &mut Vec<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let is_said = field["description"].as_str().is_some_and(|about| !about.trim().is_empty());
            // What an alternative is, its own description says.
            if !is_said && field.get("enum").and_then(Value::as_array).is_none_or(|words| words.len() > 1) {
                found.push(format!("{at}/{name}"));
            }
        }
        for part in ["oneOf", "anyOf"].iter().filter_map(|name| schema[*name].as_array()).flatten() {
            unsaid(part, at, found);
        }
    }

    #[test]
    fn every_schema_and_every_field_is_described() {
        let mut found = Vec::new();
        for (name, schema) in BUILT.1["components"]["schemas"].as_object().expect("schemas") {
            if schema["description"].as_str().is_none_or(str::is_empty) {
                found.push(name.clone());
            }
            unsaid(schema, name, &mut found);
        }
        assert!(found.is_empty(), "{found:#?}");
    }

    #[test]
    fn every_number_of_time_says_its_unit() {
        const UNITS: [&str; 4] = ["second", "minute", "millisecond", "hour"];
        let ends = |name: &str| ["_secs", "_ms", "_after", "minutes"].iter().any(|end| name.ends_with(end));
        let (mut seen, mut found) = (0, Vec::new());
        let mut look = |at: String, name: &str, schema: &Value, about: &Value| {
            let kinds = schema["type"].to_string();
            if ends(name) && (kinds.contains("integer") || kinds.contains("number")) {
                seen += 1;
                let about = about.as_str().unwrap_or_default().to_lowercase();
                if !UNITS.iter().any(|unit| about.contains(unit)) {
                    found.push(format!("{at}: {about}"));
                }
            }
        };
        for (owner, schema) in BUILT.1["components"]["schemas"].as_object().expect("schemas") {
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                look(format!("{owner}/{name}"), name, field, &field["description"]);
            }
        }
        for operation in described() {
            for (name, about, schema) in &operation.query {
                look(format!("{} {name}", operation.path), name, schema, &json!(about));
            }
        }
        assert!(found.is_empty() && seen > 8, "{seen}: {found:#?}");
    }

    #[test]
    fn every_reference_has_its_target() {
        let text = BUILT.1.to_string();
        for name in text.split("\"#/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(BUILT.1.pointer(&format!("/{name}")).is_some(), "#/{name}");
        }
    }
}
