//! The log of deliveries: pages, redelivery in bulk, and what becomes of old rows.

use super::{Webhook, paid, quick_worker};
use crate::harness::{Answers, Receiver, World, count, until};
use serde_json::json;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_pages_and_states() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let webhook = Webhook::add(&world, &receiver, &["order.paid"]).await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(20).await);
    let _worker = quick_worker(&world, &[]);
    paid(&rider, &trip, 1..=7).await;
    receiver.has_taken(7).await;
    until("all are recorded", || async { webhook.log(&world, "delivered").await.len() == 7 }).await;
    let (mut seen, mut after) = (BTreeSet::new(), String::new());
    for expected in [3, 3, 1] {
        let path = format!("/v1/ops/webhooks/{}/deliveries?limit=3{after}", webhook.id);
        let page = world.ops.get(&path).await;
        let items = page.expect(200)["items"].as_array().unwrap();
        assert_eq!(items.len(), expected);
        assert_eq!(page.headers.contains_key("link"), page.body["next"].is_string());
        seen.extend(items.iter().map(|one| one["event_id"].as_str().unwrap().to_owned()));
        after = page.body["next"].as_str().map_or(String::new(), |next| format!("&after={next}"));
    }
    assert!(after.is_empty() && seen == receiver.taken().into_keys().collect());
    for wrong in ["state=open", "after=x", "limit=0"] {
        world.ops.get(&format!("/v1/ops/webhooks/{}/deliveries?{wrong}", webhook.id)).await.expect(422);
    }
    world.ops.get("/v1/ops/webhooks/0193fa1c-2e7b-7c3d-9a41-b6f0c8d2e511/deliveries").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_failed_is_sent_again_together() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    receiver.now_answers(Answers::With(500));
    let webhook = Webhook::add(&world, &receiver, &["order.paid"]).await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(20).await);
    let _worker = quick_worker(&world, &[("FAREBOX__WEBHOOKS__GIVE_UP_SECS", "1")]);
    paid(&rider, &trip, 1..=5).await;
    // Those that were paused past their end are given up by the maintenance, which is made due.
    until("all are given up", || async {
        sqlx::query("update queue.maintenance_task set next_at = now() where name = 'farebox_prune'")
            .execute(&world.pool)
            .await
            .unwrap();
        webhook.log(&world, "failed").await.len() == 5
    })
    .await;
    receiver.now_answers(Answers::With(200));
    let path = format!("/v1/ops/webhooks/{}/redeliver", webhook.id);
    let again = world.ops.key("again").post(&path, &json!({ "reason": "it is back" })).await;
    assert_eq!(again.expect(202), &json!({ "redelivered": 5, "more": false }));
    let same = world.ops.key("again").post(&path, &json!({ "reason": "it is back" })).await;
    assert_eq!(same.expect(202)["redelivered"], 5, "the key's answer");
    receiver.has_taken(5).await;
    webhook.act(&world, "disable").await;
    world.ops.post(&path, &json!({ "reason": "it is off" })).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_events_are_deleted_and_then_removed_webhooks() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let webhook = Webhook::add(&world, &receiver, &["order.paid"]).await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(20).await);
    let _worker = quick_worker(&world, &[]);
    paid(&rider, &trip, 1..=3).await;
    receiver.has_taken(3).await;
    world.drained().await;
    webhook.act(&world, "remove").await;
    assert_eq!(webhook.log(&world, "delivered").await.len(), 3, "its log stays");
    sqlx::query("update webhook_event set created_at = now() - interval '31 days'")
        .execute(&world.pool)
        .await
        .unwrap();
    until("nothing is left", || async {
        sqlx::query("update queue.maintenance_task set next_at = now() where name = 'farebox_prune'")
            .execute(&world.pool)
            .await
            .unwrap();
        count(&world.pool, "select count(*) from webhook_endpoint").await == 0
    })
    .await;
    assert_eq!(count(&world.pool, "select count(*) from webhook_event").await, 0);
}
