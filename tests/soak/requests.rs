//! The requests of riders: their paths and bodies, and how long a rider waits for an answer.

use super::book::Ask;
use crate::harness::{Answer, Client};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// The problem of a request whose first one, with the same key, still runs.
pub const RUNNING: &str = "006006";
pub const BROKEN_KEY: &str = "BREACH a_repeated_request_has_its_first_answer";
/// How long a request may take before its rider gives it up for lost.
const PATIENCE: Duration = Duration::from_secs(15);

pub fn same_answer(one: &Value, other: &Value) {
    assert_eq!(one, other, "{BROKEN_KEY}");
}

pub fn path(ask: Ask, order: Uuid) -> String {
    let what = match ask {
        Ask::Pay => "pay",
        Ask::Cancel => "cancel",
        Ask::Refund => "refund",
        Ask::Book => unreachable!("a booking has no order yet"),
    };
    format!("/v1/orders/{order}/{what}")
}

pub fn body(ask: Ask) -> Value {
    if ask == Ask::Pay { json!({"pay_password": crate::harness::PAY_PASSWORD}) } else { json!({}) }
}

pub async fn send(client: Client, path: &str, body: &Value) -> Option<Answer> {
    tokio::time::timeout(PATIENCE, client.try_post(path, body)).await.ok()?.ok()
}
