//! Requests as text, so that a connection can be dropped at any byte of them.

use crate::{
    console::ConsoleSession,
    harness::{Client, World},
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use uuid::Uuid;

/// The console's forms for one rider.
pub struct Forms {
    cookie: String,
    csrf: String,
    path: String,
}

impl Forms {
    pub async fn of(world: &World, rider: &Client) -> Self {
        let session = ConsoleSession::enter(world, "ops").await;
        let path = format!("/console/riders/{}/top-up", rider.id);
        let csrf = session.hidden(&path, "csrf").await;
        Self { cookie: session.cookie, csrf, path }
    }

    pub fn top_up(&self, reference: &str) -> String {
        let fields = [
            ("csrf", self.csrf.as_str()),
            ("reason", "a form that nobody waits for"),
            ("amount", "1.00"),
            ("reference", reference),
        ];
        let body = serde_urlencoded::to_string(fields).unwrap();
        format!(
            "POST {} HTTP/1.1\r\nhost: farebox\r\ncookie: {}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\n\r\n{body}",
            self.path,
            self.cookie,
            body.len()
        )
    }
}

pub fn evaluation(rider: &Client, order: Uuid) -> String {
    request("POST", &format!("/v1/orders/{order}/evaluation"), rider, &json!({ "rating": 5 }))
}

pub fn top_up(ops: &Client, rider: &Client, reference: &str) -> String {
    let path = format!("/v1/ops/wallets/{}/top-ups", rider.id);
    request("POST", &path, ops, &json!({ "amount": "1.00", "reference": reference }))
}

pub fn request(method: &str, path: &str, by: &Client, body: &Value) -> String {
    keyed(method, path, by, &Uuid::new_v4().to_string(), body)
}

pub fn keyed(method: &str, path: &str, by: &Client, key: &str, body: &Value) -> String {
    let (who, body) = (by.authorization(), body.to_string());
    format!(
        "{method} {path} HTTP/1.1\r\nhost: farebox\r\nauthorization: {who}\r\nidempotency-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub async fn connect(world: &World) -> TcpStream {
    TcpStream::connect(world.api.base().strip_prefix("http://").unwrap()).await.unwrap()
}

/// A request whose answer is not read; dropping the connection hangs up.
pub async fn send(world: &World, text: &str) -> TcpStream {
    let mut line = connect(world).await;
    line.write_all(text.as_bytes()).await.unwrap();
    line
}
