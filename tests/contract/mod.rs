//! The API's description is a contract: clients that were made from the last release's go on.

mod breaks;
mod examples;
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

/// A change of the description.
enum Change {
    Remove(&'static str),
    Set(&'static str, Value),
    /// Adds to a list.
    Add(&'static str, Value),
    /// Takes a word out of a list.
    Without(&'static str, &'static str),
}

impl Change {
    fn make(&self, document: &mut Value) {
        let (pointer, last) = match self {
            Self::Remove(pointer) | Self::Set(pointer, _) => pointer.rsplit_once('/').unwrap(),
            Self::Add(pointer, _) | Self::Without(pointer, _) => (*pointer, ""),
        };
        let place = document.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is not there"));
        match self {
            Self::Remove(_) => drop(place.as_object_mut().unwrap().remove(&last.replace("~1", "/")).unwrap()),
            Self::Set(_, value) => place[last.replace("~1", "/")] = value.clone(),
            Self::Add(_, value) => place.as_array_mut().unwrap().push(value.clone()),
            Self::Without(_, word) => place.as_array_mut().unwrap().retain(|one| one != word),
        }
    }
}

#[rustfmt::skip] // A table.
fn changes_that_break() -> Vec<(&'static str, Change)> {
    use Change::{Add, Remove, Set, Without};
    vec![
        ("post /v1/orders is gone", Remove("/paths/~1v1~1orders/post")),
        ("is called", Set("/paths/~1v1~1orders/post/operationId", json!("reserve"))),
        ("parameter \"list\": is gone", Set("/paths/~1v1~1orders/get/parameters", json!([]))),
        ("is new and required", Add("/paths/~1v1~1orders/post/parameters",
            json!({ "name": "zone", "in": "query", "required": true, "schema": {} }))),
        ("a token is needed", Set("/paths/~1v1~1trips/get/security", json!([{ "token": [] }]))),
        ("201: is gone", Remove("/paths/~1v1~1orders/post/responses/201")),
        ("202: is new", Set("/paths/~1v1~1orders/post/responses/202", json!({}))),
        ("the header Link is gone", Remove("/paths/~1v1~1orders/get/responses/200/headers/Link")),
        ("/seats: is gone", Remove("/components/schemas/NewOrder/properties/seats")),
        ("/class: is required now", Add("/components/schemas/NewOrder/required", json!("class"))),
        ("the type", Set("/components/schemas/OrderView/properties/seats", json!({ "type": "string" }))),
        ("the type", Set("/components/schemas/OrderView/properties/trip_id/type", json!(["string", "null"]))),
        ("/paid_at: is gone", Remove("/components/schemas/OrderView/properties/paid_at")),
        ("/amount: may be absent now", Without("/components/schemas/OrderView/required", "amount")),
        ("not foreseen", Add("/components/schemas/OrderStatus/enum", json!("lost"))),
        ("not taken any more", Without("/components/schemas/OrderList/enum", "upcoming")),
        ("maxLength", Set("/components/parameters/IdempotencyKey/schema/maxLength", json!(20))),
        // Through references: to nothing of its kind, and to a schema that all failures share.
        ("application/json is gone",
            Set("/paths/~1v1~1orders/post/responses/201", json!({ "$ref": "#/components/schemas/Money" }))),
        ("a problem/trace_id: is gone", Remove("/components/schemas/Problem/properties/trace_id")),
        ("a problem/code", Remove("/components/schemas/Problem/properties/code/anyOf")),
        ("event cancelled: is gone", Remove("/paths/~1v1~1trips~1{id}~1seats~1events/get/responses/200/content/text~1event-stream/x-events/cancelled")),
    ]
}

#[rustfmt::skip] // A table.
fn changes_that_break_nobody() -> Vec<Change> {
    use Change::{Add, Set};
    vec![
        Set("/components/schemas/OrderView/properties/note", json!({ "type": "string" })),
        Set("/components/schemas/NewOrder/properties/note", json!({ "type": "string" })),
        Set("/paths/~1v1~1new", json!({ "get": {} })),
        Add("/components/schemas/OrderList/enum", json!("x")),
        Add("/components/schemas/ProblemCode/enum", json!("009999")),
    ]
}

#[test]
fn a_response_may_become_a_shared_one() {
    let old = bones(farebox::http::description());
    let (mut new, place) = (old.clone(), "/paths/~1v1~1orders/post/responses/201");
    let response = new.pointer(place).unwrap().clone();
    new["components"]["responses"]["Booked"] = response;
    *new.pointer_mut(place).unwrap() = json!({ "$ref": "#/components/responses/Booked" });
    assert_eq!(breaks(&old, &new), Vec::<String>::new());
    assert_eq!(breaks(&new, &old), Vec::<String>::new());
    new["components"]["responses"]["Booked"]["headers"] = json!({});
    assert!(breaks(&old, &new).iter().any(|one| one.contains("the header Idempotent-Replayed is gone")));
}

#[test]
fn each_kind_of_break_is_found() {
    let old = bones(farebox::http::description());
    let changed = |change: &Change| {
        let mut new = old.clone();
        change.make(&mut new);
        breaks(&old, &new)
    };
    for (expected, change) in changes_that_break() {
        let found = changed(&change);
        assert!(found.iter().any(|one| one.contains(expected)), "{expected}: {found:?}");
    }
    for change in changes_that_break_nobody() {
        assert_eq!(changed(&change), Vec::<String>::new());
    }
}
