//! Booking, cancelling and the unpaid-order timer, without any fault in the system.

use crate::harness::{Answer, Client, World, count, until};
use serde_json::{Value, json};
use std::collections::HashMap;
use tokio::task::JoinHandle;

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_clients_one_gets_the_seat() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    let tries = (0..200).map(|_| {
        let (rider, trip) = (rider.clone(), trip.clone());
        tokio::spawn(async move { rider.book(&trip, &["7"]).await })
    });
    let mut codes = HashMap::new();
    for answer in futures_util::future::join_all(tries).await {
        let answer = answer.unwrap();
        if answer.status == 409 {
            answer.problem(409, "004000");
            assert_eq!(answer.body["seats"], json!(["7"]));
        }
        *codes.entry(answer.status.as_u16()).or_insert(0) += 1;
    }
    assert_eq!(codes, HashMap::from([(201, 1), (409, 199)]));
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_clients_get_twenty_seats() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    let tries = (1..=20).map(|seat| {
        let (rider, trip) = (rider.clone(), trip.clone());
        tokio::spawn(async move { rider.book(&trip, &[&seat.to_string()]).await })
    });
    for answer in futures_util::future::join_all(tries).await {
        answer.unwrap().expect(201);
    }
    let seen = rider.get(&format!("/v1/trips/{trip}")).await;
    assert_eq!(seen.expect(200)["free_seats"], 0);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_seats_in_opposite_order_never_deadlock() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    let sets = [["1", "2", "3"], ["3", "2", "1"], ["2", "3", "4"], ["4", "1", "2"]];
    for _ in 0..10 {
        let tries = sets.iter().cycle().take(16).map(|set| {
            let (rider, trip, set) = (rider.clone(), trip.clone(), *set);
            tokio::spawn(async move { rider.book(&trip, &set).await })
        });
        let mut won = Vec::new();
        for answer in futures_util::future::join_all(tries).await {
            let answer = answer.unwrap();
            if answer.status == 201 {
                won.push(answer.body["id"].as_str().unwrap().to_owned());
            } else {
                answer.problem(409, "004000");
            }
        }
        assert_eq!(won.len(), 1, "any two of the sets overlap");
        rider.cancel(&won[0]).await.expect(200);
    }
    assert_eq!(world.free_seats(&trip).await, 20);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_takes_all_its_seats_or_none() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let (a, b) = (world.rider("0").await, world.rider("0").await);
    a.booked(&trip, &["2"]).await;
    let lost = b.book(&trip, &["3", "2", "1"]).await;
    assert_eq!(lost.problem(409, "004000")["seats"], json!(["2"]));
    assert_eq!(world.free_seats(&trip).await, 19);
    assert_eq!(count(&world.pool, "select count(*) from queue.job where tag <> 'order_unpaid'").await, 0);
}

/// Cancels that come at once share statements; what is wrong with one is nothing to the others.
#[tokio::test(flavor = "multi_thread")]
async fn cancels_that_come_together_are_answered_one_by_one() {
    let world = World::new().await;
    let trip = world.trip(40).await;
    let (rider, other) = (world.rider("100.00").await, world.rider("0").await);
    let mut orders = Vec::new();
    for seat in 1..=16 {
        orders.push(rider.booked(&trip, &[&seat.to_string()]).await);
    }
    let foreign = other.booked(&trip, &["20"]).await;
    rider.pay(&orders[0]).await.expect(200);
    rider.cancel(&orders[1]).await.expect(200);
    let cancel = |client: &Client, order: &str| {
        let (client, order) = (client.clone(), order.to_owned());
        tokio::spawn(async move { client.cancel(&order).await })
    };
    // One key for two orders, another for one order eight times; all others have none.
    let (shared, own) = (rider.key("shared"), rider.key("own"));
    let rivals = [cancel(&shared, &orders[2]), cancel(&shared, &orders[3])];
    let repeats: Vec<_> = (0..8).map(|_| cancel(&own, &orders[4])).collect();
    let refused = [cancel(&rider, &foreign), cancel(&rider, &orders[0]), cancel(&rider, &orders[1])];
    let twice: Vec<_> = (0..2).map(|_| cancel(&rider, &orders[5])).collect();
    let sound: Vec<_> = orders[6..].iter().map(|order| cancel(&rider, order)).collect();

    let answers = async |asked: Vec<JoinHandle<Answer>>| -> Vec<Answer> {
        futures_util::future::join_all(asked).await.into_iter().map(Result::unwrap).collect()
    };
    for (order, answer) in orders[6..].iter().zip(answers(sound).await) {
        let body = answer.expect(200);
        assert_eq!(
            (&body["id"], &body["status"], &body["closed_reason"]),
            (&json!(order), &json!("closed"), &json!("cancelled_by_rider"))
        );
        let shown = rider.get(&format!("/v1/orders/{order}")).await;
        for (field, answered) in body.as_object().unwrap() {
            assert_eq!(&shown.expect(200)[field], answered, "what was answered is what stands");
        }
    }
    let [foreign, paid, closed] = &answers(refused.into()).await[..] else { panic!("three were asked") };
    foreign.problem(404, "003070");
    assert_eq!(paid.problem(409, "006002")["order_status"], "paid");
    assert_eq!(closed.problem(409, "006002")["order_status"], "closed");
    let mut twice = answers(twice).await;
    twice.sort_by_key(|answer| answer.status);
    twice[0].expect(200);
    twice[1].problem(409, "006002");
    let repeats = answers(repeats).await;
    let texts: Vec<&str> =
        repeats.iter().map(|answer| (answer.expect(200), answer.text.as_str()).1).collect();
    assert!(texts.iter().all(|text| text == &texts[0]), "one key, one answer: {texts:?}");
    let mut rivals = answers(rivals.into()).await;
    rivals.sort_by_key(|answer| answer.status);
    rivals[0].expect(200);
    rivals[1].problem(422, "006005");
    // Closed: one before, one of the rivals, the repeated, the one cancelled twice, and the ten.
    // Paid: one. Left: two.
    assert_eq!(count(&world.pool, "select count(*) from orders where status = 'closed'").await, 14);
    assert_eq!(world.free_seats(&trip).await, 40 - 3);
    assert_eq!(count(&world.pool, "select count(*) from queue.job where tag = 'order_unpaid'").await, 2);
    world.verify().await;
}

/// A cancel reads without a lock; what decides is what it finds once it has one.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_waited_for_the_orders_end_changes_nothing() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    let order = rider.booked(&trip, &["5"]).await;
    let rider = rider.key("cancel");
    let mut ending = world.pool.begin().await.unwrap();
    sqlx::query("select from orders where id = $1::uuid for update")
        .bind(&order)
        .execute(&mut *ending)
        .await
        .unwrap();
    let late = tokio::spawn({
        let (rider, order) = (rider.clone(), order.clone());
        async move { rider.cancel(&order).await }
    });
    until("the cancel has looked and waits", || async { world.waiting_for_locks().await == 1 }).await;
    // What the unpaid-order timer does.
    for sql in [
        "update orders set status = 'closed', closed_reason = 'expired', closed_at = now() where id = $1::uuid",
        "update seat set order_id = null, held_until = null where order_id = $1::uuid",
        "insert into order_event (order_id, status, reason) values ($1::uuid, 'closed', 'expired')",
        "delete from queue.job where tag = 'order_unpaid' and key = $1",
    ] {
        sqlx::query(sql).bind(&order).execute(&mut *ending).await.unwrap();
    }
    ending.commit().await.unwrap();
    let refused = late.await.unwrap();
    assert_eq!(refused.problem(409, "006002")["order_status"], "closed");
    assert_eq!(rider.cancel(&order).await.text, refused.text, "its key keeps the refusal");
    assert_eq!(world.order(&order).await["closed_reason"], "expired");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_timer_leaves_the_next_owner_alone() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let (a, b) = (world.rider("0").await, world.rider("10.00").await);
    let first = a.booked(&trip, &["5"]).await;
    let timer: Value = sqlx::query_scalar("select payload from queue.job where tag = 'order_unpaid'")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    a.cancel(&first).await.expect(200);
    let second = b.booked(&trip, &["5"]).await;
    b.pay(&second).await.expect(200);
    // A's timer was taken off; put it back, as a queue that delivers twice would.
    sqlx::query("insert into queue.job (id, tag, key, payload, max_attempts) values (gen_random_uuid(), 'order_unpaid', $1, $2, 5)")
        .bind(&first).bind(&timer).execute(&world.pool).await.unwrap();
    let _worker = world.worker();
    world.drained().await;
    assert_eq!(world.order(&second).await["status"], "paid");
    let seats = b.get(&format!("/v1/trips/{trip}")).await;
    assert_eq!(seats.expect(200)["seats"][4]["state"], "mine");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_order_is_closed_at_its_deadline_and_not_before() {
    let world = World::with(&[("FAREBOX__BOOKING__HOLD_SECS", "1.5")]).await;
    let _worker = world.worker();
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    let order = rider.booked(&trip, &["1", "2"]).await;
    until("the timer has closed the order", || async { world.order(&order).await["status"] == "closed" })
        .await;
    let early = count(&world.pool, "select count(*) from orders where closed_at < expires_at").await;
    assert_eq!(early, 0, "closed before its deadline");
    assert_eq!(rider.get(&format!("/v1/orders/{order}")).await.expect(200)["closed_reason"], "expired");
    assert_eq!(world.free_seats(&trip).await, 20);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overdue_seat_can_be_booked_again_without_any_worker() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let (a, b) = (world.rider("100.00").await, world.rider("0").await);
    let old = a.booked(&trip, &["1", "2"]).await;
    b.book(&trip, &["2"]).await.problem(409, "004000");
    world.pass_deadline(&old).await;
    b.booked(&trip, &["2"]).await;
    assert_eq!(world.order(&old).await["closed_reason"], "expired");
    assert_eq!(world.free_seats(&trip).await, 19, "seat 1 is free as well");
    a.pay(&old).await.problem(409, "006001");
    assert_eq!(a.balance().await, "100.00");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_that_come_early_twice_or_too_late_do_nothing() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let (unpaid, paid) = (rider.booked(&trip, &["1"]).await, rider.booked(&trip, &["2"]).await);
    let payload: Value =
        sqlx::query_scalar("select payload from queue.job where key = $1 and tag = 'order_unpaid'")
            .bind(&paid)
            .fetch_one(&world.pool)
            .await
            .unwrap();
    rider.pay(&paid).await.expect(200);
    for key in ["again", "and again"] {
        sqlx::query("insert into queue.job (id, tag, key, payload, max_attempts) values (gen_random_uuid(), 'order_unpaid', $1, $2, 5)")
            .bind(key).bind(&payload).execute(&world.pool).await.unwrap();
    }
    sqlx::query("update queue.job set run_at = now() where key = $1")
        .bind(&unpaid)
        .execute(&world.pool)
        .await
        .unwrap();
    let _worker = world.worker();
    world.drained().await;
    assert_eq!(world.order(&unpaid).await["status"], "unpaid", "early: it waits on");
    assert_eq!(world.order(&paid).await["status"], "paid", "for a paid order: nothing");
    let on_time = "select count(*) from queue.job j join orders o on j.key = o.id::text where j.run_at = o.expires_at and j.attempt = 0";
    assert_eq!(
        count(&world.pool, on_time).await,
        1,
        "the early one is due at the deadline, no attempt spent"
    );
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_books_once() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await.key("k1");
    let tries = (0..30).map(|_| {
        let (rider, trip) = (rider.clone(), trip.clone());
        tokio::spawn(async move { rider.book(&trip, &["3", "4"]).await })
    });
    let (mut first, mut replayed) = (Vec::new(), 0);
    for answer in futures_util::future::join_all(tries).await {
        let answer = answer.unwrap();
        match answer.status.as_u16() {
            201 if answer.headers.contains_key("idempotent-replayed") => replayed += 1,
            201 => first.push(answer.text),
            _ => drop(answer.problem(409, "006006")),
        }
    }
    assert_eq!(first.len(), 1, "{replayed} replayed");
    let again = rider.book(&trip, &["3", "4"]).await;
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.text, first[0], "the replay is the first answer to the letter");
    rider.book(&trip, &["5"]).await.problem(422, "006005");
    let other = world.rider("0").await.key("k1");
    other.book(&trip, &["5"]).await.expect(201);
    assert_eq!(count(&world.pool, "select count(*) from orders").await, 2);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_replayed_too() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let (a, b) = (world.rider("0").await, world.rider("0").await.key("x"));
    let order = a.booked(&trip, &["1"]).await;
    b.book(&trip, &["1"]).await.problem(409, "004000");
    a.cancel(&order).await.expect(200);
    let again = b.book(&trip, &["1"]).await;
    again.problem(409, "004000");
    assert_eq!(again.headers["idempotent-replayed"], "true");
    b.key("y").book(&trip, &["1"]).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_listed_in_pages_and_belong_to_their_rider() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let (rider, other) = (world.rider("100.00").await, world.rider("0").await);
    let mut orders = Vec::new();
    for seat in 1..=5 {
        orders.push(rider.booked(&trip, &[&seat.to_string()]).await);
    }
    rider.pay(&orders[0]).await.expect(200);
    rider.cancel(&orders[1]).await.expect(200);
    let ids =
        |page: &Value| page["items"].as_array().unwrap().iter().map(|o| o["id"].clone()).collect::<Vec<_>>();
    let page = rider.get("/v1/orders?list=unpaid&limit=2").await;
    // By deadline: the one that must be paid soonest comes first.
    assert_eq!(ids(page.expect(200)), [json!(orders[2]), json!(orders[3])]);
    let next = page.body["next"].as_str().unwrap();
    let page = rider.get(&format!("/v1/orders?list=unpaid&limit=2&after={next}")).await;
    assert_eq!(ids(page.expect(200)), [json!(orders[4])]);
    assert_eq!(page.body["next"], Value::Null);
    assert_eq!(ids(rider.get("/v1/orders?list=upcoming").await.expect(200)), [json!(orders[0])]);
    assert_eq!(ids(rider.get("/v1/orders?list=closed").await.expect(200)), [json!(orders[1])]);
    assert_eq!(ids(other.get("/v1/orders").await.expect(200)), Vec::<Value>::new());
    other.get(&format!("/v1/orders/{}", orders[0])).await.problem(404, "003070");
    other.cancel(&orders[2]).await.problem(404, "003070");
    other.pay(&orders[2]).await.problem(404, "003070");
    other.refund(&orders[0]).await.problem(404, "003070");
    world.verify().await;
}
