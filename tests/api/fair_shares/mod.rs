//! What one client takes from the others: turns for hashing, connections, attempts at passwords,
//! requests, stored answers and seats. In production mode, behind a proxy that names the client.

mod connections;
mod guessing;
mod hashing;
mod holds;
mod memory;
mod routes;
mod strict_heads;

use crate::harness::{Client, Process, World};
use reqwest::Response;
use serde_json::{Value, json};

/// Production, with limits, behind one proxy.
const PRODUCTION: [(&str, &str); 4] = [
    ("FAREBOX_ENV", "production"),
    ("FAREBOX__FAULTS__ENABLED", "false"),
    ("FAREBOX__LIMITS__ENABLED", "true"),
    ("FAREBOX__HTTP__TRUSTED_PROXIES", "1"),
];

/// A world in production, with more settings.
async fn world(more: &[(&str, &str)]) -> World {
    World::with(&[&PRODUCTION, more].concat()).await
}

/// A request of a client at this address.
async fn post(api: &Process, path: &str, body: &Value, from: &str) -> Response {
    let request = reqwest::Client::new().post(format!("{}{path}", api.base()));
    request.header("x-forwarded-for", from).body(body.to_string()).send().await.unwrap()
}

/// The status of a sign-in from this address.
async fn sign_in(api: &Process, name: &str, password: &str, from: &str) -> u16 {
    let body = json!({ "user_name": name, "password": password });
    post(api, "/v1/sessions", &body, from).await.status().as_u16()
}

/// Registers over HTTP, with the cost of a hash that the API has.
async fn register(api: &Process, name: &str, from: &str) -> u16 {
    let body = json!({ "user_name": name, "password": crate::harness::PASSWORD,
                       "pay_password": crate::harness::PAY_PASSWORD });
    post(api, "/v1/riders", &body, from).await.status().as_u16()
}

/// The value of a metric, zero if it is not there.
async fn metric(client: &Client, name: &str) -> u64 {
    let text = client.get("/metrics").await.text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.trim().parse().unwrap())
}
