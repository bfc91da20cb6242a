//! Closing an unpaid order.

use super::{act, because, farebox, history, logged, possible, row};
use crate::harness::{World, count};
use futures_util::future::join_all;
use serde_json::json;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_order_is_closed_once_and_its_seats_are_free() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("20.00").await;
    let order = rider.booked(&trip, &["1", "2"]).await;
    let before = possible(&world.ops, &order).await;
    assert_eq!((&before["may_close"], &before["order"]["seats"]), (&json!(true), &json!("1, 2")));
    assert_eq!(before["order"]["amount"], "8.00");

    act(&world.ops, &order, "close", &json!({})).await.problem(422, "003073");
    act(&world.ops, &order, "close", &because("  ")).await.problem(422, "003074");
    act(&world.ops, &Uuid::now_v7().to_string(), "close", &because("none")).await.problem(404, "003070");
    act(&world.ops, "none", "close", &because("none")).await.problem(404, "003070");
    let stale = json!({ "reason": "twice booked", "digest": "00" });
    act(&world.ops, &order, "close", &stale).await.problem(409, "006071");
    assert_eq!(world.free_seats(&trip).await, 2, "what is refused changes nothing");

    let fresh = json!({ "reason": "twice booked", "digest": before["digest"] });
    let keyed = world.ops.key("close it");
    let closed = act(&keyed, &order, "close", &fresh).await;
    assert_eq!(closed.expect(200)["status"], "closed");
    assert_eq!(closed.body["closed_reason"], "cancelled_by_system");
    assert_eq!(act(&keyed, &order, "close", &fresh).await.text, closed.text, "a repeat is answered the same");
    let again = act(&world.ops, &order, "close", &because("again")).await;
    assert_eq!(again.problem(409, "006002")["order_status"], "closed");
    rider.pay(&order).await.problem(409, "006002");

    assert_eq!(world.free_seats(&trip).await, 4);
    assert_eq!(count(&world.pool, "select count(*) from queue.job where tag = 'order_unpaid'").await, 0);
    assert_eq!(history(&world, &order).await, ["closed by an operator"]);
    assert_eq!(logged(&world, &order).await, [row("order_close", "api", "twice booked")]);
    assert_eq!(possible(&world.ops, &order).await["may_close"], false);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_shows_and_closes() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("20.00").await;
    let (order, paid) = (rider.booked(&trip, &["3"]).await, rider.booked(&trip, &["4"]).await);
    rider.pay(&paid).await.expect(200);
    let (done, said) = farebox(&world, &["orders", "show", &order]);
    assert!(done && said.contains("possible:       close") && said.contains("seats:     3"), "{said}");
    let digest = possible(&world.ops, &order).await["digest"].as_str().unwrap().to_owned();
    assert!(said.contains(&digest), "both say the same: {said}");
    let close = ["orders", "close", &order, "--reason", "by phone", "--digest"];
    let (done, said) = farebox(&world, &[&close[..], &["00"]].concat());
    assert!(!done && said.contains("has changed since"), "{said}");
    let (done, said) = farebox(&world, &[&close[..], &[digest.as_str()]].concat());
    assert!(done && said.contains("closed"), "{said}");
    let (done, said) = farebox(&world, &["orders", "close", &paid, "--reason", "by phone"]);
    assert!(!done && said.contains("the order is paid"), "{said}");
    let (done, said) = farebox(&world, &["orders", "show", &Uuid::now_v7().to_string()]);
    assert!(!done && said.contains("no such order"), "{said}");
    assert_eq!(logged(&world, &order).await, [row("order_close", "cli", "by phone")]);
    assert_eq!(logged(&world, &paid).await, []);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_payment_the_first_wins() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let seats: Vec<String> = (1..=12).map(|seat| seat.to_string()).collect();
    let booked = async |seat: &String| rider.booked(&trip, &[seat]).await;
    let orders = join_all(seats.iter().map(booked)).await;
    let reason = because("no answer");
    let both = async |order: &String| {
        let (paid, closed) = tokio::join!(rider.pay(order), act(&world.ops, order, "close", &reason));
        (order.clone(), paid, closed)
    };
    let ends = join_all(orders.iter().map(both)).await;
    let _worker = world.worker();
    world.pass_undo_delay().await;
    world.drained().await;
    for (order, paid, closed) in ends {
        let expected = if closed.status == 200 { "closed" } else { "paid" };
        assert_eq!(world.order(&order).await["status"], expected, "{} {}", paid.text, closed.text);
        assert_eq!(paid.status == 200, closed.status != 200, "one of the two: {} {}", paid.text, closed.text);
    }
    world.verify().await;
}
