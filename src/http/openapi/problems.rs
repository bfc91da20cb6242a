//! Which problems an operation may answer, in one place, and the schema of a problem.
//!
//! The client of the tests (`tests/harness/described.rs`) compares every problem that any test meets with
//! the description, so a problem that this rule forgets fails a test.

use super::builder::{Access, Operation, Schemas};
use crate::{
    domain::{Money, OrderStatus, words},
    http::{
        middleware::{host::HEALTH, limited_routes::class_of},
        problem::catalogue::{self, Kind},
    },
};
use serde_json::{Map, Value, json};

/// Every kind of problem that an operation may answer.
pub(super) fn kinds_of(operation: &Operation) -> Vec<&'static Kind> {
    let is_named = |kind: &Kind| operation.problems.split(' ').any(|code| code == kind.code);
    catalogue::all().filter(|kind| is_named(kind) || may_answer(operation, kind)).collect()
}

/// Whether an operation may answer a kind of problem that it does not name: by its path, who may call it,
/// and what it takes.
fn may_answer(operation: &Operation, kind: &Kind) -> bool {
    let is_api = operation.path.starts_with("/v1/");
    let asks_the_database = is_api || operation.path == "/health/ready";
    let changes_as_rider = operation.access == Access::SignedIn && operation.keyed;
    match (kind.status.as_u16(), kind.code) {
        // A repeated header; a query parameter that is unknown.
        (400, _) | (422, "003074") => true,
        (421, _) => !operation.path.starts_with(HEALTH),
        (401, "003002") => operation.access != Access::Anyone,
        // An account of the operations side that may only read.
        (403, "003091") => matches!(operation.access, Access::Viewer | Access::Operator) || changes_as_rider,
        (404, _) => operation.path_parameters().next().is_some(),
        (408 | 413, _) => operation.body.is_some(),
        (422, "003073") => operation.body.as_ref().is_some_and(|(_, _, required)| *required),
        (422, "006005") | (409, "006006") => operation.keyed,
        (429, _) => class_of(&operation.method.to_uppercase(), operation.path).is_some(),
        (500, _) => is_api,
        (503, "003097" | "005002") => asks_the_database,
        (503, "003098") => is_api || operation.path == "/metrics",
        _ => false,
    }
}

/// Whether a kind says in `Retry-After` when to try again.
pub(super) fn says_when(kind: &Kind) -> bool {
    kind.example().get("retry_after").is_some()
}

/// Whether an answer of a kind may be the one that was kept under the request's key: a rule gave it once the
/// change had begun. Of those that say when to try again, only a payment's with a locked pay password is
/// kept.
pub(super) fn may_be_kept(kind: &Kind) -> bool {
    let status = kind.status.as_u16();
    // What the request is, whose it is, its quota and its key are looked at before.
    let comes_before = matches!(
        (status, kind.code),
        (400 | 401 | 408 | 413 | 421 | 429, _) | (_, "003073" | "003091" | "003092" | "006005")
    );
    let must_wait = says_when(kind) && kind.code != "006007";
    kind.status.is_client_error() && !comes_before && !must_wait
}

/// The schemas of problems.
pub(super) fn schemas(s: &mut Schemas) -> Map<String, Value> {
    let mut schemas = Map::new();
    schemas.insert("ProblemCode".to_owned(), codes());
    schemas.insert("NetworkFault".to_owned(), fault());
    schemas.insert("Problem".to_owned(), problem(s));
    schemas
}

/// The codes, as an enumeration with names for generated clients.
fn codes() -> Value {
    let mut kinds: Vec<&Kind> = Vec::new();
    for kind in catalogue::all() {
        // One code may have several statuses.
        if kinds.iter().all(|known| known.code != kind.code) {
            kinds.push(kind);
        }
    }
    let plain = |title: &str| {
        let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_ascii_uppercase).collect::<Vec<_>>().join("_")
    };
    let line = |kind: &&Kind| format!("{} ({}). Next: {}", kind.english, kind.status.as_u16(), kind.next());
    let row = |kind: &Kind| {
        json!({
            "code": kind.code, "status": kind.status.as_u16(), "title": kind.english, "titleZh": kind.chinese,
            "next": kind.next(), "retry": kind.retry().as_str(),
        })
    };
    let retry = kinds.iter().map(|kind| (kind.code.to_owned(), json!(kind.retry().as_str())));
    json!({
        "type": "string",
        "description": "Six digits by which a client decides, together with the status. `x-retry` says how a \
            request is repeated: `same_key` with the same key after `retry_after`, `new_key` with a new key once \
            the cause is gone, `never` if a repeat does not help.",
        "enum": kinds.iter().map(|kind| kind.code).collect::<Vec<_>>(),
        "x-enum-varnames": kinds.iter().map(|kind| plain(kind.english)).collect::<Vec<_>>(),
        "x-enum-descriptions": kinds.iter().map(line).collect::<Vec<_>>(),
        "x-problems": catalogue::all().map(row).collect::<Vec<_>>(),
        "x-retry": retry.collect::<Map<_, _>>(),
    })
}

fn fault() -> Value {
    json!({
        "type": "object",
        "description": "A fault in a network's files.",
        "required": ["file", "rule"],
        "properties": {
            "file": { "type": "string", "description": "The file." },
            "line": { "type": "integer", "description": "The line, from 1; absent if the whole file is at fault." },
            "column": { "type": "string", "description": "The column's name; absent if the whole line is at fault." },
            "rule": { "type": "string", "description": "The rule that is broken." },
        },
    })
}

fn problem(s: &mut Schemas) -> Value {
    let uuid = |about: &str| json!({ "type": "string", "format": "uuid", "description": about });
    let text = |about: &str| json!({ "type": "string", "description": about });
    let number = |about: &str| json!({ "type": "integer", "description": about });
    let said = |mut schema: Value, about: &str| {
        schema["description"] = json!(about);
        schema
    };
    let status = said(s.gives::<OrderStatus>(), "Of 006002: the state that the order is in.");
    let balance = said(s.gives::<Money>(), "Of 004002: what the wallet holds.");
    let approval = said(s.gives::<words::ApprovalState>(), "Of 006063: the state that the approval is in.");
    let rollback = said(s.gives::<words::RollbackState>(), "Of a failed step: the state of its undo.");
    json!({
        "type": "object",
        "description": "RFC 9457. A client decides by `code` and `status`, never by a text. More codes and members \
            may come.",
        "required": ["type", "title", "status", "detail", "code", "trace_id"],
        "properties": {
            "type": { "type": "string", "description": "A URN that ends in the code.",
                "pattern": "^urn:farebox:problem:[0-9]{6}$" },
            "title": text("For users: English, or Chinese by `Accept-Language`."),
            "status": { "type": "integer", "minimum": 400, "maximum": 599, "description": "The status of the response." },
            "detail": text("For the client's developer: what exactly is wrong. In English."),
            "code": {
                "description": "One of `ProblemCode`, or one that a later release has added.",
                "anyOf": [{ "$ref": "#/components/schemas/ProblemCode" }, { "type": "string", "pattern": "^[0-9]{6}$" }],
            },
            "trace_id": text("Names the request in the logs; also the header `X-Trace-Id`."),
            "field": text("The field at fault: a JSON pointer into the body, or the name of a parameter or header."),
            "rule": text("The rule that the field breaks."),
            "retry_after": number("Seconds to wait before a repeat; also the header `Retry-After`."),
            "seats": { "type": "array", "items": { "type": "string" }, "description": "Of 004000: the seats lost." },
            "balance": balance,
            "currency": { "type": "string", "pattern": "^[A-Z]{3}$", "description": "Of 004002: the balance's, by ISO 4217." },
            "tries_left": number("Of 004001: the wrong pay passwords that are left before it is locked."),
            "order_status": status,
            "most": number("Of 006040: the orders that one rider may leave unpaid."),
            "order_id": uuid("Of a failed step: the order that is being undone."),
            "tag": text("Of a failed step: its tag."),
            "rollback": rollback,
            "trip_id": uuid("Of 006022: the trip that the bus is on."),
            "rider_id": uuid("Of 006060: whose top-up has the reference."),
            "entry_id": uuid("Of 006060: the ledger entry of that top-up."),
            "covers": number("Of 006045: the jobs that the operation would cover now."),
            "approval_state": approval,
            "faults": { "type": "array", "items": { "$ref": "#/components/schemas/NetworkFault" },
                "description": "Of 006070: the first faults." },
            "fault_count": number("Of 006070: how many faults there are."),
            "import_id": uuid("Of 006072: the import that is not finished."),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi::described;
    use std::collections::BTreeSet;

    #[test]
    fn every_member_that_the_program_sets_is_described() {
        let sources = [
            include_str!("../problem/mod.rs"),
            include_str!("../problem/convert.rs"),
            include_str!("../problem/networks.rs"),
        ];
        let known = problem(&mut Schemas::new());
        for source in sources {
            let set = source.split(".with(\"").skip(1).chain(source.split(".set(\"").skip(1));
            for name in set.filter_map(|rest| rest.split('"').next()) {
                assert!(known["properties"].get(name).is_some(), "{name} of a problem is not described");
            }
        }
        for kind in catalogue::all() {
            for name in kind.example().as_object().expect("a body").keys() {
                assert!(known["properties"].get(name).is_some(), "{name} of {} is not described", kind.code);
            }
        }
    }

    #[test]
    fn every_problem_is_some_operations_and_every_code_is_known() {
        let of_operations: BTreeSet<&str> =
            described().iter().flat_map(kinds_of).map(|kind| kind.code).collect();
        let all: BTreeSet<&str> = catalogue::all().map(|kind| kind.code).collect();
        assert_eq!(of_operations, all);
        for operation in described() {
            for code in operation.problems.split(' ').filter(|code| !code.is_empty()) {
                assert!(all.contains(code), "{code} of {}", operation.path);
            }
        }
    }

    #[test]
    fn an_operation_has_only_its_own_problems() {
        let codes = |method: &str, path: &str| {
            let operation = described().iter().find(|o| o.method == method && o.path == path).expect(path);
            kinds_of(operation).iter().map(|kind| kind.code).collect::<BTreeSet<_>>()
        };
        let book = codes("post", "/v1/orders");
        assert!(book.contains("004000") && book.contains("006005") && !book.contains("006021"));
        assert!(!book.contains("004002") && codes("post", "/v1/orders/{id}/pay").contains("004002"));
        let live = codes("get", "/health/live");
        assert_eq!(live, BTreeSet::from(["003074"]));
        assert!(!codes("get", "/v1/trips").contains("003002"));
    }
}
