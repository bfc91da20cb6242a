//! The API's description is a contract: clients that were made from the last release's go on.

mod breaks;
mod python;
mod scene;
mod typescript;

use breaks::{bones, breaks};
use serde_json::{Value, json};
use std::path::Path;

/// The contract of the last release, without its texts.
const RELEASED: &str = include_str!("../snapshots/openapi.json");

#[test]
fn no_change_of_the_description_breaks_a_client() {
    let now = bones(farebox::http::description());
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi.json");
    std::fs::write(&made, serde_json::to_string_pretty(&now).unwrap() + "\n").unwrap();
    let released: Value = serde_json::from_str(RELEASED).unwrap();
    let found = breaks(&released, &now);
    assert!(
        found.is_empty(),
        "clients break: {found:#?}\nA release copies {} to tests/snapshots/openapi.json.",
        made.display()
    );
}

/// The place of a schema's field in the description.
fn field(schema: &str, name: &str) -> String {
    format!("/components/schemas/{schema}/properties/{name}")
}

fn without(list: &mut Value, word: &str) {
    list.as_array_mut().unwrap().retain(|one| one != word);
}

#[test]
fn each_kind_of_break_is_found() {
    let old = bones(farebox::http::description());
    let orders = "/paths/~1v1~1orders/post";
    let change = |change: &dyn Fn(&mut Value)| {
        let mut new = old.clone();
        change(&mut new);
        breaks(&old, &new)
    };
    let at = |new: &'_ mut Value, pointer: &str, set: Value| *new.pointer_mut(pointer).expect(pointer) = set;
    let cases: Vec<(&str, Box<dyn Fn(&mut Value)>)> = vec![
        (
            "post /v1/orders is gone",
            Box::new(|new| drop(new["paths"]["/v1/orders"].as_object_mut().unwrap().remove("post"))),
        ),
        ("is called", Box::new(|new| at(new, &format!("{orders}/operationId"), json!("reserve")))),
        (
            "parameter \"list\": is gone",
            Box::new(|new| {
                let all =
                    new.pointer_mut("/paths/~1v1~1orders/get/parameters").unwrap().as_array_mut().unwrap();
                all.retain(|one| one["name"] != "list");
            }),
        ),
        (
            "is new and required",
            Box::new(|new| {
                let all = new.pointer_mut(&format!("{orders}/parameters")).unwrap().as_array_mut().unwrap();
                all.push(json!({ "name": "zone", "in": "query", "required": true, "schema": {} }));
            }),
        ),
        (
            "a token is needed",
            Box::new(|new| {
                at(new, "/paths/~1v1~1trips/get/security", json!([{ "token": [] }]));
            }),
        ),
        (
            "201: is gone",
            Box::new(|new| {
                drop(
                    new.pointer_mut(&format!("{orders}/responses"))
                        .unwrap()
                        .as_object_mut()
                        .unwrap()
                        .remove("201"),
                );
            }),
        ),
        (
            "202: is new",
            Box::new(|new| {
                new.pointer_mut(&format!("{orders}/responses")).unwrap()["202"] = json!({});
            }),
        ),
        (
            "/seats: is gone",
            Box::new(|new| {
                drop(
                    new.pointer_mut("/components/schemas/NewOrder/properties")
                        .unwrap()
                        .as_object_mut()
                        .unwrap()
                        .remove("seats"),
                );
            }),
        ),
        (
            "/class: is required now",
            Box::new(|new| {
                let schema = new.pointer_mut("/components/schemas/NewOrder").unwrap();
                schema["properties"]["class"] = json!({ "type": "string" });
                schema["required"].as_array_mut().unwrap().push(json!("class"));
            }),
        ),
        ("the type", Box::new(|new| at(new, &field("OrderView", "seats"), json!({ "type": "string" })))),
        (
            "/paid_at: is gone",
            Box::new(|new| {
                drop(
                    new.pointer_mut("/components/schemas/OrderView/properties")
                        .unwrap()
                        .as_object_mut()
                        .unwrap()
                        .remove("paid_at"),
                );
            }),
        ),
        (
            "/amount: may be absent now",
            Box::new(|new| {
                without(&mut new["components"]["schemas"]["OrderView"]["required"], "amount");
            }),
        ),
        (
            "not foreseen",
            Box::new(|new| {
                new["components"]["schemas"]["OrderStatus"]["enum"]
                    .as_array_mut()
                    .unwrap()
                    .push(json!("lost"));
            }),
        ),
        (
            "not taken any more",
            Box::new(|new| {
                without(&mut new["components"]["schemas"]["OrderList"]["enum"], "upcoming");
            }),
        ),
        (
            "maxLength",
            Box::new(|new| {
                at(new, "/components/parameters/IdempotencyKey/schema/maxLength", json!(20));
            }),
        ),
        (
            "event cancelled: is gone",
            Box::new(|new| {
                let content = new
                    .pointer_mut("/paths/~1v1~1trips~1{id}~1seats~1events/get/responses/200/content")
                    .unwrap();
                drop(content["text/event-stream"]["x-events"].as_object_mut().unwrap().remove("cancelled"));
            }),
        ),
    ];
    for (expected, case) in cases {
        let found = change(&*case);
        assert!(found.iter().any(|one| one.contains(expected)), "{expected}: {found:?}");
    }
    // What clients do not notice.
    let harmless: Vec<Box<dyn Fn(&mut Value)>> = vec![
        Box::new(|new| {
            new["components"]["schemas"]["OrderView"]["properties"]["note"] = json!({ "type": "string" })
        }),
        Box::new(|new| {
            new["components"]["schemas"]["NewOrder"]["properties"]["note"] = json!({ "type": "string" })
        }),
        Box::new(|new| new["paths"]["/v1/new"] = json!({ "get": {} })),
        Box::new(|new| {
            new["components"]["schemas"]["OrderList"]["enum"].as_array_mut().unwrap().push(json!("x"))
        }),
        Box::new(|new| {
            new["components"]["schemas"]["ProblemCode"]["enum"].as_array_mut().unwrap().push(json!("9"))
        }),
    ];
    for (nr, case) in harmless.into_iter().enumerate() {
        assert_eq!(change(&*case), Vec::<String>::new(), "harmless change {nr}");
    }
}
