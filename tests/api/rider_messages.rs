//! What riders read of a cancelled trip: the operator's message, and never the reason.

use crate::harness::{World, command, count};
use serde_json::{Value, json};
use std::process::Output;

const REASON: &str = "the driver is ill";
const MESSAGE: &str = "No bus today. Please take the one at ten.";

async fn cancelled(world: &World, trip: &str, message: &Value) -> Value {
    let mut body = json!({ "reason": REASON });
    if !message.is_null() {
        body["message"] = message.clone();
    }
    world.ops.post(&format!("/v1/ops/trips/{trip}/cancel"), &body).await.expect(202).clone()
}

fn printed(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The day of a trip in the timetable's zone.
async fn day(world: &World, trip: &str) -> String {
    let sql = "select (departs_at at time zone 'Asia/Shanghai')::date::text from trip where id = $1::uuid";
    sqlx::query_scalar(sql).bind(trip).fetch_one(&world.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn riders_read_the_message_wherever_the_trip_is_shown() {
    let world = World::new().await;
    let (trip, silent) = (world.trip(8).await, world.trip(8).await);
    let rider = world.rider("20.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    let other = rider.booked(&silent, &["1"]).await;
    assert_eq!(cancelled(&world, &trip, &json!(format!("  {MESSAGE} "))).await["message"], MESSAGE);
    assert_eq!(cancelled(&world, &silent, &Value::Null).await.get("message"), None);
    let again = cancelled(&world, &trip, &json!("another")).await;
    assert_eq!(again["message"], MESSAGE, "what riders have read stays");

    let views = async |trip: &str, order: &str| {
        let of = |list: &Value, id: &str| {
            list["items"].as_array().unwrap().iter().find(|item| item["id"] == id).unwrap().clone()
        };
        let trips =
            rider.get(&format!("/v1/trips?date={}", day(&world, trip).await)).await.expect(200).clone();
        let all = rider.get("/v1/orders").await.expect(200).clone();
        [
            rider.get(&format!("/v1/trips/{trip}")).await.expect(200).clone(),
            of(&trips, trip),
            rider.get(&format!("/v1/orders/{order}")).await.expect(200).clone(),
            of(&all, order),
        ]
    };
    for view in views(&trip, &order).await {
        assert_eq!(view["cancelled_message"], MESSAGE, "{view}");
        assert!(!view.to_string().contains(REASON), "{view}");
    }
    for view in views(&silent, &other).await {
        assert_eq!(view.get("cancelled_message"), None, "{view}");
    }
    let progress = world.ops.get(&format!("/v1/ops/trips/{trip}/cancellation")).await.expect(200).clone();
    assert_eq!((&progress["message"], &progress["reason"]), (&json!(MESSAGE), &json!(REASON)));
    let audit = world.ops.get("/v1/ops/audit?act=trip_cancel").await.expect(200).clone();
    assert_eq!(audit["items"][1]["detail"]["message"], MESSAGE, "{audit}");
    let _worker = world.worker();
    world.drained().await;
    assert_eq!(rider.get(&format!("/v1/orders/{order}")).await.expect(200)["cancelled_message"], MESSAGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_one_line_of_at_most_two_hundred_characters() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let path = format!("/v1/ops/trips/{trip}/cancel");
    for bad in ["", " ", &"王".repeat(201), "two\nlines", "a\u{7}bell", "\u{202e}backwards"] {
        let refused = world.ops.post(&path, &json!({ "reason": REASON, "message": bad })).await;
        let problem = refused.problem(422, "003074");
        assert!(problem.to_string().contains("message"), "{bad:?}: {problem}");
    }
    assert_eq!(count(&world.pool, "select count(*) from trip where cancelled_at is not null").await, 0);
    let longest = "王".repeat(200);
    assert_eq!(cancelled(&world, &trip, &json!(longest)).await["message"], longest);
    for bad in ["", &"x".repeat(201), "two\nlines"] {
        let sql = "update trip_cancellation set message = $1";
        let error = sqlx::query(sql).bind(bad).execute(&world.pool).await.unwrap_err();
        assert!(error.to_string().contains("trip_cancellation_message_is_a_line"), "{bad:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_shows_and_cancels_a_trip() {
    let world = World::new().await;
    let trip = world.trip(8).await;
    let rider = world.rider("20.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay(&order).await.expect(200);
    let run = |args: &[&str]| {
        let mut farebox = command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, &[]);
        farebox.arg("trips").args(args).output().unwrap()
    };
    let said = ["--message", MESSAGE, "--json"];
    let shown = printed(&run(&[&["show", &trip][..], &said].concat()));
    assert_eq!(shown["ends"], json!({ "orders": 1, "riders": 1, "paid": "4.00" }), "{shown}");
    assert_eq!(shown["riders_read"], format!("Riders read: the trip is cancelled: {MESSAGE}"));
    let long = "x".repeat(201);
    for (refused, why) in [
        (run(&["cancel", &trip]), "--reason"),
        (run(&["cancel", &trip, "--reason", REASON, "--message", &long]), "--message"),
        (run(&["cancel", &order, "--reason", REASON]), "trip"),
    ] {
        let error = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && error.contains(why), "{error}");
    }
    assert_eq!(count(&world.pool, "select count(*) from trip where cancelled_at is not null").await, 0);
    let cancelled = printed(&run(&[&["cancel", &trip, "--reason", REASON][..], &said].concat()));
    assert_eq!((&cancelled["orders"], &cancelled["message"]), (&json!(1), &json!(MESSAGE)));
    let audit = world.ops.get("/v1/ops/audit?act=trip_cancel").await.expect(200)["items"][0].clone();
    assert_eq!((&audit["reason"], &audit["through"]), (&json!(REASON), &json!("cli")), "{audit}");
    let _worker = world.worker();
    world.drained().await;
    assert_eq!(world.order(&order).await["status"], "refunded");
    let over = run(&["show", &trip]);
    let text = String::from_utf8_lossy(&over.stdout);
    assert!(text.contains("1 of 1 orders ended") && text.contains(MESSAGE), "{text}");
    world.verify().await;
}
