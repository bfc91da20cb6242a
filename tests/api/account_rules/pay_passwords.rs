//! Changes of a pay password: what they end, how often they may be repeated, and what they tell.

use crate::harness::{Answer, Client, PASSWORD, PAY_PASSWORD, World, count, until};
use futures_util::future::join_all;
use serde_json::{Value, json};

const PATH: &str = "/v1/riders/me/pay-password";

async fn authorize(rider: &Client, order: &str, pay_password: &str) -> Answer {
    let body = json!({ "order_id": order, "pay_password": pay_password });
    rider.post("/v1/payment-authorizations", &body).await
}

async fn pay_by(rider: &Client, order: &str, authorization: &Value) -> Answer {
    rider.post(&format!("/v1/orders/{order}/pay"), &json!({ "authorization": authorization })).await
}

fn change(current: &str, new: &str) -> Value {
    json!({ "current": current, "new": new })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_ends_with_the_pay_password_it_was_issued_for() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let (rider, other) = (world.rider("100.00").await, world.rider("100.00").await);
    let orders = [rider.booked(&trip, &["1"]).await, rider.booked(&trip, &["2"]).await];
    let theirs = other.booked(&trip, &["3"]).await;
    let mut tokens = Vec::new();
    for order in &orders {
        tokens.push(authorize(&rider, order, PAY_PASSWORD).await.expect(201)["authorization"].clone());
    }
    let untouched = authorize(&other, &theirs, PAY_PASSWORD).await.expect(201)["authorization"].clone();
    // A refused change ends nothing.
    rider.put(PATH, &change("000000", "654319")).await.problem(403, "004001");
    pay_by(&rider, &orders[0], &tokens[0]).await.expect(200);
    rider.put(PATH, &change(PAY_PASSWORD, "654319")).await.expect(204);
    pay_by(&rider, &orders[1], &tokens[1]).await.problem(403, "006043");
    pay_by(&other, &theirs, &untouched).await.expect(200);
    let fresh = authorize(&rider, &orders[1], "654319").await.expect(201)["authorization"].clone();
    // The repeat of the change changes nothing, and ends nothing.
    rider.put(PATH, &change(PAY_PASSWORD, "654319")).await.expect(204);
    pay_by(&rider, &orders[1], &fresh).await.expect(200);
    world.verify().await;
}

/// The old pay password is found right, and while the authorization is still to be written it is changed.
#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_that_a_change_overtook_is_not_given() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    let mut held = world.pool.begin().await.unwrap();
    sqlx::query("lock table payment_authorization in exclusive mode").execute(&mut *held).await.unwrap();
    let (asking, at) = (rider.clone(), order.clone());
    let issuing = tokio::spawn(async move { authorize(&asking, &at, PAY_PASSWORD).await });
    until("it waits to be written", || async { world.waiting_for_locks().await == 1 }).await;
    let asking = rider.clone();
    let changing = tokio::spawn(async move { asking.put(PATH, &change(PAY_PASSWORD, "654319")).await });
    // Without an end of authorizations the change does not wait at all.
    until("the change waits as well, or is made", || async {
        world.waiting_for_locks().await == 2 || changing.is_finished()
    })
    .await;
    held.commit().await.unwrap();
    changing.await.unwrap().expect(204);
    let issued = issuing.await.unwrap();
    if issued.status == 201 {
        pay_by(&rider, &order, &issued.body["authorization"]).await.problem(403, "006043");
    } else {
        issued.problem(403, "004001");
    }
    assert_eq!(count(&world.pool, "select count(*) from payment_authorization").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_authorization_by_the_old_pay_password_outlives_a_change_at_the_same_moment() {
    let world = World::new().await;
    let replica = world.another_api();
    let trip = world.trip(40).await;
    let rider = world.rider("1000.00").await;
    let there = rider.at(&replica.base());
    let mut present = PAY_PASSWORD.to_owned();
    for round in 0..12 {
        let next = format!("{:06}", 700_000 + round);
        let order = rider.booked(&trip, &[&(round + 1).to_string()]).await;
        let body = change(&present, &next);
        let (issued, changed) = tokio::join!(authorize(&there, &order, &present), rider.put(PATH, &body));
        changed.expect(204);
        if issued.status == 201 {
            pay_by(&rider, &order, &issued.body["authorization"]).await.problem(403, "006043");
        } else {
            issued.problem(403, "004001");
        }
        rider.pay_with(&order, &next).await.expect(200);
        present = next;
    }
    world.verify().await;
}

async fn tries(world: &World, rider: &Client) -> (i32, i32) {
    sqlx::query_as("select wrong, checking from pay_password where rider_id = $1")
        .bind(rider.id.0)
        .fetch_one(&world.pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_pay_password_may_be_repeated() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    rider.put(PATH, &change("000000", "654319")).await.problem(403, "004001");
    for _ in 0..3 {
        rider.put(PATH, &change(PAY_PASSWORD, "654319")).await.expect(204);
        assert_eq!(tries(&world, &rider).await, (0, 0));
    }
    // It is no way to guess: each of the two may be known, and a wrong guess of the other is a wrong try.
    for (wrong, body) in
        [change(PAY_PASSWORD, "654322"), change(PAY_PASSWORD, "654323"), change("123457", "654319")]
            .iter()
            .enumerate()
    {
        let refused = rider.put(PATH, body).await;
        assert_eq!(refused.problem(403, "004001")["tries_left"], 4 - wrong);
    }
    // A rider who is locked out gets no hint either.
    for guess in ["118811", "227722"] {
        rider.put(PATH, &change(guess, "654319")).await.problem(403, "004001");
    }
    rider.put(PATH, &change(PAY_PASSWORD, "654319")).await.problem(423, "006007");
    sqlx::query("update pay_password set locked_until = now(), changed_at = changed_at - interval '2 hours'")
        .execute(&world.pool)
        .await
        .unwrap();
    // Long after it, a repeat is any request.
    rider.put(PATH, &change(PAY_PASSWORD, "654319")).await.problem(403, "004001");
    rider.put(PATH, &change("654319", PAY_PASSWORD)).await.expect(204);
    rider.put(PATH, &json!({ "new": "654319" })).await.problem(422, "003074");
    let stored: String =
        sqlx::query_scalar("select p::text from pay_password p").fetch_one(&world.pool).await.unwrap();
    assert!(!stored.contains("654319"), "{stored}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_pay_password_may_be_repeated_and_is_no_oracle() {
    let world = World::new().await;
    let anybody = Client::stranger(&world.api.base());
    let new = json!({ "user_name": "mei", "password": PASSWORD });
    anybody.post("/v1/riders", &new).await.expect(201);
    let rider = Client::sign_in(&world.api.base(), "mei").await;
    let asked: Vec<_> = (0..6).map(|_| json!({ "new": "654319" })).collect();
    for answer in join_all(asked.iter().map(|body| rider.put(PATH, body))).await {
        answer.expect(204);
    }
    assert_eq!(tries(&world, &rider).await, (0, 0));
    // Without a current one nobody may guess for nothing.
    for left in [4, 3, 2, 1, 0] {
        let guess = json!({ "new": format!("48151{left}") });
        assert_eq!(rider.put(PATH, &guess).await.problem(403, "004001")["tries_left"], left);
    }
    rider.put(PATH, &json!({ "new": "654319" })).await.problem(423, "006007");
    rider.put(PATH, &change("654319", "118811")).await.problem(423, "006007");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_replays_a_change_of_the_pay_password_and_its_refusal() {
    let world = World::new().await;
    let rider = world.rider("0").await;
    for replayed in [false, true, true] {
        let refused = rider.key("wrong").put(PATH, &change("000000", "654319")).await;
        assert_eq!(refused.problem(403, "004001")["tries_left"], 4);
        assert_eq!(refused.headers.contains_key("idempotent-replayed"), replayed);
    }
    assert_eq!(tries(&world, &rider).await, (1, 0));
    let keyed = rider.key("change");
    for replayed in [false, true] {
        let done = keyed.put(PATH, &change(PAY_PASSWORD, "654319")).await;
        done.expect(204);
        assert_eq!((done.headers.contains_key("idempotent-replayed"), done.text.as_str()), (replayed, ""));
    }
    keyed.put(PATH, &change(PAY_PASSWORD, "654322")).await.problem(422, "006005");
    // However long ago, and whatever the pay password is by now.
    rider.put(PATH, &change("654319", "118811")).await.expect(204);
    keyed.put(PATH, &change(PAY_PASSWORD, "654319")).await.expect(204);
    assert_eq!(tries(&world, &rider).await, (0, 0));
    rider.put(PATH, &change("118811", "227722")).await.expect(204);
    // At once: one change, and one answer for all of them.
    let both = rider.key("at once");
    let body = change("227722", "338833");
    for answer in join_all((0..6).map(|_| both.put(PATH, &body))).await {
        assert!([204, 409].contains(&answer.status.as_u16()), "{}", answer.text);
    }
    both.put(PATH, &body).await.expect(204);
    assert_eq!(tries(&world, &rider).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_six_changes_from_one_pay_password_one_is_made() {
    let world = World::new().await;
    let replica = world.another_api();
    for round in 0..4 {
        let rider = world.rider("0").await;
        let there = rider.at(&replica.base());
        let wanted: Vec<_> = (0..6).map(|n| format!("{:06}", 900_000 + 10 * round + n)).collect();
        let bodies: Vec<_> = wanted.iter().map(|new| change(PAY_PASSWORD, new)).collect();
        let asked = bodies
            .iter()
            .enumerate()
            .map(|(n, body)| if n % 2 == 0 { &rider } else { &there }.put(PATH, body));
        let answers = join_all(asked).await;
        let made: Vec<_> = answers.iter().enumerate().filter(|(_, answer)| answer.status == 204).collect();
        let [(winner, _)] = made[..] else { panic!("{} changes were made", made.len()) };
        let mut left = Vec::new();
        for answer in answers.iter().filter(|answer| answer.status != 204) {
            left.push(answer.problem(403, "004001")["tries_left"].as_i64().unwrap());
        }
        left.sort_unstable();
        assert_eq!(left, [0, 1, 2, 3, 4], "each response has its own count");
        assert_eq!(tries(&world, &rider).await, (5, 0));
        sqlx::query("update pay_password set locked_until = now()").execute(&world.pool).await.unwrap();
        rider.put(PATH, &change(&wanted[winner], PAY_PASSWORD)).await.expect(204);
        // The same request six times is one change as well, and no response says otherwise.
        let body = change(PAY_PASSWORD, "654319");
        for answer in join_all((0..6).map(|_| rider.put(PATH, &body))).await {
            answer.expect(204);
        }
        assert_eq!(tries(&world, &rider).await, (0, 0));
    }
}
