//! Receivers that are wrong, slow, gone or dead.

use super::{Webhook, paid, quick_worker};
use crate::harness::{Answers, Receiver, World, count, until};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_event_comes_again_with_the_same_id_and_body() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    receiver.now_answers(Answers::With(500));
    let webhook = Webhook::add(&world, &receiver, &["order.paid"]).await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(5).await);
    let _worker = quick_worker(&world, &[]);
    paid(&rider, &trip, 1..=1).await;
    let failed = receiver.has(3).await;
    receiver.now_answers(Answers::With(200));
    receiver.has_taken(1).await;
    for hook in receiver.hooks() {
        assert_eq!((hook.id(), &hook.bytes), (failed[0].id(), &failed[0].bytes));
        assert!(hook.is_signed_by(&webhook.secret), "each attempt has a signature of its own");
    }
    until("it is delivered", || async { webhook.log(&world, "delivered").await.len() == 1 }).await;
    let log = webhook.log(&world, "delivered").await;
    assert!(log[0]["attempts"].as_i64() >= Some(4), "{log:?}");
    assert_eq!(log[0]["last_status"], 200);
    assert_eq!(webhook.now(&world).await["failures"], 0);
}

/// It asks for an hour. What it has refused, and what happens in the pause, comes after the longest pause.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_left_alone_for_the_longest_pause_at_most() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    receiver.now_answers(Answers::Later(3_600));
    let webhook = Webhook::add(&world, &receiver, &["order.paid"]).await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(5).await);
    let long =
        [("FAREBOX__WEBHOOKS__LONGEST_WAIT_SECS", "21600"), ("FAREBOX__WEBHOOKS__LONGEST_PAUSE_MS", "2000")];
    let _worker = quick_worker(&world, &long);
    paid(&rider, &trip, 1..=1).await;
    until("it is paused", || async { webhook.now(&world).await["paused_until"].is_string() }).await;
    receiver.now_answers(Answers::With(204));
    paid(&rider, &trip, 2..=3).await;
    receiver.has_taken(3).await;
}

/// By the waits of its event alone, the twentieth attempt would come after a quarter of an hour.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_receiver_is_tried_after_each_pause_though_its_event_waits_for_longer() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    receiver.now_answers(Answers::With(500));
    Webhook::add(&world, &receiver, &["order.paid"]).await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(5).await);
    let short_first =
        [("FAREBOX__WEBHOOKS__FIRST_WAIT_MS", "1"), ("FAREBOX__WEBHOOKS__LONGEST_WAIT_SECS", "21600")];
    let _worker = quick_worker(&world, &short_first);
    paid(&rider, &trip, 1..=1).await;
    receiver.has(20).await;
    receiver.now_answers(Answers::With(204));
    receiver.has_taken(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_sent_nothing_more() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    receiver.now_answers(Answers::With(410));
    let webhook = Webhook::add(&world, &receiver, &["order.paid"]).await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(5).await);
    let _worker = quick_worker(&world, &[]);
    paid(&rider, &trip, 1..=1).await;
    until("it is disabled", || async { webhook.now(&world).await["state"] == "disabled" }).await;
    assert_eq!(webhook.now(&world).await["disabled_because"], "gone");
    receiver.now_answers(Answers::With(200));
    paid(&rider, &trip, 2..=3).await;
    world.drained().await;
    assert_eq!(receiver.hooks().len(), 1);
    assert_eq!(webhook.log(&world, "failed").await.len(), 1);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    receiver.now_answers(Answers::Elsewhere("/elsewhere"));
    let webhook = Webhook::add(&world, &receiver, &["order.paid"]).await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(5).await);
    let _worker = quick_worker(&world, &[]);
    paid(&rider, &trip, 1..=1).await;
    let hooks = receiver.has(2).await;
    assert!(hooks.iter().all(|hook| hook.path == "/in"), "{hooks:?}");
    until("its status is in the log", || async {
        webhook.log(&world, "pending").await.iter().any(|one| one["last_status"] == 302)
    })
    .await;
}

/// What a receiver sends back is bounded, by size and by time, and its status counts.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_an_end_is_one_delivery() {
    let world = World::new().await;
    let (endless, halting) = (Receiver::start().await, Receiver::start().await);
    endless.now_answers(Answers::Endlessly);
    halting.now_answers(Answers::Haltingly);
    let webhooks = [
        Webhook::add(&world, &endless, &["order.paid"]).await,
        Webhook::add(&world, &halting, &["order.paid"]).await,
    ];
    let (rider, trip) = (world.rider("100.00").await, world.trip(5).await);
    let _worker = quick_worker(&world, &[("FAREBOX__WEBHOOKS__TIMEOUT_MS", "1000")]);
    paid(&rider, &trip, 1..=3).await;
    world.drained().await;
    for (webhook, receiver) in webhooks.iter().zip([&endless, &halting]) {
        let log = webhook.log(&world, "delivered").await;
        assert_eq!((log.len(), receiver.hooks().len()), (3, 3), "{log:?}");
        assert!(log.iter().all(|one| one["attempts"] == 1 && one["last_status"] == 200), "{log:?}");
    }
}

/// A silent receiver is given up on in time, and its log says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_receiver_is_left_after_the_limit() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    receiver.now_answers(Answers::Never);
    let webhook = Webhook::add(&world, &receiver, &["order.paid"]).await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(5).await);
    let _worker = quick_worker(&world, &[("FAREBOX__WEBHOOKS__TIMEOUT_MS", "300")]);
    paid(&rider, &trip, 1..=1).await;
    receiver.has(2).await;
    let log = webhook.log(&world, "pending").await;
    assert_eq!(log[0]["last_error"], "no answer within 300 ms");
    receiver.now_answers(Answers::With(204));
    receiver.has_taken(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_is_in_the_log_and_can_be_sent_again() {
    let world = World::with(&[("FAREBOX__WEBHOOKS__GIVE_UP_SECS", "60")]).await;
    let receiver = Receiver::start().await;
    receiver.now_answers(Answers::With(500));
    let webhook = Webhook::add(&world, &receiver, &["order.paid"]).await;
    let (rider, trip) = (world.rider("100.00").await, world.trip(5).await);
    let _worker = quick_worker(&world, &[("FAREBOX__WEBHOOKS__GIVE_UP_SECS", "1")]);
    paid(&rider, &trip, 1..=1).await;
    until("it is given up", || async { webhook.log(&world, "failed").await.len() == 1 }).await;
    let log = webhook.log(&world, "failed").await;
    assert_eq!(log[0]["last_error"], "answered 500");
    receiver.now_answers(Answers::With(200));
    let path = format!(
        "/v1/ops/webhooks/{}/deliveries/{}/redeliver",
        webhook.id,
        log[0]["event_id"].as_str().unwrap()
    );
    let body = serde_json::json!({ "reason": "it is back" });
    world.ops.post(&path, &body).await.expect(202);
    receiver.has_taken(1).await;
    let ids = receiver.taken();
    assert_eq!(ids.into_keys().collect::<Vec<_>>(), [log[0]["event_id"].as_str().unwrap()]);
    // What its row forgets when it is sent once more, the audit log keeps.
    until("it is delivered", || async { webhook.log(&world, "delivered").await.len() == 1 }).await;
    let delivered_at = webhook.log(&world, "delivered").await[0]["delivered_at"].clone();
    world.ops.post(&path, &body).await.expect(202);
    let acts = "select jsonb_agg(detail order by id) from audit where act = 'webhook_redeliver'";
    let acts: serde_json::Value = sqlx::query_scalar(acts).fetch_one(&world.pool).await.unwrap();
    assert_eq!(
        (&acts[0]["last_error"], &acts[0]["delivered_at"]),
        (&log[0]["last_error"], &serde_json::Value::Null)
    );
    assert_eq!((&acts[1]["last_error"], &acts[1]["delivered_at"]), (&serde_json::Value::Null, &delivered_at));
}

/// Two receivers never answer, one does not listen, one is slow. The fifth, and the undos, do not notice.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_or_slow_receiver_delays_nobody() {
    let world = World::new().await;
    let slots = [("FAREBOX__WORKER__CONCURRENCY", "24"), ("FAREBOX__WEBHOOKS__TIMEOUT_MS", "30000")];
    let (silent, other) = (Receiver::start().await, Receiver::start().await);
    let (mut dead, slow, well) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    silent.now_answers(Answers::Never);
    other.now_answers(Answers::Never);
    slow.now_answers(Answers::Slowly(Duration::from_secs(2)));
    for receiver in [&silent, &other, &dead, &slow, &well] {
        Webhook::add(&world, receiver, &["order.paid"]).await;
    }
    dead.kill().await;
    let (rider, trip) = (world.rider("1000.00").await, world.trip(50).await);
    let worker = quick_worker(&world, &slots);
    paid(&rider, &trip, 1..=1).await;
    silent.has(1).await;
    other.has(1).await;
    // The silent ones hold their slots for 30 seconds from now on.
    let begun = std::time::Instant::now();
    paid(&rider, &trip, 2..=30).await;
    well.has_taken(30).await;
    let overdue = rider.booked(&trip, &["40"]).await;
    world.pass_deadline(&overdue).await;
    until("the timer has run", || async { world.order(&overdue).await["status"] == "closed" }).await;
    rider.fault("order_calc_money_cancle.before=error").book(&trip, &["41"]).await.problem(500, "003099");
    let undo = "select count(*) from queue.job where tag = 'order_calc_money_cancle'";
    until("the undo is done", || async { count(&world.pool, undo).await == 0 }).await;
    let took = begun.elapsed();
    assert!(silent.taken().is_empty() && other.taken().is_empty(), "they are still asked: {took:?}");
    assert!(slow.taken().len() < 30, "the slow one is behind: {took:?}");
    drop(worker);
    dead.restart().await;
    silent.now_answers(Answers::With(200));
    other.now_answers(Answers::With(200));
    slow.now_answers(Answers::With(200));
    let _worker = quick_worker(&world, &[("FAREBOX__WORKER__LEASE_MS", "1000")]);
    for receiver in [&silent, &other, &dead, &slow] {
        receiver.has_taken(30).await;
    }
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_again_and_again_is_paused_and_probed() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    receiver.now_answers(Answers::With(503));
    let webhook = Webhook::add(&world, &receiver, &["order.paid"]).await;
    let (rider, trip) = (world.rider("1000.00").await, world.trip(50).await);
    paid(&rider, &trip, 1..=40).await;
    let long = ("FAREBOX__WEBHOOKS__LONGEST_PAUSE_MS", "60000");
    let slow = ("FAREBOX__WEBHOOKS__FIRST_WAIT_MS", "30000");
    let worker = quick_worker(&world, &[long, slow, ("FAREBOX__WEBHOOKS__LONGEST_WAIT_SECS", "60")]);
    until("it is paused", || async { webhook.now(&world).await["paused_until"].is_string() }).await;
    let tried = receiver.hooks().len();
    assert!((10..=16).contains(&tried), "of 40 events, the rest is not tried: {tried}");
    drop(worker);
    // An operator who knows that it is back need not wait.
    receiver.now_answers(Answers::With(200));
    webhook.act(&world, "disable").await;
    webhook.act(&world, "enable").await;
    let _worker = quick_worker(&world, &[("FAREBOX__WORKER__LEASE_MS", "1000")]);
    receiver.has_taken(40 - tried).await;
}
