//! Adding, changing and removing webhooks.

use super::{Webhook, paid, quick_worker, read_secret};
use crate::harness::{Receiver, World, count, until};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_receiver_is_refused_by_field_and_rule() {
    let world = World::new().await;
    let fine = json!({ "name": "books", "url": "https://example.com/in", "kinds": ["order.paid"], "reason": "a test" });
    for (field, value) in [
        ("url", json!("http://10.0.0.1/in")),
        ("url", json!("http://169.254.169.254/latest/meta-data")),
        ("url", json!("https://[::ffff:10.0.0.1]/in")),
        ("url", json!("https://a:b@example.com/")),
        ("url", json!("ftp://example.com/")),
        ("url", json!("")),
        ("name", json!("")),
        ("name", json!("x".repeat(101))),
        ("kinds", json!([])),
        ("kinds", json!(["order.pay"])),
        ("reason", json!(" ")),
    ] {
        let mut body = fine.clone();
        body[field] = value.clone();
        let refused = world.ops.post("/v1/ops/webhooks", &body).await;
        refused.expect(422);
        assert!(refused.text.contains(&format!("/{field}")), "{field} {value}: {}", refused.text);
    }
    world.ops.post("/v1/ops/webhooks", &fine).await.expect(201);
    assert_eq!(count(&world.pool, "select count(*) from webhook_endpoint").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_never_more_than_thirty_two() {
    let world = World::new().await;
    let body = json!({ "name": "one", "url": "https://example.com/in", "kinds": ["order.paid"], "reason": "a test" });
    let adding = (0..40).map(|_| world.ops.post("/v1/ops/webhooks", &body));
    let added = futures_util::future::join_all(adding).await;
    assert!(added.iter().all(|answer| [201, 422].contains(&answer.status.as_u16())), "{added:?}");
    let mut there = count(&world.pool, "select count(*) from webhook_endpoint").await;
    while there < 32 {
        world.ops.post("/v1/ops/webhooks", &body).await.expect(201);
        there += 1;
    }
    world.ops.post("/v1/ops/webhooks", &body).await.expect(422);
    let all = world.ops.get("/v1/ops/webhooks").await;
    let first = all.expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
    let remove = format!("/v1/ops/webhooks/{first}/remove");
    world.ops.post(&remove, &json!({ "reason": "room" })).await.expect(200);
    world.ops.post(&remove, &json!({ "reason": "room" })).await.expect(404);
    world.ops.post("/v1/ops/webhooks", &body).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_signed_by_both_secrets() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let webhook = Webhook::add(&world, &receiver, &["order.paid"]).await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(5).await);
    let _worker = quick_worker(&world, &[]);
    assert!(webhook.act(&world, "rotate").await["old_secret_until"].is_string());
    let fresh = read_secret(&world, &webhook.id).await;
    assert_ne!(fresh, webhook.secret);
    paid(&rider, &trip, 1..=1).await;
    let hooks = receiver.has(1).await;
    assert!(hooks[0].is_signed_by(&fresh) && hooks[0].is_signed_by(&webhook.secret));
    sqlx::query("update webhook_endpoint set old_until = now()").execute(&world.pool).await.unwrap();
    paid(&rider, &trip, 2..=2).await;
    let hooks = receiver.has(2).await;
    assert!(hooks[1].is_signed_by(&fresh) && !hooks[1].is_signed_by(&webhook.secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_act_is_recorded_with_its_reason_and_no_secret_is_stored() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let webhook = Webhook::add(&world, &receiver, &["order.paid"]).await;
    for act in ["disable", "enable", "rotate"] {
        webhook.act(&world, act).await;
    }
    let path = format!("/v1/ops/webhooks/{}/change", webhook.id);
    let body = json!({ "name": "books", "kinds": ["trip.cancelled", "order.paid", "order.paid"], "reason": "a test" });
    let changed = world.ops.post(&path, &body).await;
    assert_eq!(changed.expect(200)["kinds"], json!(["order.paid", "trip.cancelled"]));
    webhook.act(&world, "remove").await;
    let log = world.ops.get(&format!("/v1/ops/audit?subject_kind=webhook&subject={}", webhook.id)).await;
    let acts: Vec<&str> =
        log.expect(200)["items"].as_array().unwrap().iter().map(|row| row["act"].as_str().unwrap()).collect();
    let expected = [
        "webhook_remove",
        "webhook_change",
        "webhook_rotate",
        "webhook_enable",
        "webhook_disable",
        "webhook_secret_read",
        "webhook_add",
    ];
    assert_eq!(acts, expected);
    let secret = webhook.secret.trim_start_matches("whsec_");
    for table in ["audit", "idempotency", "webhook_endpoint"] {
        let sql = format!("select count(*) from {table} t where t::text like '%' || $1 || '%'");
        let found: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(secret).fetch_one(&world.pool).await.unwrap();
        assert_eq!(found, 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_job_is_put_back() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let webhook = Webhook::add(&world, &receiver, &["order.paid"]).await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(5).await);
    receiver.now_answers(crate::harness::Answers::With(500));
    let slow =
        [("FAREBOX__WEBHOOKS__FIRST_WAIT_MS", "60000"), ("FAREBOX__WEBHOOKS__LONGEST_WAIT_SECS", "60")];
    let worker = quick_worker(&world, &slow);
    paid(&rider, &trip, 1..=1).await;
    until("it waits", || async {
        webhook.log(&world, "pending").await.iter().any(|one| one["attempts"] == 1)
    })
    .await;
    drop(worker);
    sqlx::query("delete from queue.job where tag = 'webhook_delivery'").execute(&world.pool).await.unwrap();
    sqlx::query("update webhook_delivery set due_at = now()").execute(&world.pool).await.unwrap();
    let broken = world.ops.get("/v1/ops/verify").await;
    let named = broken.expect(200)["invariants"].as_array().unwrap().iter();
    let named: Vec<_> = named.filter(|one| one["holds"] == false).map(|one| one["name"].clone()).collect();
    assert_eq!(named, ["webhooks_are_carried_on"]);
    receiver.now_answers(crate::harness::Answers::With(200));
    let _worker = quick_worker(&world, &[]);
    receiver.has_taken(1).await;
}
