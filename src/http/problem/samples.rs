//! An example of each kind of problem, for the API's description: made as the program makes them.

use super::{
    Problem,
    catalogue::{self, Kind, METHOD, NETWORK_FAULTS, NETWORK_REFUSED, SYSTEM},
};
use crate::domain::{FieldError, Money, OrderStatus, Refusal, RiderId, TripId};
use chrono::Utc;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::sync::LazyLock;
use uuid::Uuid;

const ORDER: Uuid = Uuid::from_u128(0x0193_fa1d_77c0_7b1e_8a55_0c9d_1e2f_3a4b);
const TRIP: Uuid = Uuid::from_u128(0x0193_fa1c_2e7b_7c3d_9a41_b6f0_c8d2_e511);
const OTHER: Uuid = Uuid::from_u128(0x0193_fa00_1c2d_7e3f_8a9b_4c5d_6e7f_8091);
const TRACE: &str = "0193fa1c2e7b7c3d9a41b6f0c8d2e511";
/// How long a locked pay password stays so in its example, seconds.
const LOCKED_SECS: i64 = 840;

impl Kind {
    /// A body of this kind, as the program makes it.
    pub(in crate::http) fn example(&self) -> Value {
        let is_this = |body: &&Value| {
            body["code"] == self.code && body["status"].as_u64() == Some(self.status.as_u16().into())
        };
        let mut body = SAMPLES.iter().find(is_this).cloned().unwrap_or_default();
        // The request that made the samples has a language and a trace of its own.
        body["title"] = json!(self.english);
        body["trace_id"] = json!(TRACE);
        body
    }
}

static SAMPLES: LazyLock<Vec<Value>> =
    LazyLock::new(|| samples().into_iter().map(|problem| Value::Object(problem.body)).collect());

fn samples() -> Vec<Problem> {
    let refusals = of_accounts().into_iter().chain(of_orders()).chain(of_operators());
    refusals.map(Problem::from).chain(of_requests()).chain(of_servers()).map(settled).collect()
}

/// The wait of a locked pay password is counted from now: an example has always the same.
fn settled(problem: Problem) -> Problem {
    let is_locked = problem.status == catalogue::LOCKED.status;
    if is_locked { problem.with("retry_after", json!(LOCKED_SECS)) } else { problem }
}

fn of_accounts() -> Vec<Refusal> {
    vec![
        Refusal::WrongCredentials,
        Refusal::WrongPassword,
        Refusal::WrongResetCode,
        Refusal::NotConfirmed,
        Refusal::CodeNeeded,
        Refusal::WrongCode,
        Refusal::SecondFactorMissing,
        Refusal::UserNameTaken,
        Refusal::NotFound("order"),
        Refusal::WrongPayPassword { tries_left: 4 },
        Refusal::PayPasswordLocked { until: Utc::now() },
        Refusal::PayPasswordMissing,
    ]
}

fn of_orders() -> Vec<Refusal> {
    vec![
        Refusal::SeatsTaken(vec!["3".to_owned()]),
        Refusal::TripClosed,
        Refusal::TripCancelled,
        Refusal::TripOver,
        Refusal::BalanceTooLow { balance: Money::from_database(Decimal::new(200, 2)) },
        Refusal::OrderExpired,
        Refusal::WrongState(OrderStatus::Closed),
        Refusal::AlreadyPaying,
        Refusal::TooLateToRefund,
        Refusal::TooManyHolds { most: 5 },
        Refusal::NotDeparted,
        Refusal::AlreadyEvaluated,
        Refusal::NotAuthorized,
    ]
}

fn of_operators() -> Vec<Refusal> {
    vec![
        Refusal::BusTaken { bus: 7, trip: Some(TripId(TRIP)) },
        Refusal::ReferenceUsed { rider: RiderId(OTHER), entry: ORDER },
        Refusal::OwnWallet,
        Refusal::SecondPerson,
        Refusal::ApprovalOver { state: "expired" },
        Refusal::StillOwed,
        Refusal::PreviewStale,
        Refusal::BulkOver,
        Refusal::BulkChanged { covers: 4 },
    ]
}

/// What is wrong with the request itself.
fn of_requests() -> Vec<Problem> {
    let fault = "stops.txt:3: stop_lat: a number of degrees";
    let faults = json!([
        { "file": "stops.txt", "line": 3, "column": "stop_lat", "rule": "a number of degrees" }
    ]);
    vec![
        Problem::token(),
        Problem::denied(),
        Problem::missing(&FieldError::new("/seats", "this field is required")),
        Problem::field(&FieldError::new("limit", "1 to 100")),
        Problem::malformed("the body is not JSON: EOF while parsing an object at line 1 column 12"),
        Problem::too_large(65_536),
        Problem::new(&METHOD, "the address exists, but not for this method"),
        Problem::key_reused(),
        Problem::running(),
        Problem::misdirected(),
        Problem::slow_body(),
        Problem::limited(3),
        Problem::new(&NETWORK_FAULTS, format!("1 faults; the first: {fault}"))
            .at(&FieldError::new("", fault))
            .with("faults", faults)
            .with("fault_count", json!(1)),
        Problem::new(&NETWORK_REFUSED, "an earlier import is not finished").with("import_id", json!(OTHER)),
    ]
}

/// What is wrong with the server, now.
fn of_servers() -> Vec<Problem> {
    vec![
        Problem::outage(),
        Problem::timed_out(),
        Problem::overloaded(),
        Problem::busy_job(),
        Problem::streams_full("this server has no room for another stream"),
        Problem::new(&SYSTEM, "a step failed; what was done is being undone")
            .with("order_id", json!(ORDER))
            .with("tag", json!("pay_money_cancle"))
            .with("rollback", json!("queued")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_an_example() {
        for kind in catalogue::all() {
            let example = kind.example();
            assert_eq!(example["code"], kind.code);
            assert_eq!(example["title"], kind.english, "{}", kind.code);
        }
    }
}
