//! Every kind of problem there is, for the API's description.

use super::Kind;
use axum::http::StatusCode;
use serde_json::{Value, json};

/// In the order of the codes.
const ALL: &[&Kind] = &[
    &super::CREDENTIALS,
    &super::TOKEN,
    &super::NAME_TAKEN,
    &super::UNKNOWN,
    &super::MISSING,
    &super::INVALID,
    &super::MALFORMED,
    &super::TOO_LARGE,
    &super::METHOD,
    &super::DENIED,
    &super::DATABASE,
    &super::TIMED_OUT,
    &super::SYSTEM,
    &super::SEATS_TAKEN,
    &super::PAY_PASSWORD,
    &super::BALANCE,
    &super::EXPIRED,
    &super::STATE,
    &super::TRIP_CLOSED,
    &super::TRIP_CANCELLED,
    &super::KEY_REUSED,
    &super::RUNNING,
    &super::LOCKED,
    &super::NO_PAY_PASSWORD,
    &super::TOO_LATE,
    &super::PAYING,
    &super::BUSY_JOB,
    &super::TRIP_OVER,
    &super::STREAMS_FULL,
    &super::BUS_TAKEN,
    &super::TOO_MANY_HOLDS,
    &super::NOT_DEPARTED,
    &super::EVALUATED,
    &super::NOT_AUTHORIZED,
    &super::BULK_OVER,
    &super::BULK_CHANGED,
    &super::REFERENCE_USED,
    &super::LIMITED,
    &super::CROWDED,
    &super::SLOW_BODY,
];

/// A kind of problem, as the description tells of it.
#[derive(Clone, Copy)]
pub(in crate::http) struct Listed(&'static Kind);

/// All of them.
pub(in crate::http) fn all() -> impl Iterator<Item = Listed> {
    ALL.iter().map(|kind| Listed(kind))
}

impl Listed {
    pub(in crate::http) fn status(self) -> StatusCode {
        self.0.0
    }

    pub(in crate::http) fn code(self) -> &'static str {
        self.0.1
    }

    pub(in crate::http) fn english(self) -> &'static str {
        self.0.2
    }

    pub(in crate::http) fn chinese(self) -> &'static str {
        self.0.3
    }

    /// A body of this kind.
    pub(in crate::http) fn example(self) -> Value {
        json!({
            "type": format!("urn:farebox:problem:{}", self.code()),
            "title": self.english(),
            "status": self.status().as_u16(),
            "detail": "what exactly is wrong, for a developer",
            "code": self.code(),
            "trace_id": "0193fa1c2e7b7c3d9a41b6f0c8d2e511",
        })
    }
}
