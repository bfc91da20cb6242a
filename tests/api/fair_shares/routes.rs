//! Limits of every route, and what is stored of refusals.

use super::{metric, world};
use crate::harness::{Client, Wire, World, count};
use serde_json::json;

const ME: &str = "/v1/riders/me";

/// The rows that are stored for this account's keys.
async fn stored(world: &World, client: &Client) -> i64 {
    let sql = "select count(*) from idempotency where actor = $1";
    sqlx::query_scalar(sql).bind(client.id.0).fetch_one(&world.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_evaluations_of_nothing_leave_no_row_and_are_limited() {
    let world = world(&[]).await;
    let rider = world.rider("0").await;
    let before = count(&world.pool, "select count(*) from idempotency").await;
    let mut wire = Wire::to(&world.api.base()).await;
    let mut seen = std::collections::BTreeMap::<u16, usize>::new();
    for nr in 0..2_000 {
        let body = "{\"rating\": 5}";
        let head = format!(
            "POST /v1/orders/{}/evaluation HTTP/1.1\r\nhost: farebox\r\ncontent-length: {}\r\n\
             authorization: {}\r\nidempotency-key: key-{nr}\r\n\r\n",
            uuid::Uuid::now_v7(),
            body.len(),
            rider.authorization()
        );
        wire.send(&(head + body)).await;
        *seen.entry(wire.reply().await.unwrap().status).or_default() += 1;
    }
    assert_eq!(count(&world.pool, "select count(*) from idempotency").await, before);
    let judged = seen.get(&404).copied().unwrap_or(0);
    assert!((120..1_000).contains(&judged) && seen.keys().all(|s| [404, 429].contains(s)), "{seen:?}");
    let limited = "farebox_http_refused_total{why=\"limited\"}";
    assert_eq!(metric(&world.ops, limited).await, 2_000 - judged as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_refusals_are_stored_and_the_rest_is_judged_anew() {
    let more = [("FAREBOX__LIMITS__STORED_REFUSALS_PER_RIDER", "3/86400")];
    let world = world(&more).await;
    let (rider, trip) = (world.rider("0").await, world.trip(4).await);
    let order = rider.booked(&trip, &["1"]).await;
    let (refund, evaluation) =
        (format!("/v1/orders/{order}/refund"), format!("/v1/orders/{order}/evaluation"));
    let body = json!({ "rating": 5 });
    for nr in 0..4 {
        for (path, body) in [(&refund, json!({})), (&evaluation, body.clone())] {
            rider.key(&format!("{path} {nr}")).post(path, &body).await.problem(409, "006002");
        }
    }
    assert_eq!(stored(&world, &rider).await, 3);
    let replays = async |key: &str, path: &str, body: &serde_json::Value| {
        let answer = rider.key(key).post(path, body).await;
        answer.problem(409, "006002");
        answer.headers.contains_key("idempotent-replayed")
    };
    assert!(replays(&format!("{refund} 0"), &refund, &json!({})).await, "what is stored is replayed");
    assert!(!replays(&format!("{refund} 3"), &refund, &json!({})).await);
    assert!(!replays(&format!("{evaluation} 3"), &evaluation, &body).await);
    // A key that is stored is still of its own request only, and a success is stored in any case.
    let other = rider.key(&format!("{refund} 0")).post(&evaluation, &body).await;
    other.problem(422, "006005");
    rider.key("book").book(&trip, &["2"]).await.expect(201);
    let again = rider.key("book").book(&trip, &["2"]).await;
    again.expect(201);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    rider.key("book").book(&trip, &["3"]).await.problem(422, "006005");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_reads_and_operators_have_limits_of_their_own() {
    let more = [
        ("FAREBOX__LIMITS__CHANGING_PER_RIDER", "2/1000"),
        ("FAREBOX__LIMITS__OPERATING_PER_ADDRESS", "2/1000"),
        ("FAREBOX__LIMITS__SEARCHING_PER_ADDRESS", "2/1000"),
        ("FAREBOX__LIMITS__READING_PER_ADDRESS", "3/1000"),
    ];
    let world = world(&more).await;
    let rider = world.rider("0").await;
    let mut wire = Wire::to(&world.api.base()).await;
    let from = format!("authorization: {}\r\nx-forwarded-for: 192.0.2.1\r\n", rider.authorization());
    let cases: [(&str, &str, usize); 6] = [
        ("PATCH /v1/riders/me", "changing", 2),
        ("POST /v1/ops/queues/pay_cancle/pause", "operating-address", 2),
        ("POST /console/jobs/1/retry", "operating-address", 0),
        ("GET /v1/ops/verify", "searching-address", 2),
        ("GET /console/search?q=a", "searching-address", 0),
        ("GET /v1/trips", "reading-address", 3),
    ];
    for (line, policy, fits) in cases {
        for _ in 0..fits {
            let reply = wire.ask(line, &from).await;
            assert_ne!(reply.status, 429, "{line} {reply:?}");
        }
        let reply = wire.ask(line, &from).await;
        assert_eq!(reply.status, 429, "{line} {reply:?}");
        assert!(reply.head.contains(&format!("\"{policy}\";r=0")), "{line} {reply:?}");
        assert!(reply.head.contains("retry-after: "), "{line} {reply:?}");
    }
    // Health is never limited, and neither is another address.
    for _ in 0..5 {
        assert_eq!(wire.ask("GET /health/live", &from).await.status, 200);
    }
    assert_eq!(rider.get(ME).await.status, 200);
    // A browser's event source gets the event `busy`: it would give up for good at a 429.
    let events = format!("{from}accept: text/event-stream\r\n");
    let trip = uuid::Uuid::now_v7();
    let reply = wire.ask(&format!("GET /v1/trips/{trip}/seats/events"), &events).await;
    assert!(reply.status == 200 && reply.head.contains("text/event-stream"), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_of_one_value_is_sent_once_and_the_scheme_in_any_case() {
    let world = world(&[]).await;
    let rider = world.rider("0").await;
    let token = rider.authorization();
    let token = token.strip_prefix("Bearer ").unwrap();
    let mut wire = Wire::to(&world.api.base()).await;
    for scheme in ["bearer", "BEARER", "Bearer"] {
        let reply = wire.ask("GET /v1/wallet", &format!("authorization: {scheme} {token}\r\n")).await;
        assert_eq!(reply.status, 200, "{scheme}");
    }
    let twice = format!("authorization: Bearer {token}\r\nauthorization: Bearer {token}\r\n");
    assert_eq!(wire.ask("GET /v1/wallet", &twice).await.status, 400);
    let keys = format!("authorization: Bearer {token}\r\nidempotency-key: a\r\nidempotency-key: b\r\n");
    assert_eq!(wire.ask("POST /v1/orders", &keys).await.status, 400);
}
