//! Operators see and name seats by label.

use super::{
    import::texts,
    selling::{map, seat, selling},
    undoing::give_another_model,
};
use crate::{console::session::ConsoleSession, harness::World};
use farebox::verify::{Scope, verify};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn seats_are_blocked_and_released_by_label() {
    let (world, trip) = selling("ops-block").await;
    let rider = world.rider("100.00").await;
    rider.booked(&trip, &["2A", "12C"]).await;
    let act = async |what: &str, seats: &[&str]| {
        let body = json!({"seats": seats, "reason": "a broken belt"});
        world.ops.post(&format!("/v1/ops/trips/{trip}/seats/{what}"), &body).await
    };
    let blocked = act("block", &["12D", "3A"]).await;
    assert_eq!(blocked.expect(200)["blocked"], json!(["3A", "6D", "12D"]));
    assert_eq!(seat(&map(&rider, &trip).await, "12D")["state"], "blocked");
    let taken = act("block", &["12C", "3B", "2A"]).await;
    assert_eq!(taken.problem(409, "004000")["seats"], json!(["2A", "12C"]));
    for what in ["block", "release"] {
        let unknown = act(what, &["3A", "9"]).await;
        assert_eq!(unknown.problem(422, "003074")["rule"], "the trip has no seat 9");
    }
    let not_sold = act("release", &["12D", "6D"]).await;
    assert_eq!(not_sold.problem(422, "003074")["rule"], "the bus's model does not sell seat 6D");
    let released = act("release", &["12D"]).await;
    assert_eq!(released.expect(200)["blocked"], json!(["3A", "6D"]));
    let events = "select what || seats::text from trip_event order by at";
    assert_eq!(texts(&world.pool, events).await, ["seats_blocked{9,48}", "seats_released{48}"]);
    let audited = "select (detail -> 'seats')::text || (detail -> 'labels')::text from audit
                   where act = 'seats_block'";
    assert_eq!(texts(&world.pool, audited).await, [r#"[9, 48]["3A", "12D"]"#]);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_pages_and_live_seats_show_labels() {
    let (world, trip) = selling("ops-pages").await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["2A", "12D"]).await;
    let manifest = world.ops.get(&format!("/v1/ops/trips/{trip}/manifest")).await;
    let seats: Vec<_> =
        manifest.expect(200)["seats"].as_array().unwrap().iter().map(|line| line["seat"].clone()).collect();
    assert_eq!(seats, [json!("2A"), json!("12D")]);
    let csv = world.ops.get(&format!("/v1/ops/trips/{trip}/manifest?format=csv")).await.text;
    assert!(csv.lines().any(|line| line.starts_with(&format!("12D,{order},"))), "{csv}");

    let ops = ConsoleSession::enter(&world, "ops").await;
    let shown = ops.page(&format!("/console/trips/{trip}")).await;
    assert!(shown.contains("<strong>12D</strong>") && shown.contains("business"), "{shown}");
    assert!(shown.contains("4.25") && shown.contains("1.50"), "the price of each class: {shown}");
    let shown = ops.page(&format!("/console/orders/{order}")).await;
    assert!(shown.contains("2A, 12D") && shown.contains("Seats 2A, 12D are held until"), "{shown}");
    let found = ops.send("GET", &format!("/console/orders?trip={trip}&seat=12D"), None).await;
    assert!(
        found.url().path().ends_with(&order)
            || found.headers()["location"].to_str().unwrap().ends_with(&order)
    );
    let list = ops.page("/console/orders").await;
    assert!(list.contains("2A, 12D"), "{list}");

    let mut live = reqwest::get(format!("{}/v1/trips/{trip}/seats/events", world.api.base())).await.unwrap();
    let mut text = String::new();
    let mut read = async |snapshots: usize| {
        while text.matches("event: snapshot").count() < snapshots || !text.ends_with("\n\n") {
            text += std::str::from_utf8(&live.chunk().await.unwrap().expect("a snapshot")).unwrap();
        }
        text.clone()
    };
    let text = read(1).await;
    assert!(text.contains(r#"{"seat":"12D","state":"held"}"#), "{text}");
    assert!(text.contains(r#"{"seat":"6D","state":"blocked"}"#), "{text}");
    // Other seats are no changes of these.
    rider.cancel(&order).await.expect(200);
    give_another_model(&mut world.pool.acquire().await.unwrap(), &trip).await;
    let text = read(2).await;
    let last = text.rsplit("event: snapshot").next().unwrap();
    assert!(!last.contains("held") && last.matches("\"seat\"").count() == 48, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_tell_their_seats_by_label() {
    let (world, trip) = selling("ops-jobs").await;
    let rider = world.rider("100.00").await;
    let failed = rider.fault("order_calc_money_cancle.before=error").book(&trip, &["2A", "12D"]).await;
    let order = failed.problem(500, "003099")["order_id"].as_str().unwrap().to_owned();
    let job = "select id::text from queue.job where tag = 'order_calc_money_cancle'";
    let job = texts(&world.pool, job).await.pop().unwrap();
    let impact = world.ops.get(&format!("/v1/ops/jobs/{job}/impact")).await;
    assert_eq!(impact.expect(200)["run"]["en"], "frees seats 2A, 12D");
    assert_eq!((&impact.body["seats"], &impact.body["labels"]), (&json!([5, 48]), &json!(["2A", "12D"])));
    let timeline = world.ops.get(&format!("/v1/ops/orders/{order}/timeline")).await;
    let owed = &timeline.expect(200)["owed"][0];
    assert_eq!((&owed["seats"], &owed["labels"]), (&json!([5, 48]), &json!(["2A", "12D"])));

    // It was due an hour ago.
    let sql =
        "update queue.job set run_at = now() - interval '1 hour', first_due_at = now() - interval '1 hour'
               where tag = 'order_calc_money_cancle'";
    sqlx::query(sql).execute(&world.pool).await.unwrap();
    let output = crate::harness::command(env!("CARGO_BIN_EXE_farebox"), &world.db.url, &[])
        .arg("verify")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(", seats 2A 12D for"), "{text}");
}

async fn breaches(world: &World) -> Vec<&'static str> {
    let verdicts = verify(&world.pool, Scope::Whole).await.unwrap();
    verdicts.iter().filter(|verdict| !verdict.holds).map(|verdict| verdict.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_and_prices_other_than_the_models_are_found() {
    let (world, trip) = selling("ops-verify").await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["2A", "12D"]).await;
    let run = async |sql: &'static str, id: &str| sqlx::query(sql).bind(id).execute(&world.pool).await;
    world.verify().await;
    run("update orders set labels = '{2A,12C}' where id = $1::uuid", &order).await.unwrap();
    assert_eq!(breaches(&world).await, ["orders_cost_the_sum_of_their_prices"]);
    run("update orders set labels = '{2A,12D}' where id = $1::uuid", &order).await.unwrap();
    // Not even the owner of the tables stores another amount, or fewer prices.
    for sql in [
        "update orders set amount = 6 where id = $1::uuid",
        "update orders set prices = '{5.75}' where id = $1::uuid",
        "update orders set prices = '{5.75,0}' where id = $1::uuid",
        "update orders set prices = null where id = $1::uuid",
        "update orders set unit_price = 2.88 where id = $1::uuid",
        "update orders set labels = '{2A}' where id = $1::uuid",
    ] {
        assert!(run(sql, &order).await.is_err(), "{sql}");
    }
    for sql in [
        "update trip set price = 1 where id = $1::uuid",
        "update trip set class_prices = '{\"standard\": \"1.50\"}' where id = $1::uuid",
        "update trip set class_prices = '[]' where id = $1::uuid",
        "update trip set model_id = null where id = $1::uuid",
    ] {
        assert!(run(sql, &trip).await.is_err(), "{sql}");
    }
    world.verify().await;
    run("update seat set blocked = false where trip_id = $1::uuid and seat = 24", &trip).await.unwrap();
    assert_eq!(breaches(&world).await, ["trips_are_of_the_network"], "6D is not for sale");
    run("update seat set blocked = true where trip_id = $1::uuid and seat = 24", &trip).await.unwrap();
    let prices =
        "update trip set class_prices = '{\"standard\": \"1.50\", \"other\": \"2\"}' where id = $1::uuid";
    run(prices, &trip).await.unwrap();
    assert_eq!(breaches(&world).await, ["trips_are_of_the_network"], "a class for sale has no price");
}
