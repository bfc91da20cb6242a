//! What operators read: pages in both languages, tags, invariants.

use crate::{console::session::ConsoleSession, harness::Client};
use serde_json::Value;

pub const SAFE: [&str; 4] =
    ["Seats and money are safe", "Nothing is stuck", "every invariant holds", "座位与资金安全"];

pub fn in_chinese(session: &ConsoleSession) -> ConsoleSession {
    ConsoleSession {
        http: session.http.clone(),
        base: session.base.clone(),
        cookie: format!("{}; farebox_lang=zh", session.cookie),
    }
}

#[track_caller]
pub fn says(page: &str, texts: &[&str]) {
    texts.iter().for_each(|text| assert!(page.contains(text), "{text:?} is not in {page}"));
}

#[track_caller]
pub fn says_none(page: &str, texts: &[&str]) {
    texts.iter().for_each(|text| assert!(!page.contains(text), "{text:?} is in {page}"));
}

pub async fn of_tag(ops: &Client, tag: &str) -> Value {
    let queues = ops.get("/v1/ops/queues").await;
    let all = queues.expect(200)["items"].as_array().unwrap();
    all.iter().find(|queue| queue["tag"] == tag).unwrap().clone()
}

pub async fn invariant(ops: &Client, name: &str) -> Value {
    let report = ops.get("/v1/ops/verify").await;
    let all = report.expect(200)["invariants"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap().clone()
}
