//! The clients' book: its Python checks what is really sent.

use super::{Webhook, paid, quick_worker};
use crate::harness::{Hook, Receiver, World, tools};
use serde_json::json;
use std::{
    io::Write,
    process::{Command, Stdio},
};

const BOOK: &str = include_str!("../../docs/clients/webhooks.md");
/// Calls the book's function with what a receiver has.
const CALL: &str = "
import json, sys
given = json.load(sys.stdin)
print(verify(given['secret'], given['headers'], given['body'].encode()))
";

/// What the book's function says of a request: the event's id, or its error.
fn verified(secret: &str, hook: &Hook, body: &str, timestamp: &str) -> Result<String, String> {
    let function = BOOK.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let mut python = Command::new("python3")
        .args(["-c", &format!("{function}{CALL}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let header = |name: &str| hook.headers[name].to_str().unwrap();
    let headers = json!({
        "webhook-id": hook.id(), "webhook-timestamp": timestamp, "webhook-signature": header("webhook-signature"),
    });
    let given = json!({ "secret": secret, "headers": headers, "body": body });
    python.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_of_the_book_checks_a_signature() {
    tools::need(&["python3-venv"]);
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let webhook = Webhook::add(&world, &receiver, &["order.paid"]).await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(5).await);
    let _worker = quick_worker(&world, &[]);
    paid(&rider, &trip, 1..=1).await;
    let hook = &receiver.has(1).await[0];
    let body = std::str::from_utf8(&hook.bytes).unwrap();
    let at = hook.headers["webhook-timestamp"].to_str().unwrap();
    assert_eq!(verified(&webhook.secret, hook, body, at), Ok(hook.id().to_owned()));
    webhook.act(&world, "rotate").await;
    let other = super::read_secret(&world, &webhook.id).await;
    for (secret, body) in [(&other, body.to_owned()), (&webhook.secret, body.replace("4.00", "0.00"))] {
        let said = verified(secret, hook, &body, at).unwrap_err();
        assert!(said.ends_with("ValueError: no signature fits"), "{said}");
    }
    let old = (at.parse::<i64>().unwrap() - 3_600).to_string();
    let said = verified(&webhook.secret, hook, body, &old).unwrap_err();
    assert!(said.contains("five minutes"), "{said}");
}
