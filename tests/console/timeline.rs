//! An order's timeline: each request with its actor and key, and the rider's evaluation.

use super::session::ConsoleSession;
use crate::harness::World;
use chrono::TimeDelta;
use serde_json::{Value, json};

/// The events of this kind: what, and a detail.
async fn events(world: &World, order: &str, kind: &str) -> Vec<(String, Value)> {
    let story = world.ops.get(&format!("/v1/ops/orders/{order}/timeline")).await;
    let items = story.expect(200)["items"].as_array().unwrap().clone();
    let of_kind = items.into_iter().filter(|event| event["kind"] == kind);
    of_kind.map(|event| (event["what"].as_str().unwrap().to_owned(), event["detail"].clone())).collect()
}

/// What was asked for, under which keys and with which answers.
async fn requests(world: &World, order: &str) -> Vec<(String, String, i64)> {
    let all = events(world, order, "request").await.into_iter();
    all.map(|(what, detail)| {
        (what, detail["key"].as_str().unwrap().to_owned(), detail["status"].as_i64().unwrap())
    })
    .collect()
}

fn asked(all: &[(&str, &str, i64)]) -> Vec<(String, String, i64)> {
    all.iter().map(|(what, key, status)| ((*what).to_owned(), (*key).to_owned(), *status)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_has_each_request_its_actor_and_the_evaluation() {
    let world = World::new().await;
    let (trip, rider, other) =
        (world.trip(20).await, world.rider("100.00").await, world.rider("100.00").await);
    let id = |booked: crate::harness::Answer| booked.expect(201)["id"].as_str().unwrap().to_owned();

    let refunded = id(rider.key("book-a").book(&trip, &["1"]).await);
    rider.key("pay-a").pay(&refunded).await.expect(200);
    rider.key("refund-a").refund(&refunded).await.expect(200);
    let expected = [("book", "book-a", 201), ("pay", "pay-a", 200), ("refund", "refund-a", 200)];
    assert_eq!(requests(&world, &refunded).await, asked(&expected));
    let (_, detail) = &events(&world, &refunded, "request").await[0];
    let named = json!({"key": "book-a", "actor": rider.id, "user_name": "rider0", "status": 201});
    assert_eq!(detail, &named, "neither the fingerprint nor a body");

    let cancelled = id(rider.key("book-b").book(&trip, &["2"]).await);
    rider.key("cancel-b").cancel(&cancelled).await.expect(200);
    let expected = [("book", "book-b", 201), ("cancel", "cancel-b", 200)];
    assert_eq!(requests(&world, &cancelled).await, asked(&expected));

    // At the same moment, perhaps in one statement: each order has its own.
    let (mine, again) = (rider.key("book-c"), rider.key("book-d"));
    let strange = other.key("book-c");
    let (seats, more, last) = (["3"], ["4"], ["5"]);
    let (c, d, e) =
        tokio::join!(mine.book(&trip, &seats), again.book(&trip, &more), strange.book(&trip, &last));
    for (order, key, name) in
        [(id(c), "book-c", "rider0"), (id(d), "book-d", "rider0"), (id(e), "book-c", "rider1")]
    {
        assert_eq!(requests(&world, &order).await, asked(&[("book", key, 201)]));
        assert_eq!(events(&world, &order, "request").await[0].1["user_name"], name);
    }

    let ridden = rider.booked(&trip, &["6"]).await;
    rider.pay(&ridden).await.expect(200);
    assert_eq!(requests(&world, &ridden).await, [], "requests without a key leave nothing");
    world.departs_in(&trip, TimeDelta::hours(-1)).await;
    let thought = json!({"rating": 4, "comment": "on <time>"});
    let path = format!("/v1/orders/{ridden}/evaluation");
    rider.key("thought").post(&path, &thought).await.expect(201);
    assert_eq!(events(&world, &ridden, "evaluation").await, [("4".to_owned(), thought)]);
    assert_eq!(requests(&world, &ridden).await, asked(&[("evaluate", "thought", 201)]));

    let ops = ConsoleSession::enter(&world, "ops").await;
    let page = ops.page(&format!("/console/orders/{ridden}")).await;
    for said in ["asked to evaluate", "thought", "rider0", "4 / 5 — on &lt;time&gt;"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let page = ops.page(&format!("/console/orders/{refunded}")).await;
    for said in ["asked to book", "book-a", "asked for a refund", "refund-a", "answered 200"] {
        assert!(page.contains(said), "{said}: {page}");
    }
}
