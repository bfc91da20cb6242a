//! A repeated request is known by its key and by what it says, not by its bytes.

use crate::harness::{Answer, Client, PASSWORD, PAY_PASSWORD, PEPPER, World};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

const ME: &str = "/v1/riders/me";

/// The first answer again, word for word, and marked as a replay.
#[track_caller]
fn replays(answer: &Answer, first: &Answer) {
    assert_eq!((answer.status, &answer.text), (first.status, &first.text));
    assert!(answer.headers.contains_key("idempotent-replayed"), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_known_by_what_it_says_and_not_by_its_bytes() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let order = a_booking(&rider, &trip).await;
    a_payment(&rider, &order).await;
    a_cancel_without_a_body(&rider, &trip).await;
    a_top_up(&world, &rider).await;
    a_new_trip(&world).await;
    a_registration(&world).await;
    world.verify().await;
}

/// Seats and names in another order, other blanks, other escapes; returns the order.
async fn a_booking(rider: &Client, trip: &str) -> String {
    let keyed = rider.key("book");
    let body = format!(r#"{{"trip_id":"{trip}","seats":["3","4"]}}"#);
    let first = keyed.post_text("/v1/orders", &body).await;
    first.expect(201);
    for same in [
        format!(r#"{{"seats":["3","4"],"trip_id":"{trip}"}}"#),
        format!(
            "\n {{ \"seats\" : [ \"3\" , \"\\u0034\" ] ,\t\"trip\\u005fid\" : \"{}\" }} ",
            trip.to_uppercase()
        ),
        format!(r#"{{"trip_id":"{trip}","seats":["4","3"]}}"#),
    ] {
        replays(&keyed.post_text("/v1/orders", &same).await, &first);
    }
    let other = format!(r#"{{"trip_id":"{trip}","seats":["3","5"]}}"#);
    keyed.post_text("/v1/orders", &other).await.problem(422, "006005");
    let twice = format!(r#"{{"trip_id":"{trip}","seats":["3","4"],"seats":["3","4"]}}"#);
    assert_eq!(keyed.post_text("/v1/orders", &twice).await.problem(422, "003074")["field"], "/seats");
    first.body["id"].as_str().unwrap().to_owned()
}

/// The body and the path.
async fn a_payment(rider: &Client, order: &str) {
    let keyed = rider.key("pay");
    let path = format!("/v1/orders/{order}/pay");
    let paid = keyed.post_text(&path, &json!({ "pay_password": PAY_PASSWORD }).to_string()).await;
    paid.expect(200);
    let same = format!(r#"{{"authorization":null,"pay_password":"{PAY_PASSWORD}"}}"#);
    replays(&keyed.post_text(&path, &same).await, &paid);
    let shouted = format!("/v1/orders/{}/pay", order.to_uppercase());
    replays(&keyed.post_text(&shouted, &same).await, &paid);
}

/// No body and an empty one.
async fn a_cancel_without_a_body(rider: &Client, trip: &str) {
    let unpaid = rider.booked(trip, &["7"]).await;
    let (keyed, path) = (rider.key("cancel"), format!("/v1/orders/{unpaid}/cancel"));
    let cancelled = keyed.call("POST", &path, None).await;
    cancelled.expect(200);
    for same in ["{}", " { } "] {
        replays(&keyed.post_text(&path, same).await, &cancelled);
    }
}

/// Amounts and references.
async fn a_top_up(world: &World, rider: &Client) {
    let (ops, path) = (world.ops.key("top up"), format!("/v1/ops/wallets/{}/top-ups", rider.id));
    let topped = ops.post_text(&path, r#"{"amount":"4.00","reference":"slip 1"}"#).await;
    topped.expect(201);
    for same in
        [r#"{"reference":"SLIP 1","amount":"4.0"}"#, r#"{"amount":"4","reason":null,"reference":"slip  1"}"#]
    {
        replays(&ops.post_text(&path, same).await, &topped);
    }
    ops.post_text(&path, r#"{"amount":"4.01","reference":"slip 1"}"#).await.problem(422, "006005");
}

/// Times in other zones.
async fn a_new_trip(world: &World) {
    let ops = world.ops.key("trip");
    let at = |departs: &str, arrives: &str| {
        json!({"bus_id": 2, "direction": 1, "departs_at": departs, "arrives_at": arrives, "price": "4.00"})
            .to_string()
    };
    let day = (chrono::Utc::now() + chrono::Duration::days(30)).format("%Y-%m-%d").to_string();
    let departs = format!("{day}T08:00:00Z");
    let added = ops.post_text("/v1/ops/trips", &at(&departs, &format!("{day}T09:00:00Z"))).await;
    added.expect(201);
    let same = at(&format!("{day}T16:00:00.000+08:00"), &format!("{day}T09:00:00+00:00"));
    replays(&ops.post_text("/v1/ops/trips", &same).await, &added);
}

/// A request of nobody that is known.
async fn a_registration(world: &World) {
    let anybody = Client::stranger(&world.api.base()).key("register");
    let new = format!(r#"{{"user_name":"Mei","password":"{PASSWORD}"}}"#);
    let registered = anybody.post_text("/v1/riders", &new).await;
    registered.expect(201);
    let same = format!(r#"{{ "email": null, "password": "{PASSWORD}", "user_name": "Mei" }}"#);
    replays(&anybody.post_text("/v1/riders", &same).await, &registered);
    let other = format!(r#"{{"user_name":"Mei","password":"another {PASSWORD}"}}"#);
    anybody.post_text("/v1/riders", &other).await.problem(422, "006005");
}

/// What the version before kept is a digest over bytes: who asks again after an upgrade is still answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_from_before_an_upgrade_is_still_known() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let keyed = rider.key("book");
    let body = format!(r#"{{ "seats": ["3"], "trip_id": "{trip}" }}"#);
    let first = keyed.post_text("/v1/orders", &body).await;
    first.expect(201);
    let mut mac = Hmac::<Sha256>::new_from_slice(PEPPER.as_bytes()).unwrap();
    mac.update(b"POST /v1/orders\n");
    mac.update(body.as_bytes());
    sqlx::query("update idempotency set fingerprint = $1 where key = 'book'")
        .bind(mac.finalize().into_bytes().to_vec())
        .execute(&world.pool)
        .await
        .unwrap();
    replays(&keyed.post_text("/v1/orders", &body).await, &first);
    let other = format!(r#"{{ "seats": ["4"], "trip_id": "{trip}" }}"#);
    keyed.post_text("/v1/orders", &other).await.problem(422, "006005");
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_a_profile_again_says_the_same() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    let body = json!({ "nick_name": "Mei", "phone": null });
    let first = rider.patch(ME, &body).await;
    assert_eq!(rider.patch(ME, &body).await.expect(200), first.expect(200));
}
