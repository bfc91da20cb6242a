//! Refunds that need a second operator: exceptions, and large amounts.

use super::{act, because, logged, possible, refunds::paid, row};
use crate::harness::{Answer, Client, World, until};
use chrono::TimeDelta;
use serde_json::{Value, json};

async fn decide(ops: &Client, approval: &Value, decision: &str) -> Answer {
    let path = format!("/v1/ops/approvals/{}/{decision}", approval.as_str().unwrap());
    ops.post(&path, &because("looked at")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exception_waits_for_a_second_operator() {
    let world = World::new().await;
    let till = Client::operator(&world, "till").await;
    // Refunds have ended, and the trip has not departed.
    let trip = world.trip_in(chrono::Duration::minutes(8), 4).await;
    let rider = world.rider("20.00").await;
    let order = paid(&world, &rider, &trip, &["1", "2"], 80).await;
    rider.refund(&order).await.problem(409, "006009");
    assert_eq!(possible(&world.ops, &order).await["refund"]["is_late"], true);
    act(&world.ops, &order, "refund", &because("ill")).await.problem(409, "006009");
    act(&world.ops, &order, "refund", &json!({ "reason": "ill", "without_fee": true }))
        .await
        .problem(409, "006009");

    let both = json!({ "reason": "ill", "late": true, "without_fee": true });
    let waits = act(&world.ops, &order, "refund", &both).await;
    assert_eq!(waits.expect(202)["status"], "paid", "nothing has begun");
    let approval = waits.body["approval"].clone();
    assert_eq!((&approval["kind"], &approval["state"]), (&json!("refund"), &json!("waiting")));
    assert_eq!((&approval["late"], &approval["without_fee"]), (&json!(true), &json!(true)));
    assert_eq!((&approval["order_id"], &approval["amount"]), (&json!(order), &json!("8.00")));
    let id = &approval["id"];
    assert_eq!(act(&till, &order, "refund", &both).await.expect(202)["approval"]["id"], *id, "asked once");
    let other = json!({ "reason": "ill", "late": true });
    act(&world.ops, &order, "refund", &other).await.problem(422, "003074");
    assert_eq!(possible(&world.ops, &order).await["refund"]["approval_id"], *id);

    decide(&world.ops, id, "approve").await.problem(403, "006062");
    assert_eq!(world.order(&order).await["status"], "paid");
    let approved = decide(&till, id, "approve").await;
    assert_eq!((&approved.expect(200)["state"], approved.body.get("entry_id")), (&json!("approved"), None));
    decide(&till, id, "approve").await.problem(409, "006063");
    let _worker = world.worker();
    until("the order is refunded", || async { world.order(&order).await["status"] == "refunded" }).await;
    assert_eq!(rider.balance().await, "20.00", "without a fee");
    assert_eq!(
        logged(&world, &order).await,
        [row("approval_ask", "api", "ill"), row("approval_give", "api", "looked at")]
    );
    world.drained().await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_departed_trip_is_refunded_as_an_exception() {
    let world = World::new().await;
    let till = Client::operator(&world, "till").await;
    let trip = world.trip(4).await;
    let rider = world.rider("20.00").await;
    let order = paid(&world, &rider, &trip, &["1"], 100).await;
    world.departs_in(&trip, TimeDelta::hours(-1)).await;
    let waits = act(&world.ops, &order, "refund", &json!({ "reason": "no bus", "late": true })).await;
    decide(&till, &waits.expect(202)["approval"]["id"], "approve").await.expect(200);
    let _worker = world.worker();
    until("the money is back", || async { rider.balance().await == "20.00" }).await;
    world.drained().await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_amount_waits_and_is_judged_again_when_it_is_approved() {
    let world = World::with(&[("FAREBOX__WALLETS__APPROVAL_ABOVE", "5.00")]).await;
    let (till, third) = (Client::operator(&world, "till").await, Client::operator(&world, "third").await);
    let trip = world.trip(8).await;
    let rider = world.rider("5.00").await;
    let more = json!({ "amount": "5.00", "reference": "more" });
    for (reference, to) in [("a", rider.id), ("b", rider.id), ("c", third.id), ("d", third.id)] {
        let mut more = more.clone();
        more["reference"] = json!(reference);
        world.ops.post(&format!("/v1/ops/wallets/{to}/top-ups"), &more).await.expect(201);
    }
    let small = paid(&world, &rider, &trip, &["1"], 100).await;
    assert!(act(&world.ops, &small, "refund", &because("small")).await.expect(202).get("approval").is_none());
    let large = paid(&world, &rider, &trip, &["2", "3"], 100).await;
    let ask = async || {
        let waits = act(&world.ops, &large, "refund", &because("large")).await;
        waits.expect(202)["approval"]["id"].clone()
    };
    // Refused, it may be asked for again.
    let first = ask().await;
    assert_eq!(decide(&till, &first, "refuse").await.expect(200)["state"], "refused");
    let second = ask().await;
    assert_ne!(first, second);
    // Its time passes, and it is asked for once more.
    let sql = "update wallet_approval set asked_at = asked_at - interval '9 days', expires_at = now() - interval '1 ms' where outcome is null";
    sqlx::query(sql).execute(&world.pool).await.unwrap();
    decide(&till, &second, "approve").await.problem(409, "006063");
    let last = ask().await;
    // The rider was first.
    rider.refund(&large).await.expect(200);
    assert_eq!(decide(&till, &last, "approve").await.problem(409, "006002")["order_status"], "refunded");
    decide(&till, &last, "refuse").await.expect(200);

    // The second operator is not the order's rider either.
    let own = paid(&world, &third, &trip, &["4", "5"], 100).await;
    let waits = act(&world.ops, &own, "refund", &because("a colleague")).await;
    let waits = waits.expect(202)["approval"]["id"].clone();
    decide(&third, &waits, "approve").await.problem(403, "006061");
    // An asker who is an operator no more asks for nothing.
    let demote = "update rider set role = $2 where id = $1";
    sqlx::query(demote).bind(world.ops.id.0).bind("viewer").execute(&world.pool).await.unwrap();
    assert_eq!(decide(&till, &waits, "approve").await.problem(409, "006063")["approval_state"], "expired");
    sqlx::query(demote).bind(world.ops.id.0).bind("operator").execute(&world.pool).await.unwrap();
    // Nor does one who is shut out.
    let state = "update rider set state = $2 where id = $1";
    sqlx::query(state).bind(world.ops.id.0).bind("disabled").execute(&world.pool).await.unwrap();
    decide(&till, &waits, "approve").await.problem(409, "006063");
    sqlx::query(state).bind(world.ops.id.0).bind("active").execute(&world.pool).await.unwrap();
    decide(&till, &waits, "approve").await.expect(200);
    let _worker = world.worker();
    world.drained().await;
    assert_eq!((rider.balance().await, third.balance().await), ("15.00".to_owned(), "10.00".to_owned()));
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_before_cannot_approve_a_refund_as_a_top_up() {
    let world = World::with(&[("FAREBOX__WALLETS__APPROVAL_ABOVE", "1000.00")]).await;
    let till = Client::operator(&world, "till").await;
    let trip = world.trip(4).await;
    let rider = world.rider("20.00").await;
    let order = paid(&world, &rider, &trip, &["1"], 50).await;
    let waits = act(&world.ops, &order, "refund", &json!({ "reason": "ill", "without_fee": true })).await;
    let id: uuid::Uuid = waits.expect(202)["approval"]["id"].as_str().unwrap().parse().unwrap();
    let ended = async |outcome: &str, by: uuid::Uuid, entry: Option<uuid::Uuid>| {
        let sql = "update wallet_approval set outcome = $2, decided_by = $3, decided_at = now(), entry_id = $4 where id = $1";
        let done = sqlx::query(sql).bind(id).bind(outcome).bind(by).bind(entry).execute(&world.pool).await;
        let refused = done.unwrap_err();
        refused.as_database_error().and_then(|error| error.constraint()).unwrap_or_default().to_owned()
    };
    // What such a process would write after it has entered a top-up, which rolls the top-up back.
    assert_eq!(ended("approved", till.id.0, Some(id)).await, "wallet_approval_refund_is_no_top_up");
    let second_person = "wallet_approval_refund_is_by_a_second_person";
    assert_eq!(ended("refunded", world.ops.id.0, None).await, second_person);
    assert_eq!(ended("refunded", rider.id.0, None).await, second_person);
    let top_up = json!({ "amount": "2000.00", "reference": format!("order {order}"), "reason": "a prize" });
    let other = world.ops.post(&format!("/v1/ops/wallets/{}/top-ups", rider.id), &top_up).await;
    assert_ne!(other.expect(202)["id"], json!(id), "a top-up never meets a refund's approval");
    world.verify().await;
}
