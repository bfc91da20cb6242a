//! Requests dropped at random moments beside clients that wait for their answers.

use super::{
    NO_TIMEOUT, nobody_is_inside,
    requests::{Forms, connect, evaluation, keyed, top_up},
};
use crate::harness::{Client, PAY_PASSWORD, World, count};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncWriteExt, task::JoinSet, time::sleep};
use uuid::Uuid;

/// A tenth of the long run.
#[tokio::test(flavor = "multi_thread")]
async fn requests_dropped_at_random_moments_break_no_promise() {
    drop_at_random(1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "ten times as long"]
async fn ten_thousand_requests_dropped_at_random_moments_break_no_promise() {
    drop_at_random(10_000).await;
}

/// Clients that drop requests, and clients that wait for their answers.
const DROPPERS: usize = 12;
const RIDERS: usize = 3;
/// Drops per awaited answer, at most: what is dropped delays no other request. A machine that is
/// busy with other things has about 14.
const DROPS_TO_ONE_TOLD: usize = 50;
/// Longest time between a request and its end, µs.
const LONGEST: u64 = 8_000;

/// `CANCEL_SEED` repeats a run's choices, `CANCEL_DROPS` sets how many there are.
async fn drop_at_random(drops: usize) {
    let of = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = of("CANCEL_SEED").unwrap_or_else(rand::random);
    let drops = of("CANCEL_DROPS").map_or(drops, |drops| usize::try_from(drops).unwrap());
    println!("CANCEL_SEED={seed} CANCEL_DROPS={drops}");
    let world = Arc::new(World::with(&[("FAREBOX__DATABASE__MAX_CONNECTIONS", "8"), NO_TIMEOUT]).await);
    let worker = world.worker();
    let mut trips = Vec::new();
    for _ in 0..4 {
        trips.push(world.trip(1_000).await);
    }
    let trips: Arc<[String]> = trips.into();
    let left = Arc::new(AtomicUsize::new(drops));
    let mut riding = JoinSet::new();
    for nr in 0..RIDERS {
        let rider = world.rider("1000.00").await;
        let random = StdRng::seed_from_u64(seed.wrapping_sub(1 + nr as u64));
        riding.spawn(ride(Arc::clone(&world), rider, Arc::clone(&trips), random, Arc::clone(&left)));
    }
    let mut dropping = JoinSet::new();
    for nr in 0..DROPPERS {
        let rider = world.rider("1000.00").await;
        let forms = Forms::of(&world, &rider).await;
        let random = StdRng::seed_from_u64(seed.wrapping_add(nr as u64));
        let (world, trips, left) = (Arc::clone(&world), Arc::clone(&trips), Arc::clone(&left));
        let dropper = Dropper { world, rider, forms, trips, random, orders: Vec::new() };
        dropping.spawn(dropper.run(left));
    }
    let dropped: Vec<_> = dropping.join_all().await;
    let acknowledged: Vec<_> = riding.join_all().await.into_iter().flatten().collect();

    // What was dropped is asked again: the same key, the same answer, or the first one now.
    for (rider, path, key, body) in dropped.into_iter().flatten() {
        let answer = rider.key(&key).post(&path, &body).await;
        assert!(answer.status.as_u16() < 500, "{path} {key}: {}", answer.text);
        if answer.status == 201 && path == "/v1/orders" {
            let order = answer.body["id"].as_str().unwrap();
            assert_ne!(world.order(order).await, Value::Null, "{key}: nobody else sees {order}");
        }
    }
    for acknowledged in &acknowledged {
        acknowledged.holds(&world).await;
    }
    let twice = "select count(*) from (select reference from ledger_entry where reference is not null
                 group by rider_id, reference having count(*) > 1) as r";
    assert_eq!(count(&world.pool, twice).await, 0, "a top-up was made twice");
    nobody_is_inside(&world.pool).await;
    world.pass_undo_delay().await;
    world.drained().await;
    nobody_is_inside(&world.pool).await;
    world.verify().await;
    println!("{drops} dropped, {} acknowledged", acknowledged.len());
    let share = drops / DROPS_TO_ONE_TOLD;
    assert!(
        acknowledged.len() >= share.max(RIDERS),
        "{} answers of at least {share} were acknowledged beside",
        acknowledged.len()
    );
    drop(worker);
}

/// A rider's request that was dropped and bears being repeated: path, key, body.
type Dropped = (Client, String, String, Value);

/// Repeats of one dropping client, at most.
const REPEATS: usize = 10;

struct Dropper {
    world: Arc<World>,
    rider: Client,
    forms: Forms,
    trips: Arc<[String]>,
    random: StdRng,
    orders: Vec<String>,
}

impl Dropper {
    async fn run(mut self, left: Arc<AtomicUsize>) -> Vec<Dropped> {
        let mut dropped = Vec::new();
        while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            let (text, keyed) = self.next().await;
            let mut line = connect(&self.world).await;
            let whole = self.random.random_bool(0.9);
            let sent = if whole { text.len() } else { self.random.random_range(0..text.len()) };
            let _ = line.write_all(&text.as_bytes()[..sent]).await;
            sleep(Duration::from_micros(self.random.random_range(0..=LONGEST))).await;
            drop(line);
            if let Some((path, key, body)) = keyed.filter(|_| whole && dropped.len() < REPEATS) {
                dropped.push((self.rider.clone(), path, key, body));
            }
        }
        dropped
    }

    /// A request, and what a repeat of it takes.
    async fn next(&mut self) -> (String, Option<(String, String, Value)>) {
        let reference = Uuid::new_v4().to_string();
        match self.random.random_range(0..10) {
            0..4 => {
                let (trip, seat) =
                    (self.trips.choose(&mut self.random).unwrap(), self.random.random_range(1..=1_000));
                let body = json!({ "trip_id": trip, "seats": [seat.to_string()] });
                if self.random.random_bool(0.3) {
                    let booked = self.rider.post("/v1/orders", &body).await;
                    self.orders.extend(booked.body["id"].as_str().map(str::to_owned));
                }
                let text = keyed("POST", "/v1/orders", &self.rider, &reference, &body);
                (text, Some(("/v1/orders".to_owned(), reference, body)))
            }
            4..7 if !self.orders.is_empty() => {
                let order = self.orders.choose(&mut self.random).unwrap();
                let (act, body) = match self.random.random_range(0..4) {
                    0 | 1 => ("pay", json!({ "pay_password": PAY_PASSWORD })),
                    2 => ("cancel", json!({})),
                    _ => ("refund", json!({})),
                };
                let path = format!("/v1/orders/{order}/{act}");
                (keyed("POST", &path, &self.rider, &reference, &body), Some((path, reference, body)))
            }
            7 => (top_up(&self.world.ops, &self.rider, &reference), None),
            8 => (self.forms.top_up(&reference), None),
            _ => {
                let order = self.orders.choose(&mut self.random).and_then(|order| order.parse().ok());
                (evaluation(&self.rider, order.unwrap_or_else(Uuid::now_v7)), None)
            }
        }
    }
}

/// What a client that waited for its answer received.
enum Acknowledged {
    Order(String, &'static str),
    TopUp(String),
}

impl Acknowledged {
    async fn holds(&self, world: &World) {
        match self {
            Self::Order(order, status) => {
                assert_eq!(world.order(order).await["status"], *status, "{order}");
            }
            Self::TopUp(reference) => {
                let sql = "select count(*) from ledger_entry where starts_with(reference, $1)";
                let entries: i64 =
                    sqlx::query_scalar(sql).bind(reference).fetch_one(&world.pool).await.unwrap();
                assert_eq!(entries, 1, "top-up {reference}");
            }
        }
    }
}

/// Books, pays, refunds, cancels and is topped up for as long as requests are dropped beside.
async fn ride(
    world: Arc<World>,
    rider: Client,
    trips: Arc<[String]>,
    mut random: StdRng,
    left: Arc<AtomicUsize>,
) -> Vec<Acknowledged> {
    let mut acknowledged = Vec::new();
    while left.load(Ordering::Relaxed) > 0 {
        let reference = Uuid::new_v4().to_string();
        world.top_up(rider.id, "4.00", &reference).await.expect(201);
        acknowledged.push(Acknowledged::TopUp(reference));
        let seat = random.random_range(1..=1_000).to_string();
        let booked = rider.book(trips.choose(&mut random).unwrap(), &[&seat]).await;
        if booked.status == 409 {
            continue;
        }
        let order = booked.expect(201)["id"].as_str().unwrap().to_owned();
        let status = match random.random_range(0..4) {
            0 => "unpaid",
            1 => {
                rider.cancel(&order).await.expect(200);
                "closed"
            }
            act => {
                rider.pay(&order).await.expect(200);
                if act == 2 {
                    "paid"
                } else {
                    rider.refund(&order).await.expect(200);
                    "refunded"
                }
            }
        };
        acknowledged.push(Acknowledged::Order(order, status));
    }
    acknowledged
}
