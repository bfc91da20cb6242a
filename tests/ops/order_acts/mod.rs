//! Acts of operators upon one order, through the API, the console and the command line.

mod close;
mod jobs_and_notes;
mod refunds;
mod second_person;

use crate::harness::{Answer, Client, World, command};
use serde_json::{Value, json};

/// Acts through the API.
pub async fn act(ops: &Client, order: &str, act: &str, body: &Value) -> Answer {
    ops.post(&format!("/v1/ops/orders/{order}/{act}"), body).await
}

/// What can be done to the order, as the API says.
pub async fn possible(ops: &Client, order: &str) -> Value {
    ops.get(&format!("/v1/ops/orders/{order}/acts")).await.expect(200).clone()
}

/// Runs the command line; whether it succeeded, and what it printed.
pub fn farebox(world: &World, args: &[&str]) -> (bool, String) {
    let output = command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, &[]).args(args).output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&printed).into_owned())
}

/// The rows of the audit log about the order, oldest first: act, interface and reason.
pub async fn logged(world: &World, order: &str) -> Vec<(String, String, String)> {
    let log = world.ops.get(&format!("/v1/ops/audit?limit=100&order={order}")).await;
    let items = log.expect(200)["items"].as_array().unwrap().clone();
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let acts = items.iter().rev().filter(|entry| entry["act"] != "order_read");
    acts.map(|entry| (text(entry, "act"), text(entry, "through"), text(entry, "reason"))).collect()
}

/// A row as [`logged`] gives it.
pub fn row(act: &str, through: &str, reason: &str) -> (String, String, String) {
    (act.to_owned(), through.to_owned(), reason.to_owned())
}

/// The reasons of the order's history, oldest first.
pub async fn history(world: &World, order: &str) -> Vec<String> {
    let sql = "select reason from order_event where order_id = $1::uuid order by at";
    sqlx::query_scalar(sql).bind(order).fetch_all(&world.pool).await.unwrap()
}

pub fn because(reason: &str) -> Value {
    json!({ "reason": reason })
}
