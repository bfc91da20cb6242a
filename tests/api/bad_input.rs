//! Bad input gets a problem body that names the field and the rule, and changes nothing.

use crate::harness::{Client, World, count};
use serde_json::json;

const NOBODY: &str = "0190b5a0-0000-7000-8000-000000000000";

async fn rows(world: &World) -> i64 {
    count(
        &world.pool,
        "select (select count(*) from orders) + (select count(*) from barrier) + (select count(*) from queue.job)
              + (select count(*) from seat where order_id is not null) + (select count(*) from ledger_entry)",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn bookings_that_make_no_sense_write_nothing() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let departed = world.trip_in(chrono::Duration::minutes(-5), 20).await;
    let cancelled = world.trip(20).await;
    sqlx::query("update trip set cancelled_at = now() where id = $1::uuid")
        .bind(&cancelled)
        .execute(&world.pool)
        .await
        .unwrap();
    let rider = world.rider("0").await;
    let before = rows(&world).await;
    let many: Vec<String> = (1..=21).map(|n| n.to_string()).collect();
    let cases = [
        (json!({"trip_id": trip, "seats": ["123456789"]}), 422, "003074", "/seats/0"),
        (json!({"trip_id": trip, "seats": ["1", "2 "]}), 422, "003074", "/seats/1"),
        (json!({"trip_id": trip, "seats": ["0"]}), 422, "003074", "/seats"),
        (json!({"trip_id": trip, "seats": ["01"]}), 422, "003074", "/seats"),
        (json!({"trip_id": trip, "seats": ["1A"]}), 422, "003074", "/seats"),
        (json!({"trip_id": trip, "seats": ["3,3"]}), 422, "003074", "/seats/0"),
        (json!({"trip_id": trip, "seats": [""]}), 422, "003074", "/seats/0"),
        (json!({"trip_id": trip, "seats": ["4", "4"]}), 422, "003074", "/seats/1"),
        (json!({"trip_id": trip, "seats": []}), 422, "003074", "/seats"),
        (json!({"trip_id": trip, "seats": many}), 422, "003074", "/seats"),
        (json!({"trip_id": trip, "seats": ["21"]}), 422, "003074", "/seats"),
        (json!({"trip_id": trip, "seats": [1]}), 422, "003074", "/seats/0"),
        (json!({"trip_id": trip}), 422, "003073", "/seats"),
        (json!({"trip_id": "x", "seats": ["1"]}), 422, "003074", "/trip_id"),
        (json!({"trip_id": trip, "seats": ["1"], "price": "0.01"}), 422, "003074", "/price"),
        (json!({"trip_id": trip, "seats": ["1"], "hold": -1}), 422, "003074", "/hold"),
        (json!({"trip_id": NOBODY, "seats": ["1"]}), 404, "003070", ""),
        (json!({"trip_id": departed, "seats": ["1"]}), 409, "006003", ""),
        (json!({"trip_id": cancelled, "seats": ["1"]}), 409, "006004", ""),
    ];
    for (body, status, code, field) in cases {
        let answer = rider.post("/v1/orders", &body).await;
        answer.problem(status, code);
        if !field.is_empty() {
            assert_eq!(answer.body["field"], field, "{}", answer.text);
            assert!(!answer.body["rule"].as_str().unwrap().is_empty(), "{}", answer.text);
        }
    }
    assert_eq!(rows(&world).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_json_or_too_large_are_refused() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let before = rows(&world).await;
    for broken in ["{", "nonsense", "{\"seats\": [}", "{} {}"] {
        rider.post_text("/v1/orders", broken).await.expect(if broken == "{} {}" { 422 } else { 400 });
    }
    let large = format!("{{\"seats\": [\"{}\"]}}", "1".repeat(10 * 1024 * 1024));
    rider.post_text("/v1/orders", &large).await.problem(413, "003074");
    assert_eq!(rows(&world).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_makes_no_sense_moves_nowhere() {
    let world = World::new().await;
    let rider = world.rider("50.00").await;
    let before = rows(&world).await;
    for amount in [
        json!("-1.00"),
        json!("0"),
        json!("1.001"),
        json!(5),
        json!("1e9"),
        json!(""),
        json!("9999999999999"),
    ] {
        let body = json!({"amount": amount, "reference": "bad"});
        let answer = world.ops.post(&format!("/v1/ops/wallets/{}/top-ups", rider.id), &body).await;
        assert_eq!(answer.problem(422, "003074")["field"], "/amount", "{}", answer.text);
    }
    let top_up = json!({"amount": "1.00", "reference": "r"});
    world.ops.post(&format!("/v1/ops/wallets/{NOBODY}/top-ups"), &top_up).await.problem(404, "003070");
    for path in ["/v1/orders/x/pay", &format!("/v1/orders/{NOBODY}/pay")] {
        rider.post(path, &json!({"pay_password": "271828"})).await.problem(404, "003070");
    }
    assert_eq!(rows(&world).await, before);
    assert_eq!(rider.balance().await, "50.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_are_checked_and_names_are_taken_once() {
    let world = World::new().await;
    let stranger = Client::stranger(&world.api.base());
    let good = json!({"user_name": "Lin.Wei", "password": crate::harness::PASSWORD});
    let body = stranger.post("/v1/riders", &good).await;
    assert_eq!(body.expect(201)["has_pay_password"], false);
    for name in ["Lin.Wei", "lin.wei"] {
        let twin = json!({"user_name": name, "password": crate::harness::PASSWORD});
        stranger.post("/v1/riders", &twin).await.problem(409, "003003");
    }
    for (field, body) in [
        ("/user_name", json!({"user_name": "a", "password": crate::harness::PASSWORD})),
        ("/user_name", json!({"user_name": "a b c", "password": crate::harness::PASSWORD})),
        ("/password", json!({"user_name": "somebody", "password": "short"})),
        (
            "/pay_password",
            json!({"user_name": "somebody", "password": crate::harness::PASSWORD, "pay_password": "12345"}),
        ),
        (
            "/balance",
            json!({"user_name": "somebody", "password": crate::harness::PASSWORD, "balance": "1000"}),
        ),
    ] {
        assert_eq!(stranger.post("/v1/riders", &body).await.problem(422, "003074")["field"], field);
    }
    let wrong = json!({"user_name": "Lin.Wei", "password": "not this one"});
    stranger.post("/v1/sessions", &wrong).await.problem(401, "003001");
    let unknown = json!({"user_name": "nobody", "password": "not this one"});
    stranger.post("/v1/sessions", &unknown).await.problem(401, "003001");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_paths_methods_faults_and_keys_are_refused() {
    let world = World::new().await;
    let (rider, stranger) = (world.rider("0").await, Client::stranger(&world.api.base()));
    rider.get("/v1/nothing").await.problem(404, "003070");
    rider.delete("/v1/orders").await.problem(405, "003074");
    rider.get("/v1/orders?limit=0").await.problem(422, "003074");
    rider.get("/v1/orders?list=odd").await.problem(422, "003074");
    rider.get("/v1/trips?date=tomorrow").await.problem(422, "003074");
    stranger.get("/v1/orders").await.problem(401, "003002");
    let trip = world.trip(20).await;
    rider.fault("no.such=fault").book(&trip, &["1"]).await.problem(422, "003074");
    rider.key(&"k".repeat(201)).book(&trip, &["1"]).await.problem(422, "003074");
    rider.get("/v1/ops/verify").await.problem(403, "003091");
}
