//! Which change makes which event, and what the event says.

use super::{ALL, Webhook, paid, quick_worker};
use crate::harness::{Receiver, World, count};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The events of this kind, by their data.
fn of_kind(receiver: &Receiver, kind: &str) -> Vec<Value> {
    receiver.hooks().iter().filter(|hook| hook.kind() == kind).map(|hook| hook.body["data"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_one_signed_event() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let webhook = Webhook::add(&world, &receiver, &ALL).await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(20).await);
    let [one, two] = paid(&rider, &trip, 1..=2).await.try_into().unwrap();
    rider.refund(&two).await.expect(200);
    let overdue = rider.booked(&trip, &["3", "4"]).await;
    world.pass_deadline(&overdue).await;
    let failed = rider.fault("order_calc_money_cancle.before=error").book(&trip, &["5"]).await;
    let lost = failed.problem(500, "003099")["order_id"].as_str().unwrap().to_owned();
    let _worker = quick_worker(&world, &[]);
    let other = world.trip(5).await;
    world.ops.post(&format!("/v1/ops/trips/{other}/cancel"), &json!({ "reason": "snow" })).await.expect(202);
    receiver.has_taken(6).await;
    world.drained().await;

    let hooks = receiver.hooks();
    let ids: BTreeSet<&str> = hooks.iter().map(|hook| hook.id()).collect();
    assert_eq!((hooks.len(), ids.len()), (6, 6), "{hooks:?}");
    for hook in &hooks {
        assert!(hook.is_signed_by(&webhook.secret), "{hook:?}");
        assert!(!hook.is_signed_by("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        assert_eq!(hook.headers["content-type"], "application/json");
        assert!(chrono::DateTime::parse_from_rfc3339(hook.body["timestamp"].as_str().unwrap()).is_ok());
        assert!(!hook.body.to_string().contains(&rider.id.to_string()), "no rider is named");
    }
    let order = &of_kind(&receiver, "order.paid").into_iter().find(|data| data["order_id"] == one).unwrap();
    assert_eq!(
        (&order["trip_id"], &order["seats"], &order["amount"], &order["status"]),
        (&json!(trip), &json!(["1"]), &json!("4.00"), &json!("paid"))
    );
    assert!(order["paid_at"].is_string() && order["currency"].is_string());
    let refunded = &of_kind(&receiver, "order.refunded")[0];
    assert_eq!((&refunded["order_id"], &refunded["refunded"]), (&json!(two), &json!("4.00")));
    let expired = &of_kind(&receiver, "hold.expired")[0];
    assert_eq!((&expired["order_id"], &expired["status"]), (&json!(overdue), &json!("closed")));
    let cancelled = &of_kind(&receiver, "trip.cancelled")[0];
    assert_eq!(cancelled["trip_id"], json!(other));
    let undone = &of_kind(&receiver, "rollback.done")[0];
    assert_eq!(
        (&undone["order_id"], &undone["tag"]),
        (&json!(lost), &json!("order_calc_money_cancle")),
        "{undone}"
    );
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_is_given_up_is_an_event_each_time() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    Webhook::add(&world, &receiver, &["rollback.failed", "rollback.done"]).await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(5).await);
    let order = rider.booked(&trip, &["1"]).await;
    rider.fault("pay_cancle.before=error").pay(&order).await.problem(500, "003099");
    sqlx::query("update queue.job set max_attempts = 1 where tag = 'pay_cancle'")
        .execute(&world.pool)
        .await
        .unwrap();
    let broken = ("FAREBOX_FAULTS", "undo.pay_cancle.before=error:2");
    let _worker = quick_worker(&world, &[broken]);
    receiver.has_taken(1).await;
    // Redriven, it fails once more, and is another event; then it is done.
    for taken in 2..=3 {
        world.ops.post("/v1/ops/dead-letters/redrive", &json!({ "tag": "pay_cancle" })).await.expect(200);
        receiver.has_taken(taken).await;
        sqlx::query("update queue.dead_letter set max_attempts = 1").execute(&world.pool).await.unwrap();
    }
    let failed = of_kind(&receiver, "rollback.failed");
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert_eq!((&failed[0]["order_id"], &failed[0]["result"]), (&json!(order), &json!("exhausted")));
    assert!(failed[0]["payment_id"].is_string());
    assert_eq!(of_kind(&receiver, "rollback.done").len(), 1);
}

/// The trigger's list of tags is that of the steps.
#[tokio::test]
async fn every_rollback_that_dies_is_announced() {
    let world = World::new().await;
    let sql = "select pg_get_triggerdef(oid) from pg_trigger where tgname = 'dead_rollback_is_announced'";
    let trigger: String = sqlx::query_scalar(sql).fetch_one(&world.pool).await.unwrap();
    for tag in farebox_jobs::MqTag::ALL {
        let is_step = farebox_jobs::MqTag::STEPS.contains(&tag);
        assert_eq!(trigger.contains(&format!("'{tag}'")), is_step, "{tag}: {trigger}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_webhook_of_the_kind_nothing_is_enqueued() {
    let world = World::new().await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(20).await);
    let enqueued = "select count(*) from queue.job where tag = 'webhook_event'";
    paid(&rider, &trip, 1..=2).await;
    assert_eq!(count(&world.pool, enqueued).await, 0);
    let receiver = Receiver::start().await;
    let webhook = Webhook::add(&world, &receiver, &["order.refunded"]).await;
    let orders = paid(&rider, &trip, 3..=4).await;
    assert_eq!(count(&world.pool, enqueued).await, 0);
    webhook.act(&world, "disable").await;
    rider.refund(&orders[0]).await.expect(200);
    assert_eq!(count(&world.pool, enqueued).await, 0);
    webhook.act(&world, "enable").await;
    rider.refund(&orders[1]).await.expect(200);
    assert_eq!(count(&world.pool, enqueued).await, 1);
    let policy = "select count(*) from queue.job where tag = 'webhook_event' and max_attempts = 600
                  and run_at <= now() and substr(id::text, 15, 1) = '7'";
    assert_eq!(count(&world.pool, policy).await, 1, "the policy of the typed job, and a UUIDv7");
    use farebox_jobs::queue::Job;
    assert_eq!(farebox_jobs::WebhookEvent::RETRY.max_attempts, 600, "as `announce` has it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_repeated_makes_no_second_event() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    Webhook::add(&world, &receiver, &["order.paid"]).await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(20).await);
    let order = rider.booked(&trip, &["1"]).await;
    for _ in 0..3 {
        rider.key("pay once").pay(&order).await.expect(200);
    }
    // The statement of the change, made again as after a lost answer: also once the first job has ended.
    let again = "select announce('order.paid', array[$1::uuid], null)";
    let _worker = quick_worker(&world, &[]);
    receiver.has_taken(1).await;
    world.drained().await;
    sqlx::query(again).bind(&order).execute(&world.pool).await.unwrap();
    world.drained().await;
    assert_eq!(receiver.hooks().len(), 1);
    assert_eq!(count(&world.pool, "select count(*) from webhook_event").await, 1);
}
