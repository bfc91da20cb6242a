//! Paying with an authorization instead of the pay password: once, for one order, whatever crashes.

use crate::harness::{Answer, Client, PAY_PASSWORD, World, count, until};
use serde_json::json;

const AUTHORIZATIONS: &str = "/v1/payment-authorizations";

async fn authorize(rider: &Client, order: &str, pay_password: &str) -> Answer {
    rider.post(AUTHORIZATIONS, &json!({"order_id": order, "pay_password": pay_password})).await
}

async fn authorized(rider: &Client, order: &str) -> String {
    authorize(rider, order, PAY_PASSWORD).await.expect(201)["authorization"].as_str().unwrap().to_owned()
}

async fn pay_by(rider: &Client, order: &str, authorization: &str) -> Answer {
    rider.post(&format!("/v1/orders/{order}/pay"), &json!({"authorization": authorization})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_pays_its_order_once_and_nothing_else() {
    let world = World::new().await;
    let replica = world.another_api();
    let trip = world.trip(20).await;
    let (rider, other) = (world.rider("100.00").await, world.rider("100.00").await);
    let order = rider.booked(&trip, &["1"]).await;
    let second = rider.booked(&trip, &["2"]).await;
    let theirs = other.booked(&trip, &["3"]).await;
    let token = authorized(&rider, &order).await;
    for (who, what) in [(&rider, &second), (&other, &theirs)] {
        pay_by(who, what, &token).await.problem(403, "006043");
    }
    pay_by(&other, &order, &token).await.problem(404, "003070");
    pay_by(&rider, &order, "nonsense").await.problem(403, "006043");
    pay_by(&rider, &order, "").await.problem(403, "006043");
    let path = format!("/v1/orders/{order}/pay");
    let both = json!({"authorization": token, "pay_password": PAY_PASSWORD});
    assert_eq!(rider.post(&path, &both).await.problem(422, "003074")["field"], "/authorization");
    assert_eq!(rider.post(&path, &json!({})).await.problem(422, "003073")["field"], "/pay_password");
    assert_eq!(count(&world.pool, "select count(*) from payment").await, 0);
    // Many at once on two replicas: one debit.
    let there = rider.at(&replica.base());
    let paying: Vec<_> = (0..20)
        .map(|n| {
            let client = if n % 2 == 0 { rider.clone() } else { there.clone() };
            let (order, token) = (order.clone(), token.clone());
            tokio::spawn(async move { pay_by(&client.key(&n.to_string()), &order, &token).await })
        })
        .collect();
    let mut paid = Vec::new();
    for (n, one) in paying.into_iter().enumerate() {
        let answer = one.await.unwrap();
        match answer.status.as_u16() {
            200 => paid.push((n, answer.text)),
            403 => drop(answer.problem(403, "006043")),
            _ => drop(answer.expect(409)),
        }
    }
    let [(n, text)] = &paid[..] else { panic!("{} payments went through", paid.len()) };
    assert_eq!(world.ledger(&order).await, ["payment"]);
    assert_eq!(rider.balance().await, "96.00");
    // Its key replays the response, though the authorization is used up.
    assert_eq!(pay_by(&rider.key(&n.to_string()), &order, &token).await.text, *text);
    pay_by(&rider, &order, &token).await.problem(409, "006002");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_expires_is_replaced_and_survives_a_refused_debit() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let rider = world.rider("0").await;
    let order = rider.booked(&trip, &["1"]).await;
    let old = authorized(&rider, &order).await;
    let token = authorized(&rider.key("the-same"), &order).await;
    pay_by(&rider, &order, &old).await.problem(403, "006043");
    // Refused for another reason: nothing is used up.
    pay_by(&rider, &order, &token).await.problem(402, "004002");
    // Under a key a refusal is what it is without one, and is replayed.
    for _ in 0..2 {
        pay_by(&rider.key("a-wrong-one"), &order, &old).await.problem(403, "006043");
        pay_by(&rider.key("too-poor"), &order, &token).await.problem(402, "004002");
    }
    world.top_up(rider.id, "100.00", "now").await.expect(201);
    let kept = "update payment_authorization set expires_at = now() + ($1::text || ' secs')::interval";
    sqlx::query(kept).bind("-1").execute(&world.pool).await.unwrap();
    for _ in 0..2 {
        pay_by(&rider.key("past-its-end"), &order, &token).await.problem(403, "006043");
    }
    sqlx::query(kept).bind("60").execute(&world.pool).await.unwrap();
    pay_by(&rider, &order, &token).await.expect(200);
    // No token is stored, under no key either; and a repeat under a key makes another one.
    let second = rider.booked(&trip, &["2"]).await;
    let one = authorized(&rider.key("the-same"), &second).await;
    assert_ne!(one, authorized(&rider.key("the-same"), &second).await);
    assert_eq!(count(&world.pool, "select count(*) from idempotency where key = 'the same'").await, 0);
    let stored: String = sqlx::query_scalar("select string_agg(a::text, ' ') from payment_authorization a")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert!(!stored.contains(&token) && !world.api.log().contains(&token));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_pay_passwords_are_counted_and_a_wrong_order_costs_no_attempt() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let (rider, other) = (world.rider("100.00").await, world.rider("0").await);
    let (order, theirs) = (rider.booked(&trip, &["1"]).await, other.booked(&trip, &["2"]).await);
    for _ in 0..6 {
        authorize(&rider, &theirs, "000000").await.problem(404, "003070");
    }
    assert_eq!(authorize(&rider, &order, "000000").await.problem(403, "004001")["tries_left"], 4);
    assert_eq!(rider.pay_with(&order, "000000").await.problem(403, "004001")["tries_left"], 3);
    for _ in 0..3 {
        authorize(&rider, &order, "000000").await.problem(403, "004001");
    }
    authorize(&rider, &order, PAY_PASSWORD).await.problem(423, "006007");
    rider.pay(&order).await.problem(423, "006007");
    assert_eq!(count(&world.pool, "select count(*) from payment_authorization").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_uses_an_authorization_up_with_the_debit_or_not_at_all() {
    let world = World::new().await;
    let _worker = world.worker();
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    for (seat, fault, used) in [
        ("1", "pay_money_cancle.before=abort", false),
        ("2", "pay_money_cancle.after=abort", true),
        ("3", "pay_cancle.before=abort", true),
        ("4", "pay_money_cancle.before=error", false),
        ("5", "pay_money_cancle.after=error", true),
    ] {
        let order = rider.booked(&trip, &[seat]).await;
        let token = authorized(&rider, &order).await;
        let mut dying = world.another_api();
        let path = format!("/v1/orders/{order}/pay");
        let body = json!({"authorization": token});
        let died = rider.at(&dying.base()).fault(fault).try_post(&path, &body).await;
        if fault.ends_with("abort") {
            assert!(died.is_err(), "{fault}");
            dying.wait();
            world.pass_undo_delay().await;
        }
        world.drained().await;
        until("the money is back", || async {
            count(&world.pool, "select count(*) from payment where state = 'debited'").await == 0
        })
        .await;
        if used {
            assert_eq!(world.ledger(&order).await, ["payment", "payment_reversed"], "{fault}");
            pay_by(&rider, &order, &token).await.problem(403, "006043");
            let fresh = authorized(&rider, &order).await;
            pay_by(&rider, &order, &fresh).await.expect(200);
        } else {
            pay_by(&rider, &order, &token).await.expect(200);
        }
    }
    assert_eq!(rider.balance().await, "80.00");
    world.verify().await;
}
