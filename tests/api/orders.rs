//! The lists a rider sees, evaluations, the history of an order, and how many orders may be unpaid at a time.

use crate::harness::{Client, Process, World, count, until};
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const LISTS: [&str; 5] = ["unpaid", "upcoming", "to_evaluate", "evaluated", "closed"];

/// Lets a trip have arrived a minute ago.
async fn depart(world: &World, trip: &str) {
    world.departs_in(trip, TimeDelta::minutes(-61)).await;
}

async fn cancel_trip(world: &World, trip: &str) {
    sqlx::query("update trip set cancelled_at = now() where id = $1::uuid")
        .bind(trip)
        .execute(&world.pool)
        .await
        .unwrap();
}

/// A paid order on a trip of its own: trip and order.
async fn paid(world: &World, rider: &Client) -> (String, String) {
    let trip = world.trip(4).await;
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay(&order).await.expect(200);
    (trip, order)
}

async fn evaluate(rider: &Client, order: &str, rating: i32) -> crate::harness::Answer {
    rider.post(&format!("/v1/orders/{order}/evaluation"), &json!({"rating": rating, "comment": "好"})).await
}

/// All orders of a list, page by page.
async fn listed(rider: &Client, list: &str, limit: u16) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = rider.get(&format!("/v1/orders?list={list}&limit={limit}{after}")).await;
        let items = page.expect(200)["items"].as_array().unwrap();
        assert!(items.len() <= usize::from(limit));
        found.extend(items.iter().map(|order| order["id"].as_str().unwrap().to_owned()));
        match page.body["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return found,
        }
    }
}

/// On which list each order is; fails if one is on two, or on none, or if the pages do not add up.
async fn lists(rider: &Client) -> BTreeMap<String, &'static str> {
    let mut on = BTreeMap::new();
    for list in LISTS {
        let ids = listed(rider, list, 1).await;
        assert_eq!(ids, listed(rider, list, 100).await, "pages of one order are the same list");
        for id in ids {
            let before = on.insert(id.clone(), list);
            assert_eq!(before, None, "{id} is on two lists");
        }
    }
    let all = listed(rider, "all", 2).await;
    assert_eq!(all.len(), on.len(), "an order is on no list, or twice on a page");
    on
}

#[tokio::test(flavor = "multi_thread")]
async fn each_order_is_on_exactly_one_of_the_five_lists() {
    let world = World::new().await;
    let (rider, other) = (world.rider("100.00").await, world.rider("100.00").await);
    let trip = world.trip(20).await;
    let mut expected = BTreeMap::new();
    expected.insert(rider.booked(&trip, &["1"]).await, "unpaid");
    let overdue = rider.booked(&trip, &["2"]).await;
    world.pass_deadline(&overdue).await;
    expected.insert(overdue, "unpaid"); // until a worker, or the next booking of the seat, closes it
    let paying = rider.booked(&trip, &["3"]).await;
    rider.fault("pay_cancle.before=error").pay(&paying).await.problem(500, "003099");
    assert_eq!(rider.get(&format!("/v1/orders/{paying}")).await.body["status"], "paying");
    expected.insert(paying, "unpaid");
    let cancelled = rider.booked(&trip, &["4"]).await;
    rider.cancel(&cancelled).await.expect(200);
    expected.insert(cancelled, "closed");
    let (_, upcoming) = paid(&world, &rider).await;
    expected.insert(upcoming, "upcoming");
    let (_, refunded) = paid(&world, &rider).await;
    rider.refund(&refunded).await.expect(200);
    expected.insert(refunded, "closed");
    let (_, refunding) = paid(&world, &rider).await;
    sqlx::query("update orders set status = 'refunding' where id = $1::uuid")
        .bind(&refunding)
        .execute(&world.pool)
        .await
        .unwrap();
    expected.insert(refunding, "closed");
    let (ridden, to_evaluate) = paid(&world, &rider).await;
    depart(&world, &ridden).await;
    expected.insert(to_evaluate.clone(), "to_evaluate");
    let (ridden, evaluated) = paid(&world, &rider).await;
    depart(&world, &ridden).await;
    evaluate(&rider, &evaluated, 5).await.expect(201);
    expected.insert(evaluated, "evaluated");
    // Cancelled trips: before they depart, after, and with an evaluation.
    for departed in [false, true] {
        let (trip, order) = paid(&world, &rider).await;
        if departed {
            depart(&world, &trip).await;
            evaluate(&rider, &order, 1).await.expect(201);
        }
        cancel_trip(&world, &trip).await;
        expected.insert(order, "closed");
    }
    other.booked(&trip, &["9"]).await;
    assert_eq!(lists(&rider).await, expected);
    evaluate(&rider, &to_evaluate, 3).await.expect(201);
    expected.insert(to_evaluate, "evaluated");
    assert_eq!(lists(&rider).await, expected);
    rider.get("/v1/orders?list=evaluate").await.problem(422, "003074");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_evaluated_once_after_departure_by_its_rider() {
    let world = World::new().await;
    let (rider, other) = (world.rider("100.00").await, world.rider("0").await);
    let (trip, order) = paid(&world, &rider).await;
    let unpaid = rider.booked(&trip, &["2"]).await;
    evaluate(&rider, &order, 5).await.problem(409, "006041");
    depart(&world, &trip).await;
    assert_eq!(evaluate(&rider, &unpaid, 5).await.problem(409, "006002")["order_status"], "unpaid");
    evaluate(&other, &order, 5).await.problem(404, "003070");
    evaluate(&rider, "0190b5a0-0000-7000-8000-000000000000", 5).await.problem(404, "003070");
    let path = format!("/v1/orders/{order}/evaluation");
    for (body, field) in [
        (json!({"rating": 0}), "/rating"),
        (json!({"rating": 6}), "/rating"),
        (json!({"rating": "5"}), "/rating"),
        (json!({"rating": 4.5}), "/rating"),
        (json!({"rating": 5, "comment": ""}), "/comment"),
        (json!({"rating": 5, "comment": "长".repeat(1001)}), "/comment"),
        (json!({"rating": 5, "comment": "\u{0}"}), "/comment"),
        (json!({"rating": 5, "stars": 5}), "/stars"),
    ] {
        assert_eq!(rider.post(&path, &body).await.problem(422, "003074")["field"], field);
    }
    assert_eq!(count(&world.pool, "select count(*) from evaluation").await, 0);
    // Many at once, each with its own rating: one is stored, and it is the acknowledged one.
    let tries: Vec<_> = (0..20)
        .map(|n| {
            let (rider, order) = (rider.clone(), order.clone());
            tokio::spawn(async move { evaluate(&rider, &order, n % 5 + 1).await })
        })
        .collect();
    let mut kept = Vec::new();
    for one in tries {
        let answer = one.await.unwrap();
        if answer.status == 201 {
            kept.push(answer.body);
        } else {
            answer.problem(409, "006042");
        }
    }
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0]["comment"], "好");
    let shown = rider.get(&format!("/v1/orders/{order}")).await;
    assert_eq!(shown.expect(200)["evaluation"], kept[0]);
    let states: Vec<&Value> = shown.body["history"].as_array().unwrap().iter().collect();
    assert_eq!(states.iter().map(|s| s["status"].as_str().unwrap()).collect::<Vec<_>>(), ["unpaid", "paid"]);
    assert_eq!((&states[0]["reason"], &states[1]["reason"]), (&json!("booked"), &json!("paid by its rider")));
    assert!(states[0]["at"].as_str() < states[1]["at"].as_str(), "{}", shown.text);
    let (cancelled, order) = paid(&world, &rider).await;
    depart(&world, &cancelled).await;
    cancel_trip(&world, &cancelled).await;
    evaluate(&rider, &order, 5).await.problem(409, "006004");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_bookings_respect_the_limit_of_unpaid_orders() {
    let limit = [("FAREBOX__BOOKING__MAX_OPEN_HOLDS", "3")];
    let world = World::with(&limit).await;
    let replica = Process::api(&world.db.url, &limit);
    let trip = world.trip(100).await;
    for round in 0..5 {
        let rider = world.rider("100.00").await;
        let there = rider.at(&replica.base());
        let tries: Vec<_> = (0..12)
            .map(|n| {
                let (client, trip) = (if n % 2 == 0 { rider.clone() } else { there.clone() }, trip.clone());
                tokio::spawn(async move { client.book(&trip, &[&(round * 12 + n + 1).to_string()]).await })
            })
            .collect();
        let mut orders = Vec::new();
        for one in tries {
            let answer = one.await.unwrap();
            if answer.status == 201 {
                orders.push(answer.body["id"].as_str().unwrap().to_owned());
            } else {
                assert_eq!(answer.problem(409, "006040")["most"], 3);
            }
        }
        assert_eq!(orders.len(), 3, "round {round}");
        assert_eq!(listed(&rider, "unpaid", 100).await.len(), 3);
    }
    // What is settled counts no more: paid, cancelled, or past its deadline.
    let rider = world.rider("100.00").await;
    let orders: Vec<String> = [
        rider.booked(&trip, &["61"]).await,
        rider.booked(&trip, &["62"]).await,
        rider.booked(&trip, &["63"]).await,
    ]
    .into();
    let refused = rider.key("one-too-many").book(&trip, &["64"]).await;
    refused.problem(409, "006040");
    let again = rider.key("one-too-many").book(&trip, &["64"]).await;
    assert_eq!((again.text, again.headers["idempotent-replayed"].to_str().unwrap()), (refused.text, "true"));
    rider.pay(&orders[0]).await.expect(200);
    rider.booked(&trip, &["64"]).await;
    rider.book(&trip, &["65"]).await.problem(409, "006040");
    rider.cancel(&orders[1]).await.expect(200);
    rider.booked(&trip, &["65"]).await;
    rider.book(&trip, &["66"]).await.problem(409, "006040");
    let worker = world.worker();
    world.pass_deadline(&orders[2]).await;
    until("it is closed", || async { world.order(&orders[2]).await["status"] == "closed" }).await;
    // A booking that failed counts until it is undone.
    rider.fault("order_calc_money_cancle.before=error").book(&trip, &["66"]).await.problem(500, "003099");
    world.drained().await;
    rider.booked(&trip, &["66"]).await;
    rider.book(&trip, &["67"]).await.problem(409, "006040");
    drop(worker);
    world.verify().await;
}
