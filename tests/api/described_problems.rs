//! The description names only problems that can occur: each of a rider's operations is provoked. That it
//! forgets none is checked by every test (`tests/harness/described.rs`).

use crate::harness::{Answer, Client, World, described::response};
use chrono::Duration;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Problems of all operations alike, which other tests provoke: bad input, slow bodies, tokens, keys, limits,
/// roles.
const GENERAL: [&str; 8] = ["003002", "003073", "003074", "003091", "003098", "005001", "005003", "006006"];
/// The operations of riders that change an order.
const PROVOKED: [&str; 6] =
    ["book_seats", "pay_order", "authorize_payment", "cancel_order", "refund_order", "evaluate_trip"];

/// The problems that an operation describes beside the general ones; those of a server at fault left out.
fn described(id: &str) -> BTreeSet<(String, String)> {
    let paths = farebox::http::description()["paths"].as_object().unwrap();
    let operations = paths.values().flat_map(|methods| methods.as_object().unwrap().values());
    let operation = operations.into_iter().find(|operation| operation["operationId"] == id).expect(id);
    let refused = operation["responses"].as_object().unwrap().keys().filter(|status| status.starts_with('4'));
    let responses = refused.map(|status| response(operation, status.as_str()));
    let codes = responses.flat_map(|response| response["x-problem-codes"].as_array().into_iter().flatten());
    let codes = codes.filter_map(Value::as_str).filter(|code| !GENERAL.contains(code));
    codes.map(|code| (id.to_owned(), code.to_owned())).collect()
}

#[derive(Default)]
struct Seen(BTreeSet<(String, String)>);

impl Seen {
    fn note(&mut self, id: &str, answer: &Answer) {
        let code = answer.body["code"].as_str().unwrap_or_else(|| panic!("{id}: {}", answer.text));
        self.0.insert((id.to_owned(), code.to_owned()));
    }
}

async fn authorize(rider: &Client, order: &str, pay_password: &str) -> Answer {
    let body = json!({ "order_id": order, "pay_password": pay_password });
    rider.post("/v1/payment-authorizations", &body).await
}

async fn evaluate(rider: &Client, order: &str) -> Answer {
    rider.post(&format!("/v1/orders/{order}/evaluation"), &json!({ "rating": 5 })).await
}

async fn paid(rider: &Client, trip: &str, seat: &str) -> String {
    let order = rider.booked(trip, &[seat]).await;
    rider.pay(&order).await.expect(200);
    order
}

async fn cancel_trip(world: &World, trip: &str) {
    let cancel = json!({ "reason": "snow" });
    world.ops.post(&format!("/v1/ops/trips/{trip}/cancel"), &cancel).await.expect(202);
}

/// A rider without a pay password.
async fn without_pay_password(world: &World) -> Client {
    let stranger = Client::stranger(&world.api.base());
    let body = json!({ "user_name": "newcomer", "password": "blue tram 42 north" });
    stranger.post("/v1/riders", &body).await.expect(201);
    Client::with_password(&world.api.base(), "newcomer", "blue tram 42 north").await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_described_problem_of_an_order_occurs() {
    let world = World::with(&[("FAREBOX__BOOKING__MAX_OPEN_HOLDS", "12")]).await;
    let mut seen = Seen::default();
    let trip = world.trip(40).await;
    let rider = world.rider("100.00").await;
    book(&world, &rider, &trip, &mut seen).await;
    pay(&world, &rider, &trip, &mut seen).await;
    end(&world, &rider, &trip, &mut seen).await;
    for id in PROVOKED {
        let path = |id: &str, rest: &str| format!("/v1/orders/{id}{rest}");
        let nobody = uuid::Uuid::now_v7().to_string();
        let (first, second) = (rider.key(&format!("reused {id}")), rider.key(&format!("reused {id}")));
        match id {
            "book_seats" => {
                first.book(&trip, &["30"]).await.expect(201);
                seen.note(id, &second.book(&trip, &["31"]).await);
                seen.note(id, &rider.book(&nobody, &["1"]).await);
            }
            "authorize_payment" => seen.note(id, &authorize(&rider, &nobody, "271828").await),
            _ => {
                let (rest, body) = match id {
                    "pay_order" => ("/pay", json!({ "pay_password": "271828" })),
                    "cancel_order" => ("/cancel", json!({})),
                    "refund_order" => ("/refund", json!({})),
                    _ => ("/evaluation", json!({ "rating": 1 })),
                };
                seen.note(id, &rider.post(&path(&nobody, rest), &body).await);
                // A paid order: every one of these is refused or done under the key, which is then used
                // for another order.
                let (one, other) =
                    (paid(&rider, &trip, free(id, 0)).await, paid(&rider, &trip, free(id, 1)).await);
                first.post(&path(&one, rest), &body).await;
                seen.note(id, &second.post(&path(&other, rest), &body).await);
            }
        }
    }
    let described: BTreeSet<_> = PROVOKED.into_iter().flat_map(described).collect();
    let never: Vec<_> = described.difference(&seen.0).collect();
    assert!(never.is_empty(), "described, and not provoked: {never:?}");
}

/// A seat of its own for each operation.
fn free(id: &str, nr: usize) -> &'static str {
    const SEATS: [&str; 8] = ["20", "21", "22", "23", "24", "25", "26", "27"];
    let at = PROVOKED.iter().filter(|one| !["book_seats", "authorize_payment"].contains(one));
    SEATS[at.into_iter().position(|one| *one == id).unwrap() * 2 + nr]
}

async fn book(world: &World, rider: &Client, trip: &str, seen: &mut Seen) {
    let other = world.rider("0").await;
    other.booked(trip, &["1"]).await;
    seen.note("book_seats", &rider.book(trip, &["1"]).await);
    let departed = world.trip_in(Duration::minutes(-10), 4).await;
    seen.note("book_seats", &rider.book(&departed, &["1"]).await);
    let cancelled = world.trip(4).await;
    cancel_trip(world, &cancelled).await;
    seen.note("book_seats", &rider.book(&cancelled, &["1"]).await);
    let many = world.trip(20).await;
    for seat in 1..=11 {
        other.booked(&many, &[&seat.to_string()]).await;
    }
    seen.note("book_seats", &other.book(&many, &["12"]).await);
}

async fn pay(world: &World, rider: &Client, trip: &str, seen: &mut Seen) {
    let poor = world.rider("0").await;
    let order = poor.booked(trip, &["2"]).await;
    seen.note("pay_order", &poor.pay(&order).await);
    for (id, answer) in [
        ("pay_order", poor.pay_with(&order, "100000").await),
        ("authorize_payment", authorize(&poor, &order, "100000").await),
    ] {
        seen.note(id, &answer);
    }
    for _ in 0..4 {
        poor.pay_with(&order, "100000").await;
    }
    seen.note("pay_order", &poor.pay(&order).await);
    seen.note("authorize_payment", &authorize(&poor, &order, "271828").await);
    let newcomer = without_pay_password(world).await;
    let order = newcomer.booked(trip, &["3"]).await;
    seen.note("pay_order", &newcomer.pay(&order).await);
    seen.note("authorize_payment", &authorize(&newcomer, &order, "271828").await);
    let order = paid(rider, trip, "4").await;
    seen.note("pay_order", &rider.pay(&order).await);
    seen.note("authorize_payment", &authorize(rider, &order, "271828").await);
    let order = rider.booked(trip, &["5"]).await;
    let pay = json!({ "authorization": "made up" });
    seen.note("pay_order", &rider.post(&format!("/v1/orders/{order}/pay"), &pay).await);
    // The debit stands, since no worker undoes it.
    rider.fault("pay_cancle.before=error").pay(&order).await.problem(500, "003099");
    seen.note("pay_order", &rider.pay(&order).await);
    seen.note("authorize_payment", &authorize(rider, &order, "271828").await);
    let off = world.trip(4).await;
    let order = rider.booked(&off, &["1"]).await;
    cancel_trip(world, &off).await;
    seen.note("pay_order", &rider.pay(&order).await);
    let late = rider.booked(trip, &["6"]).await;
    world.pass_deadline(&late).await;
    seen.note("pay_order", &rider.pay(&late).await);
    // A worker closes both orders.
    let worker = world.worker();
    world.drained().await;
    drop(worker);
    seen.note("authorize_payment", &authorize(rider, &order, "271828").await);
    seen.note("authorize_payment", &authorize(rider, &late, "271828").await);
}

async fn end(world: &World, rider: &Client, trip: &str, seen: &mut Seen) {
    let unpaid = rider.booked(trip, &["7"]).await;
    seen.note("refund_order", &rider.refund(&unpaid).await);
    seen.note("evaluate_trip", &evaluate(rider, &unpaid).await);
    let order = paid(rider, trip, "8").await;
    seen.note("cancel_order", &rider.cancel(&order).await);
    seen.note("evaluate_trip", &evaluate(rider, &order).await);
    let soon = world.trip_in(Duration::minutes(5), 4).await;
    let late = paid(rider, &soon, "1").await;
    seen.note("refund_order", &rider.refund(&late).await);
    world.departs_in(&soon, -Duration::minutes(1)).await;
    evaluate(rider, &late).await.expect(201);
    seen.note("evaluate_trip", &evaluate(rider, &late).await);
    let off = world.trip(4).await;
    let order = paid(rider, &off, "1").await;
    cancel_trip(world, &off).await;
    seen.note("evaluate_trip", &evaluate(rider, &order).await);
}
