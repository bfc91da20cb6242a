//! Where the values are thrown: the operations of the API's description, and the console's routes.

use serde_json::{Map, Value};

/// Fields of forms and parameters of pages.
pub const NAMES: &[&str] = &[
    "user_name",
    "password",
    "next",
    "lang",
    "theme",
    "amount",
    "reference",
    "reason",
    "minutes",
    "seats",
    "act",
    "ids",
    "tag",
    "state",
    "key",
    "serial",
    "error",
    "order",
    "rider",
    "trip",
    "since",
    "before",
    "id",
    "expected",
    "csrf",
    "after",
    "day",
    "direction",
    "bus",
    "q",
    "who",
    "orders",
    "entries",
    "outcome",
    "actor",
    "seat",
];

/// An operation of the description.
pub struct Operation {
    pub method: String,
    pub path: String,
    pub parameters: Vec<String>,
    pub fields: Vec<String>,
    pub example: Option<Map<String, Value>>,
}

pub fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, described) in methods.as_object().unwrap() {
            let body = &described["requestBody"]["content"]["application/json"];
            let reference = body["schema"]["$ref"].as_str().unwrap_or_default();
            let schema = &document["components"]["schemas"][reference.rsplit('/').next().unwrap_or_default()];
            let names = |values: Option<&Map<String, Value>>| {
                values.map(|map| map.keys().cloned().collect()).unwrap_or_default()
            };
            let parameters = described["parameters"].as_array().unwrap().iter();
            operations.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                parameters: parameters
                    .filter(|parameter| parameter["in"] == "query")
                    .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
                    .collect(),
                fields: names(schema["properties"].as_object()),
                example: body["example"].as_object().cloned(),
            });
        }
    }
    operations
}

/// The console's routes, read from the one screen they are on.
pub fn pages() -> Vec<(String, String)> {
    let source = include_str!("../../../src/console/mod.rs");
    let mut routes = Vec::new();
    for route in source.split(".route(").skip(1) {
        let (path, handlers) = (route.split('"').nth(1).unwrap(), route.split('"').nth(2).unwrap());
        for method in ["get", "post"] {
            if handlers.contains(&format!("{method}(")) {
                routes.push((method.to_uppercase(), path.to_owned()));
            }
        }
    }
    assert!(routes.len() > 30, "{routes:?}");
    routes
}
