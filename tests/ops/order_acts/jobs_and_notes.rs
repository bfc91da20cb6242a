//! Redriving the dead letters of an order, and notes.

use super::{act, because, farebox, logged, possible, row};
use crate::{
    harness::{World, count},
    ops::dead_letters::{dead_bookings, take_key},
};
use serde_json::json;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn the_dead_letters_of_one_order_are_redriven_and_no_others() {
    let world = World::new().await;
    let trip = world.trip(6).await;
    let rider = world.rider("20.00").await;
    let orders = dead_bookings(&world, &rider, &trip, &["1", "2", "3", "4"]).await;
    let alive = rider.booked(&trip, &["5"]).await;
    act(&world.ops, &alive, "redrive", &because("again")).await.problem(404, "003070");
    act(&world.ops, &Uuid::now_v7().to_string(), "redrive", &because("again")).await.problem(404, "003070");
    act(&world.ops, &orders[0], "redrive", &json!({})).await.problem(422, "003073");
    let stale = json!({ "reason": "again", "digest": "00" });
    act(&world.ops, &orders[0], "redrive", &stale).await.problem(409, "006071");

    let acts = possible(&world.ops, &orders[0]).await;
    assert_eq!(acts["dead_letters"].as_array().unwrap().len(), 1);
    assert!(acts.get("order").is_none(), "it was never added");
    let fresh = json!({ "reason": "the disk has room", "digest": acts["digest"] });
    let redriven = act(&world.ops, &orders[0], "redrive", &fresh).await;
    assert_eq!(redriven.expect(200)["jobs"][0]["id"], acts["dead_letters"][0]);
    assert_eq!(redriven.body["jobs"].as_array().unwrap().len(), 1);
    let (done, said) = farebox(&world, &["orders", "redrive", &orders[1], "--reason", "by the shell"]);
    assert!(done && said.contains("redriven"), "{said}");
    // A live job has the key.
    take_key(&world, &orders[2]).await;
    act(&world.ops, &orders[2], "redrive", &because("again")).await.problem(409, "006011");
    assert_eq!(count(&world.pool, "select count(*) from queue.dead_letter").await, 2);
    assert_eq!(logged(&world, &orders[0]).await, [row("job_redrive", "api", "the disk has room")]);
    assert_eq!(logged(&world, &orders[1]).await, [row("job_redrive", "cli", "by the shell")]);
    assert_eq!(logged(&world, &orders[2]).await, []);

    world.ops.post("/v1/ops/dead-letters/redrive", &because("the last")).await.expect(200);
    sqlx::query("delete from queue.dead_letter").execute(&world.pool).await.unwrap();
    let _worker = world.worker();
    world.pass_undo_delay().await;
    world.drained().await;
    assert_eq!(world.free_seats(&trip).await, 5);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_is_bounded_text_in_the_orders_story_and_changes_nothing() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("20.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    let before = world.order(&order).await;
    let long = "x".repeat(501);
    for bad in [json!({ "note": "" }), json!({ "note": long }), json!({ "note": "a\u{0}b" })] {
        let refused = act(&world.ops, &order, "notes", &bad).await;
        assert_eq!(refused.problem(422, "003074")["field"], "/note", "{}", refused.text);
    }
    let none = Uuid::now_v7().to_string();
    act(&world.ops, &none, "notes", &json!({ "note": "hello" })).await.problem(404, "003070");
    // Its answer is kept, and is not taken for that of a booking.
    let note = json!({ "note": "<b>called</b> at noon" });
    let noted = act(&world.ops.key("a note"), &order, "notes", &note).await;
    assert_eq!(noted.expect(201)["status"], "unpaid");
    assert_eq!(act(&world.ops.key("a note"), &order, "notes", &note).await.text, noted.text);
    let (done, said) = farebox(&world, &["orders", "note", &order, "--text", "called again"]);
    assert!(done, "{said}");
    let (done, said) = farebox(&world, &["orders", "note", &order, "--text", &long]);
    assert!(!done && said.contains("--text"), "{said}");
    assert_eq!(
        logged(&world, &order).await,
        [row("order_note", "api", "<b>called</b> at noon"), row("order_note", "cli", "called again")]
    );
    assert_eq!(world.order(&order).await, before);
    world.verify().await;
    // Nor when its author is no operator any more.
    sqlx::query("update rider set role = 'rider' where id = $1")
        .bind(world.ops.id.0)
        .execute(&world.pool)
        .await
        .unwrap();
    world.verify().await;
}
