//! Limits: what is refused, what the headers say, and that replicas share limits while Redis is up.
//! Without Redis they go on alone.

use crate::harness::{Answer, Client, Process, RedisServer, Wire, World, until};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Requests of a storm.
const REQUESTS: usize = 10_000;
/// What the storm's policy lets through; the next one only after three minutes.
const QUOTA: usize = 500;
/// Connections to each replica.
const CONNECTIONS: usize = 8;
/// No request waits for Redis. Far above what a busy machine adds, far below what waiting for a
/// dead server would take ([`PATIENT`]).
const SLOWEST: Duration = Duration::from_secs(30);

/// So long that no busy machine makes a replica count for itself while Redis is well, milliseconds.
const PATIENT: &str = "60000";

const ON: (&str, &str) = ("FAREBOX__LIMITS__ENABLED", "true");
const PROXY: (&str, &str) = ("FAREBOX__HTTP__TRUSTED_PROXIES", "1");

#[tokio::test(flavor = "multi_thread")]
async fn limited_responses_name_their_policy_and_refusals_a_retry_time() {
    let policy = [ON, ("FAREBOX__LIMITS__BOOKING_PER_RIDER", "2/100")];
    let world = World::with(&policy).await;
    let (rider, other) = (world.rider("0").await, world.rider("0").await);
    let trip = world.trip(20).await;
    let first = rider.book(&trip, &["1"]).await;
    first.expect(201);
    let header = |answer: &Answer, name: &str| answer.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header(&first, "ratelimit"), r#""booking";r=1;t=50, "booking-address";r=1199;t=1"#);
    assert_eq!(header(&first, "ratelimit-policy"), r#""booking";q=2;w=100, "booking-address";q=1200;w=60"#);
    // What is wrong costs as much as what is right.
    rider.book(&trip, &["99"]).await.problem(422, "003074");
    let beyond = rider.book(&trip, &["2"]).await;
    let problem = beyond.problem(429, "005001");
    let wait = problem["retry_after"].as_u64().unwrap();
    assert!((40..=50).contains(&wait), "{}", beyond.text);
    assert_eq!(header(&beyond, "retry-after"), wait.to_string());
    assert!(header(&beyond, "ratelimit").starts_with(&format!(r#""booking";r=0;t={wait}, "#)), "{beyond:?}");
    other.book(&trip, &["2"]).await.expect(201);
    let chinese = reqwest::Client::new()
        .post(format!("{}/v1/orders", world.api.base()))
        .header("accept-language", "zh")
        .header("authorization", rider.authorization());
    assert!(chinese.send().await.unwrap().text().await.unwrap().contains("已限流，请稍后再试哦"));
    let seats = sqlx::query_scalar::<_, i64>("select count(*) from seat where order_id is not null");
    assert_eq!(seats.fetch_one(&world.pool).await.unwrap(), 2, "the refused booking holds nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_costly_action_has_its_own_limit_per_address() {
    let world = World::with(&[
        ON,
        PROXY,
        ("FAREBOX__LIMITS__REGISTERING_PER_ADDRESS", "1/1000"),
        ("FAREBOX__LIMITS__SIGNING_IN_PER_ADDRESS", "3/1000"),
        ("FAREBOX__LIMITS__BOOKING_PER_ADDRESS", "1/1000"),
        ("FAREBOX__LIMITS__PAYING_PER_ADDRESS", "1/1000"),
        ("FAREBOX__LIMITS__REFUNDING_PER_ADDRESS", "1/1000"),
    ])
    .await;
    let rider = world.rider("0").await;
    let order = "/v1/orders/0190b5a0-0000-7000-8000-000000000000";
    let acts = [
        ("POST /v1/riders".to_owned(), 422, "registering-address"),
        ("POST /v1/sessions".to_owned(), 422, "signing-in-address"),
        ("POST /v1/orders".to_owned(), 422, "booking-address"),
        (format!("POST {order}/pay"), 422, "paying-address"),
        (format!("POST {order}/refund"), 404, "refunding-address"),
    ];
    for (line, status, policy) in &acts {
        // An address list that a client starts by itself does not change its address.
        for (from, seen) in
            [("198.51.100.1, 203.0.113.1", *status), ("203.0.113.1", 429), ("203.0.113.2", *status)]
        {
            let from = format!("authorization: {}\r\nx-forwarded-for: {from}\r\n", rider.authorization());
            let mut wire = Wire::to(&world.api.base()).await;
            let tries = if *policy == "signing-in-address" && seen == 429 { 3 } else { 1 };
            let mut reply = wire.ask(line, &from).await;
            for _ in 1..tries {
                reply = wire.ask(line, &from).await;
            }
            assert_eq!(reply.status, seen, "{line} {from} {reply:?}");
            assert!(reply.head.contains(&format!("\"{policy}\";q=")), "{line} {reply:?}");
        }
    }
    // One that changes an order in another way shares the refunds' limit; the rest has none.
    let from = format!("authorization: {}\r\nx-forwarded-for: 203.0.113.1\r\n", rider.authorization());
    let mut wire = Wire::to(&world.api.base()).await;
    assert_eq!(wire.ask(&format!("POST {order}/cancel"), &from).await.status, 429);
    assert_eq!(wire.ask("PUT /v1/riders/me/pay-password", &from).await.status, 429);
    assert_eq!(wire.ask("POST /v1/payment-authorizations", &from).await.status, 429);
    for line in ["GET /v1/orders", "GET /v1/wallet", "GET /v1/trips"] {
        let reply = wire.ask(line, &from).await;
        assert!(reply.status == 200 && !reply.head.contains("ratelimit"), "{line} {reply:?}");
    }
}

/// What came back from a storm, by status, and how long the slowest took.
#[derive(Debug, Default)]
struct Counts {
    statuses: BTreeMap<u16, usize>,
    slowest: Duration,
}

/// Bookings without a token: those within the limit are answered 401, which costs nothing more.
async fn storm(bases: &[String], requests: usize, half_way: impl FnOnce() + Send + 'static) -> Counts {
    let (sent, half_way) = (Arc::new(AtomicUsize::new(0)), Arc::new(std::sync::Mutex::new(Some(half_way))));
    let each = requests / bases.len() / CONNECTIONS;
    let mut storms = Vec::new();
    for base in bases.iter().flat_map(|base| std::iter::repeat_n(base.clone(), CONNECTIONS)) {
        let (sent, half_way) = (Arc::clone(&sent), Arc::clone(&half_way));
        storms.push(tokio::spawn(async move {
            let (mut wire, mut counts) = (Wire::to(&base).await, Counts::default());
            for _ in 0..each {
                if sent.fetch_add(1, Ordering::Relaxed) == requests / 2 {
                    half_way.lock().unwrap().take().unwrap()();
                }
                let began = Instant::now();
                let reply = wire.ask("POST /v1/orders", "").await;
                counts.slowest = counts.slowest.max(began.elapsed());
                *counts.statuses.entry(reply.status).or_default() += 1;
            }
            counts
        }));
    }
    let mut all = Counts::default();
    for storm in storms {
        let counts = storm.await.unwrap();
        all.slowest = all.slowest.max(counts.slowest);
        counts.statuses.into_iter().for_each(|(status, n)| *all.statuses.entry(status).or_default() += n);
    }
    println!("{all:?}");
    all
}

/// Two replicas that share this Redis, connected to it, and wait this number of milliseconds for it.
async fn replicas(redis: &RedisServer, timeout: &str) -> (World, Process, [String; 2]) {
    let url = redis.url();
    let policy = [
        ON,
        ("FAREBOX__LIMITS__BOOKING_PER_ADDRESS", "500/86400"),
        ("FAREBOX__REDIS__URL", &*url),
        ("FAREBOX__REDIS__TIMEOUT_MS", timeout),
    ];
    let world = World::with(&policy).await;
    let replica = Process::api(&world.db.url, &policy);
    for api in [&world.api, &replica] {
        api.wait_for_line("connected to Redis");
    }
    let bases = [world.api.base(), replica.base()];
    (world, replica, bases)
}

fn exactly(counts: &Counts, requests: usize, through: usize) {
    let expected = BTreeMap::from([(401, through), (429, requests - through)]);
    assert_eq!(counts.statuses, expected.into_iter().filter(|(_, n)| *n > 0).collect());
    assert!(counts.slowest < SLOWEST, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_requests_on_two_replicas_share_one_limit_in_redis() {
    let redis = RedisServer::start();
    let (_world, _replica, bases) = replicas(&redis, PATIENT).await;
    let counts = storm(&bases, REQUESTS, || {}).await;
    exactly(&counts, REQUESTS, QUOTA);
    assert_eq!(redis.say("DBSIZE"), ":1", "one address, one number");
    let keys = redis.keys();
    assert!(keys.contains("farebox:limit:") && !keys.contains("127.0.0.1"), "{keys}");
    // Flushed, it learns again what the replicas remember.
    redis.say("FLUSHALL");
    exactly(&storm(&bases, 160, || {}).await, 160, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_killed_half_way_fails_no_request_and_lets_none_through_twice() {
    let mut redis = RedisServer::start();
    let (world, replica, bases) = replicas(&redis, PATIENT).await;
    let (kill, killed) = std::sync::mpsc::channel();
    let killer = std::thread::spawn(move || {
        killed.recv().unwrap();
        redis.kill();
        redis
    });
    let counts = storm(&bases, REQUESTS, move || kill.send(()).unwrap()).await;
    exactly(&counts, REQUESTS, QUOTA);
    // It comes back empty: the replicas find it, and still remember.
    let _redis = killer.join().unwrap().again();
    for api in [&world.api, &replica] {
        until("Redis is found again", || async { api.log().matches("connected to Redis").count() == 2 })
            .await;
    }
    exactly(&storm(&bases, 160, || {}).await, 160, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_redis_delays_no_request() {
    let redis = RedisServer::start();
    let (world, replica, bases) = replicas(&redis, "50").await;
    redis.signal(libc::SIGSTOP);
    // Each replica counts for itself now.
    exactly(&storm(&bases, 2000, || {}).await, 2000, 2 * QUOTA);
    redis.signal(libc::SIGCONT);
    for api in [&world.api, &replica] {
        api.wait_for_line("continuing without Redis");
        until("Redis is found again", || async { api.log().matches("connected to Redis").count() >= 2 })
            .await;
    }
    exactly(&storm(&bases, 160, || {}).await, 160, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_each_replica_counts_for_itself() {
    let policy = [
        ON,
        ("FAREBOX__LIMITS__BOOKING_PER_ADDRESS", "50/86400"),
        // Nobody listens there.
        ("FAREBOX__REDIS__URL", "redis://127.0.0.1:1/0"),
    ];
    let world = World::with(&policy).await;
    world.api.wait_for_line("cannot connect to Redis");
    exactly(&storm(&[world.api.base()], 160, || {}).await, 160, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trip_list_is_cached_briefly_and_works_without_the_cache() {
    let mut redis = RedisServer::start();
    let url = redis.url();
    let world = World::with(&[
        ("FAREBOX__REDIS__URL", &*url),
        ("FAREBOX__REDIS__TIMEOUT_MS", PATIENT),
        ("FAREBOX__REDIS__TRIPS_MS", "600000"),
    ])
    .await;
    world.api.wait_for_line("connected to Redis");
    let trip = world.trip(20).await;
    let rider = world.rider("100.00").await;
    let sql = "select (departs_at at time zone 'Asia/Shanghai')::date::text from trip where id = $1::uuid";
    let day: String = sqlx::query_scalar(sql).bind(&trip).fetch_one(&world.pool).await.unwrap();
    let path = format!("/v1/trips?date={day}&direction=0");
    let listed = async |client: &Client| {
        let list = client.get(&path).await;
        assert_eq!(list.headers["content-type"], "application/json");
        let of_trip = |item: &&serde_json::Value| item["id"] == trip.as_str();
        list.expect(200)["items"].as_array().unwrap().iter().find(of_trip).unwrap()["free_seats"].clone()
    };
    assert_eq!(listed(&rider).await, 20);
    let order = rider.booked(&trip, &["7"]).await;
    assert_eq!(listed(&rider).await, 20, "kept");
    // What decides is never kept.
    assert_eq!(rider.get(&format!("/v1/trips/{trip}")).await.expect(200)["free_seats"], 19);
    world.rider("0").await.book(&trip, &["7"]).await.problem(409, "004000");
    assert_eq!(
        world.ops.get(&format!("/v1/trips?date={day}&direction=1")).await.expect(200)["items"],
        json!([])
    );
    redis.say("FLUSHALL");
    assert_eq!(listed(&rider).await, 19, "flushed");
    rider.pay(&order).await.expect(200);
    rider.refund(&order).await.expect(200);
    assert_eq!(listed(&rider).await, 19, "kept again");
    redis.kill();
    assert_eq!(listed(&rider).await, 20, "gone");
    rider.booked(&trip, &["8"]).await;
    assert_eq!(listed(&rider).await, 19);
    world.verify().await;
}
