//! The responses to what failed. Operations that fail alike share one, as a component of the document, so
//! each operation names exactly its own problems and none is written down a hundred times.

use super::{
    builder::Operation,
    problems::{kinds_of, may_be_kept, says_when},
    shared::headers_of,
};
use crate::http::problem::catalogue::Kind;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const PROBLEM: &str = "application/problem+json";

/// What an operation answers with one status of a failure.
pub(super) struct Failure {
    pub(super) status: u16,
    kinds: Vec<&'static Kind>,
    /// Whether it may be the answer that was kept under the request's key.
    is_kept: bool,
    /// Whether it says what is left of the request's quota.
    is_limited: bool,
}

/// The failures of an operation, by status.
pub(super) fn failures(operation: &Operation) -> Vec<Failure> {
    let mut by_status: BTreeMap<u16, Vec<&'static Kind>> = BTreeMap::new();
    for kind in kinds_of(operation) {
        by_status.entry(kind.status.as_u16()).or_default().push(kind);
    }
    let failure = |(status, kinds): (u16, Vec<&'static Kind>)| Failure {
        status,
        is_kept: operation.keyed && kinds.iter().any(|kind| may_be_kept(kind)),
        is_limited: status == 429 || operation.shows_its_limit(),
        kinds,
    };
    by_status.into_iter().map(failure).collect()
}

/// The shared responses by name.
pub(super) fn responses(operations: &[Operation]) -> Map<String, Value> {
    let all = operations.iter().flat_map(failures);
    all.map(|failure| (failure.name(), failure.describe())).collect()
}

impl Failure {
    /// Status and codes; `_limited` if it has the headers of quotas, `_kept` if also `Idempotent-Replayed`.
    fn name(&self) -> String {
        let codes: Vec<&str> = self.kinds.iter().map(|kind| kind.code).collect();
        let headers = match (self.is_kept, self.is_limited) {
            (true, _) => "_kept",
            (false, true) if self.status != 429 => "_limited",
            (false, _) => "",
        };
        format!("Problem{}_{}{headers}", self.status, codes.join("_"))
    }

    /// A reference to it.
    pub(super) fn reference(&self) -> Value {
        json!({ "$ref": format!("#/components/responses/{}", self.name()) })
    }

    fn describe(&self) -> Value {
        let by_kind = [
            (self.is_kept, "IdempotentReplayed"),
            (self.kinds.iter().any(|kind| says_when(kind)), "RetryAfter"),
            (self.status == 401, "Authenticate"),
            (self.is_limited, "RateLimit"),
            (self.is_limited, "RateLimitPolicy"),
        ];
        let mut names = vec!["ContentLanguage", "TraceId"];
        names.extend(by_kind.into_iter().filter(|(has, _)| *has).map(|(_, name)| name));
        let titles: Vec<String> =
            self.kinds.iter().map(|kind| format!("{} {}", kind.code, kind.english)).collect();
        let codes: Vec<&str> = self.kinds.iter().map(|kind| kind.code).collect();
        let example = |kind: &&Kind| {
            let example = json!({ "summary": kind.english, "value": kind.example() });
            (kind.code.to_owned(), example)
        };
        let examples: Map<String, Value> = self.kinds.iter().map(example).collect();
        let schema = json!({ "$ref": "#/components/schemas/Problem" });
        json!({
            "description": titles.join(" · "),
            "headers": headers_of(&names),
            "content": { PROBLEM: { "schema": schema, "examples": examples } },
            "x-problem-codes": codes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi::{described, description};
    use std::collections::BTreeSet;

    #[test]
    fn a_shared_response_is_that_of_each_operation() {
        let mut used = BTreeSet::new();
        for operation in described() {
            let said = &description()["paths"][operation.path][operation.method]["responses"];
            for failure in failures(operation) {
                let (path, name) = (operation.path, failure.name());
                assert_eq!(said[failure.status.to_string()], failure.reference(), "{path}");
                let shared = &description()["components"]["responses"][&name];
                assert_eq!(*shared, failure.describe(), "{path} has another {name}");
                used.insert(name);
            }
        }
        let shared = description()["components"]["responses"].as_object().expect("a map");
        assert_eq!(shared.keys().cloned().collect::<BTreeSet<_>>(), used, "a response is no operation's");
        assert!(used.len() < 100, "{} responses", used.len());
    }

    #[test]
    fn the_document_is_small() {
        /// Bytes, uncompressed.
        const MOST: usize = 450_000;
        let size = description().to_string().len();
        assert!(size < MOST, "{size} bytes");
    }
}
