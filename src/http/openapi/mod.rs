//! The API's description, OpenAPI 3.1. Schemas come from the types of the handlers, errors from the
//! catalogue of problems, and the rest from the list of operations.

mod accounts;
mod builder;
pub(crate) mod examples;
mod network;
mod operations;
mod orders;
pub(crate) mod pages;
mod wallets;
mod webhooks;

pub(crate) use builder::{Access, Operation};

use axum::{Json, http::header, response::IntoResponse};
use builder::Schemas;
use examples::examples;
use operations::operations;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::LazyLock};

/// Builds the operations and the document.
fn build() -> (Vec<Operation>, Value) {
    let mut schemas = Schemas::new();
    let operations = operations(&mut schemas);
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in &operations {
        paths.entry(operation.path).or_default().insert(operation.method.to_owned(), operation.describe());
    }
    let events = webhooks::events(&mut schemas);
    let mut schemas = schemas.all();
    for (name, example) in examples() {
        if let Some(schema) = schemas.get_mut(&name) {
            schema["examples"] = json!([example]);
        }
    }
    schemas.insert("Problem".to_owned(), problem());
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Farebox",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Seat booking and wallet payment",
            "description": INTRODUCTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "webhooks": events,
        "components": {
            "schemas": schemas,
            "parameters": { "IdempotencyKey": {
                "name": "Idempotency-Key", "in": "header", "required": false,
                "description": "The same key and body return the first response again, marked `Idempotent-Replayed: true`.",
                "schema": { "type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[\\x20-\\x7e]+$" },
            } },
            "headers": {
                "TraceId": {
                    "description": "Names this request in the logs and in what it left behind.",
                    "schema": { "type": "string" },
                },
                "ContentLanguage": {
                    "description": "The language of the title: what Accept-Language weighs more.",
                    "schema": { "type": "string", "enum": ["en", "zh"] },
                },
            },
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    });
    (operations, document)
}

const INTRODUCTION: &str = "Money is a decimal string with the decimals of the installation's currency, which stands beside it by ISO 4217, times are RFC 3339 UTC, ids are UUIDv7, seats \
    are labels. Errors are RFC 9457 problems with a six-digit `code`; their titles are English, or Chinese by \
    `Accept-Language`. Lengths count characters. Fields and parameters that are unknown or repeated are refused. A step that fails answers 500 with the order's id and `rollback`: what was done is undone.";

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "RFC 9457. Further members help with this very problem: the seats lost, the balance, when to retry.",
        "required": ["type", "title", "status", "detail", "code", "trace_id"],
        "properties": {
            "type": { "type": "string", "description": "A URN that ends in the code." },
            "title": { "type": "string", "description": "English, or Chinese by Accept-Language." },
            "status": { "type": "integer" },
            "detail": { "type": "string", "description": "For the client's developer." },
            "code": { "type": "string", "pattern": "^[0-9]{6}$" },
            "trace_id": { "type": "string" },
            "field": { "type": "string", "description": "The field at fault, as a JSON pointer, or a parameter's name." },
            "rule": { "type": "string", "description": "The rule it breaks." },
            "faults": { "type": "array", "items": { "type": "object" }, "description": "The first faults of a network's files: file, line, column and rule." },
            "fault_count": { "type": "integer", "description": "How many faults there are." },
            "import_id": { "type": "string", "description": "The import that is not finished." },
            "seats": { "type": "array", "items": { "type": "string" }, "description": "The seats lost." },
            "balance": { "type": "string", "description": "What the wallet holds." },
            "currency": { "type": "string", "description": "The currency of the balance." },
            "retry_after": { "type": "integer", "description": "Seconds." },
            "order_id": { "type": "string", "description": "The order whose saga failed." },
            "rollback": { "type": "string", "description": "The state of its rollback." },
            "trip_id": { "type": "string", "description": "The trip that is in the way." },
        },
    })
}

static BUILT: LazyLock<(Vec<Operation>, Value)> = LazyLock::new(build);

/// Every operation.
pub(crate) fn described() -> &'static [Operation] {
    &BUILT.0
}

pub(crate) async fn document() -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(&BUILT.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::catalogue;
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
    fn every_problem_is_some_operations_and_every_code_is_known() {
        let of_operations: BTreeSet<&str> =
            described().iter().flat_map(|op| op.kinds()).map(|kind| kind.code).collect();
        let all: BTreeSet<&str> = catalogue::all().map(|kind| kind.code).collect();
        assert_eq!(of_operations, all);
        for op in described() {
            for code in op.problems.split(' ').filter(|code| !code.is_empty()) {
                assert!(all.contains(code), "{code} of {}", op.path);
            }
        }
    }
}
