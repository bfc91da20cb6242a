//! What surrounds a request: places, headers, time limits, the end of a process.

use crate::harness::{Answer, Client, PASSWORD, PAY_PASSWORD, Wire, World, count, until};
use futures_util::{StreamExt, stream::FuturesUnordered};
use serde_json::json;
use std::future::Future;

/// Two connections, four permits, and no acquire timeout.
const TIGHT: [(&str, &str); 7] = [
    ("FAREBOX__DATABASE__MAX_CONNECTIONS", "2"),
    ("FAREBOX__DATABASE__RESERVED_CONNECTIONS", "2"),
    ("FAREBOX__DATABASE__ACQUIRE_TIMEOUT_MS", "60000"),
    ("FAREBOX__DATABASE__LOCK_TIMEOUT_MS", "60000"),
    ("FAREBOX__DATABASE__STATEMENT_TIMEOUT_MS", "60000"),
    ("FAREBOX__ADMISSION__CHANGES", "4"),
    ("FAREBOX__ADMISSION__WAIT_MS", "0"),
];

/// The number of connections that wait for a lock.
async fn waiting(world: &World, connections: i64) {
    until("they wait", || async { world.waiting_for_locks().await == connections }).await;
}

/// Locks the seats until it is committed.
async fn lock(world: &World) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut lock = world.pool.begin().await.unwrap();
    for sql in
        ["set local idle_in_transaction_session_timeout = 0", "lock table seat in access exclusive mode"]
    {
        sqlx::query(sql).execute(&mut *lock).await.unwrap();
    }
    lock
}

/// Twenty bookings of a seat each, of which four found a place and have no answer yet. The first
/// waits for the lock before the others come, or it might share its statement with them all, and
/// the second connection would be free.
async fn crowd(world: &World, rider: &Client, trip: &str) -> FuturesUnordered<impl Future<Output = Answer>> {
    let book = |seat: usize| {
        let (rider, trip) = (rider.clone(), trip.to_owned());
        async move { rider.book(&trip, &[&seat.to_string()]).await }
    };
    let mut bookings = FuturesUnordered::from_iter([book(1)]);
    tokio::select! {
        _ = bookings.next() => panic!("nobody gets at the seats"),
        () = waiting(world, 1) => {}
    }
    bookings.extend((2..=20).map(book));
    for _ in 0..16 {
        let refused = bookings.next().await.unwrap();
        refused.problem(503, "005002");
        assert_eq!(refused.headers["retry-after"], "2");
    }
    bookings
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saturated_pool_refuses_at_once_and_serves_operators() {
    let world = World::with(&TIGHT).await;
    let (rider, trip) = (world.rider("0").await, world.trip(20).await);
    let lock = lock(&world).await;
    let mut bookings = crowd(&world, &rider, &trip).await;
    waiting(&world, 2).await;
    world.ops.get("/health/ready").await.expect(200);
    world.ops.get("/v1/ops/queues").await.expect(200);
    let metrics = world.ops.get("/metrics").await;
    assert!(metrics.text.contains("farebox_http_refused_total{why=\"crowded\"} 16"), "{}", metrics.text);
    rider.delete("/v1/sessions/current").await.problem(503, "005002");
    lock.commit().await.unwrap();
    while let Some(booked) = bookings.next().await {
        booked.expect(201);
    }
    rider.delete("/v1/sessions/current").await.expect(204);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_permit_waits_briefly_for_one() {
    let patient = [&TIGHT[..6], &[("FAREBOX__ADMISSION__WAIT_MS", "60000")]].concat();
    let world = World::with(&patient).await;
    let (rider, trip) = (world.rider("0").await, world.trip(20).await);
    let lock = lock(&world).await;
    let book = |seat: usize| {
        let (rider, trip) = (rider.clone(), trip.clone());
        tokio::spawn(async move { rider.book(&trip, &[&seat.to_string()]).await })
    };
    let bookings: Vec<_> = (1..=20).map(book).collect();
    let metrics = async || world.ops.get("/metrics").await.text;
    until("four have places, the others wait", || async {
        metrics().await.contains("farebox_http_waiting 16\n")
    })
    .await;
    lock.commit().await.unwrap();
    for booking in bookings {
        booking.await.unwrap().expect(201);
    }
    let metrics = metrics().await;
    assert!(metrics.contains("farebox_http_waiting 0\n"), "{metrics}");
    assert!(metrics.contains("why=\"crowded\"} 0\n"), "{metrics}");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_client_holds_its_permit_until_its_saga_ends() {
    let world = World::with(&TIGHT).await;
    let (rider, trip) = (world.rider("0").await, world.trip(21).await);
    let lock = lock(&world).await;
    let bookings = crowd(&world, &rider, &trip).await;
    waiting(&world, 2).await;
    drop(bookings);
    for _ in 0..50 {
        rider.book(&trip, &["21"]).await.problem(503, "005002");
    }
    lock.commit().await.unwrap();
    until("the flows have ended", || async { rider.book(&trip, &["21"]).await.status == 201 }).await;
    until("each has its seat", || async { world.free_seats(&trip).await == 16 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_its_security_headers_and_ids() {
    let world = World::new().await;
    let mut wire = Wire::to(&world.api.base()).await;
    for line in
        ["GET /v1/trips", "GET /v1/nothing", "GET /health/live", "POST /v1/orders", "DELETE /v1/orders"]
    {
        let reply = wire.ask(line, "").await;
        for header in [
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            // What nobody signs in for may be kept, and is asked about each time.
            if line == "GET /v1/trips" { "cache-control: no-cache" } else { "cache-control: no-store" },
            "content-security-policy: default-src 'none';",
        ] {
            assert!(reply.head.contains(header), "{line} {reply:?}");
        }
    }
    let page = wire.ask("GET /docs", "").await;
    assert!(page.head.contains("style-src 'sha256-") && page.body.contains("<style>"), "{}", page.head);
    let is_strict = !page.head.contains("unsafe-inline") && page.head.contains("script-src 'sha256-");
    assert!(is_strict && page.head.contains("default-src 'none'"), "{}", page.head);
    let ids = async |given: &str| {
        let answer = reqwest::Client::new().get(format!("{}/v1/wallet", world.api.base()));
        let answer = answer.header("x-request-id", given).send().await.unwrap();
        let id = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        (id("x-request-id"), id("x-trace-id"))
    };
    let (given, trace) = ids("client-7:abc_1.2").await;
    assert_eq!(given, "client-7:abc_1.2");
    assert!(world.api.wait_for_line("client-7:abc_1.2").contains(&trace), "both are in the log");
    for odd in ["", "two words", "quote\"", "lin@example.com", &"x".repeat(129)] {
        let (given, trace) = ids(odd).await;
        assert_eq!(given, trace, "{odd:?} is no id");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_allowed_origins_may_call() {
    let world =
        World::with(&[("FAREBOX__HTTP__CORS_ORIGINS", "https://rides.example, http://localhost:5173")]).await;
    let closed = world.another_api();
    let preflight = async |base: &str, origin: &str| {
        let headers = format!(
            "origin: {origin}\r\naccess-control-request-method: POST\r\n\
             access-control-request-headers: authorization,idempotency-key\r\n"
        );
        Wire::to(base).await.ask("OPTIONS /v1/orders", &headers).await
    };
    for origin in ["https://rides.example", "http://localhost:5173"] {
        let reply = preflight(&world.api.base(), origin).await;
        assert_eq!(reply.status, 200);
        for header in [&*format!("access-control-allow-origin: {origin}\r\n"), "idempotency-key"] {
            assert!(reply.head.contains(header), "{reply:?}");
        }
        let plain =
            Wire::to(&world.api.base()).await.ask("GET /v1/trips", &format!("origin: {origin}\r\n")).await;
        assert!(plain.head.contains("access-control-expose-headers"), "{plain:?}");
        assert!(!plain.head.contains("credentials"), "{plain:?}");
    }
    for (base, origin) in
        [(world.api.base(), "https://evil.example"), (closed.base(), "https://rides.example")]
    {
        let reply = preflight(&base, origin).await;
        assert!(!reply.head.contains("access-control-allow-origin"), "{reply:?}");
    }
    let odd = [("FAREBOX__HTTP__CORS_ORIGINS", "rides.example")];
    let api = env!("CARGO_BIN_EXE_farebox-api");
    let mut refused = crate::harness::Process::start(crate::harness::command(api, &world.db.url, &odd));
    assert!(!refused.wait().success());
    refused.wait_for_line("is not an origin");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_oversized_requests_are_ended() {
    let world =
        World::with(&[("FAREBOX__HTTP__BODY_TIMEOUT_MS", "300"), ("FAREBOX__HTTP__HEAD_TIMEOUT_MS", "2000")])
            .await;
    let base = world.api.base();
    let mut slow = Wire::to(&base).await;
    slow.send("POST /v1/sessions HTTP/1.1\r\nhost: farebox\r\ncontent-length: 100\r\n\r\n{\"user_name\": ")
        .await;
    let reply = slow.reply().await.unwrap();
    assert!(reply.status == 408 && reply.body.contains("003098"), "{reply:?}");
    let mut large = Wire::to(&base).await;
    let header = format!("x-large: {}\r\n", "x".repeat(20_000));
    assert_eq!(large.ask("GET /v1/trips", &header).await.status, 431);
    let mut many = Wire::to(&base).await;
    assert_eq!(many.ask("GET /v1/trips", &"x-many: 1\r\n".repeat(70)).await.status, 431);
    let mut fine = Wire::to(&base).await;
    assert_eq!(fine.ask("GET /v1/trips", &"x-many: 1\r\n".repeat(40)).await.status, 200);
    let mut stuck = Wire::to(&base).await;
    stuck.send("GET /v1/trips HTTP/1.1\r\nhost: fare").await;
    assert!(stuck.reply().await.is_none_or(|reply| reply.status == 408), "the connection is closed");
    assert!(fine.reply().await.is_none(), "so is an idle one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_what_runs_and_accepts_nothing_new() {
    let mut world = World::new().await;
    let (rider, trip) = (world.rider("0").await, world.trip(20).await);
    let slow = rider.fault("order_add_cancle.before=sleep:4000");
    let booking = tokio::spawn(async move { slow.book(&trip, &["1"]).await });
    until("the booking is half done", || async {
        count(&world.pool, "select count(*) from seat where order_id is not null").await == 1
    })
    .await;
    let address = world.api.base().strip_prefix("http://").unwrap().to_owned();
    world.api.signal(libc::SIGTERM);
    until("new connections are refused", || async {
        tokio::net::TcpStream::connect(&address).await.is_err()
    })
    .await;
    assert!(!booking.is_finished() && world.api.is_alive(), "the booking still runs");
    booking.await.unwrap().expect(201);
    assert!(world.api.wait().success());
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_name_no_person() {
    let world = World::with(&[
        ("FAREBOX__LOG__FILTER", "debug"),
        ("FAREBOX__HTTP__TRUSTED_PROXIES", "1"),
        ("FAREBOX__LIMITS__ENABLED", "true"),
    ])
    .await;
    let trip = world.trip(20).await;
    let new = json!({
        "user_name": "Lin.Wei", "password": PASSWORD, "pay_password": PAY_PASSWORD,
        "email": "lin@example.com", "phone": "13800138000",
    });
    let stranger = Client::stranger(&world.api.base());
    stranger.post("/v1/riders", &new).await.expect(201);
    stranger.post("/v1/riders", &new).await.problem(409, "003003");
    stranger
        .post("/v1/sessions", &json!({"user_name": "Lin.Wei", "password": "a wrong one"}))
        .await
        .expect(401);
    let rider = Client::sign_in(&world.api.base(), "Lin.Wei").await;
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay_with(&order, "654321").await.problem(403, "004001");
    rider.pay(&order).await.problem(402, "004002");
    let from = format!("authorization: {}\r\nx-forwarded-for: 203.0.113.77\r\n", rider.authorization());
    assert_eq!(Wire::to(&world.api.base()).await.ask("GET /v1/wallet?name=Lin.Wei", &from).await.status, 422);
    // The last line may come after the answer.
    world.api.wait_for_line("/v1/wallet");
    let log = world.api.log().to_lowercase();
    let token = rider.authorization().to_lowercase();
    for secret in [
        "lin.wei",
        PASSWORD,
        PAY_PASSWORD,
        "654321",
        "a wrong one",
        "lin@example.com",
        "13800138000",
        "203.0.113.77",
        "argon2id",
        token.strip_prefix("bearer ").unwrap(),
    ] {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} is in the log: {line:?}");
    }
}
