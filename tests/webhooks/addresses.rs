//! Where production sends events to: public addresses alone, whatever a name resolves to.

use super::{paid, quick_worker};
use crate::harness::{PRODUCTION, World, until};
use serde_json::json;
use std::{io, net::TcpListener};

#[tokio::test(flavor = "multi_thread")]
async fn production_connects_to_no_address_inside() {
    let world = World::with(&PRODUCTION).await;
    // A service inside the network, under names and addresses that lead to it.
    let inside = TcpListener::bind("127.0.0.1:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let port = inside.local_addr().unwrap().port();
    let new =
        |url: &str| json!({ "name": "inside", "url": url, "kinds": ["order.paid"], "reason": "a test" });
    for (wrong, rule) in [
        (format!("http://localhost:{port}/"), "https://"),
        (format!("https://127.0.0.1:{port}/"), "a public address"),
        (format!("https://[::1]:{port}/"), "a public address"),
        (format!("https://[::ffff:127.0.0.1]:{port}/"), "a public address"),
    ] {
        let refused = world.ops.post("/v1/ops/webhooks", &new(&wrong)).await;
        refused.expect(422);
        assert!(refused.text.contains(rule), "{wrong}: {}", refused.text);
    }
    // A name is read as any other, and so is an address in a spelling that is no address by the book.
    let mut webhooks = Vec::new();
    for (url, error) in [
        (format!("https://localhost:{port}/"), "localhost has no public address"),
        (format!("https://0x7f.1:{port}/"), "0x7f.1 has no "),
    ] {
        let added = world.ops.post("/v1/ops/webhooks", &new(&url)).await;
        webhooks.push((added.expect(201)["id"].as_str().unwrap().to_owned(), error));
    }
    let (rider, trip) = (world.rider("100.00").await, world.trip(5).await);
    let _worker = quick_worker(&world, &PRODUCTION);
    paid(&rider, &trip, 1..=1).await;
    for (webhook, error) in webhooks {
        until("its error is in the log", || async {
            let log = world.ops.get(&format!("/v1/ops/webhooks/{webhook}/deliveries")).await;
            let last = log.expect(200)["items"][0]["last_error"].as_str().unwrap_or_default().to_owned();
            last.starts_with(error)
        })
        .await;
    }
    assert_eq!(inside.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "nothing has connected");
}
