//! `farebox webhooks …` does what the API does, with the same rows of the audit log.

use super::{Webhook, paid, quick_worker};
use crate::harness::{Answers, Receiver, World, command, until};
use serde_json::Value;

/// What the command prints, and whether it did what it was for.
fn farebox(world: &World, args: &[&str]) -> (bool, String) {
    let program =
        command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, &[]).arg("webhooks").args(args).output();
    let output = program.unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_kept_from_the_shell() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let why = ["--reason", "a test"];
    let all = |args: &[&str]| farebox(&world, &[args, &why].concat());
    let url = receiver.url();
    let (done, said) =
        all(&["add", "--name", "books", "--url", &url, "--kinds", "order.paid,order.refunded", "--json"]);
    assert!(done, "{said}");
    let added: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let id = added["id"].as_str().unwrap();
    assert_eq!(added["kinds"], serde_json::json!(["order.paid", "order.refunded"]));
    for (args, rule) in [
        (vec!["add", "--name", "x", "--url", "http://10.0.0.1/"], "--url"),
        (vec!["add", "--name", "", "--url", &url], "--name"),
        (vec!["add", "--name", "x", "--url", &url, "--kinds", "order.pay"], "order.paid"),
        (vec!["disable", "0193fa1c-2e7b-7c3d-9a41-b6f0c8d2e511"], "no such webhook"),
        (vec!["redeliver", id, "--event", "x"], "no such delivery"),
    ] {
        let (done, said) = all(&args);
        assert!(!done && said.contains(rule), "{args:?}: {said}");
    }
    let secret = super::read_secret(&world, id).await;
    let webhook = Webhook { id: id.to_owned(), secret };
    let (done, said) = all(&["secret", id]);
    assert!(done && said.contains(&webhook.secret), "the same as the API's");
    for act in ["disable", "enable", "rotate"] {
        assert!(all(&[act, id]).0, "{act}");
    }
    receiver.now_answers(Answers::With(500));
    let (rider, trip) = (world.rider("100.00").await, world.trip(5).await);
    let worker = quick_worker(&world, &[("FAREBOX__WEBHOOKS__GIVE_UP_SECS", "1")]);
    paid(&rider, &trip, 1..=1).await;
    until("it is given up", || async { webhook.log(&world, "failed").await.len() == 1 }).await;
    let (done, said) = farebox(&world, &["deliveries", id, "--state", "failed"]);
    assert!(done && said.contains("order.paid failed") && said.contains("answered 500"), "{said}");
    receiver.now_answers(Answers::With(200));
    let (done, said) = all(&["redeliver", id]);
    assert!(done && said.contains("1 are sent again"), "{said}");
    receiver.has_taken(1).await;
    drop(worker);
    assert!(all(&["remove", id]).0);
    let (done, said) = farebox(&world, &["list"]);
    assert!(done && !said.contains(id), "{said}");
    let log = world.ops.get(&format!("/v1/ops/audit?subject={id}&limit=100")).await;
    let through =
        log.expect(200)["items"].as_array().unwrap().iter().filter(|row| row["through"] == "cli").count();
    assert_eq!(through, 7, "{}", log.text);
}
