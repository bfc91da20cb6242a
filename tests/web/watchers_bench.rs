//! What 2,000 open seat pages cost those who book, and how soon they see what changes:
//!
//! ```console
//! $ cargo test --profile fast --test farebox-tests watchers_beside_bookings -- --ignored --nocapture
//! ```
//!
//! `BENCH_ROUNDS` is the number of turns, `BENCH_WATCHERS` that of the pages. Watchers, bookers and API share
//! the machine.

use crate::harness::{Client, Wire, World, new_rider};
use farebox::accounts::{self, Role};
use serde_json::json;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
};

/// Riders with the page of a trip's seats open; a multiple of [`TRIPS`].
const WATCHERS: usize = 2_000;
/// Riders who book and give back without a pause.
const BOOKERS: usize = 64;
/// Trips that both are at.
const TRIPS: usize = 8;
/// Seats of each; the last one is the marker's.
const SEATS: i32 = 40;
/// Windows before the first that counts: plans, pools and the first pages of tables are there then.
const WARM_UP: usize = 2;
/// Turns: an even number, since every other one begins with the pages.
const ROUNDS: usize = 12;
/// How long bookings are counted for each half of a turn.
const WINDOW: Duration = Duration::from_secs(6);
/// What bookings may lose, percent.
const MOST_LOST: f64 = 10.0;
/// When 99 of 100 watchers have seen a change.
const SOON: Duration = Duration::from_secs(2);
/// Reads of a trip's seats a second with one poll for all each 250 ms, and a quarter more: with 2,000
/// pages the polls are twice as far apart.
const MOST_READS: f64 = 4.0 * TRIPS as f64 * 1.25;
/// Windows in which reads are counted.
const REPORTS: usize = 3;
/// How long a marker's seat stays as it is, so that everybody sees it.
const KEPT: Duration = Duration::from_millis(1_500);
/// What a watcher reads at once, bytes.
const CHUNK: usize = 16 * 1024;

/// When the marker's seat last changed, and what watchers have seen of it.
struct Marks {
    /// The number of the change and its time; odd numbers hold the seat.
    last: watch::Sender<(u64, Instant)>,
    seen: Mutex<Vec<Duration>>,
}

fn scale(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

fn open_pages() -> usize {
    scale("BENCH_WATCHERS", WATCHERS)
}

fn marks(trips: &[String]) -> Vec<Arc<Marks>> {
    let mark = |_| Arc::new(Marks { last: watch::Sender::new((0, Instant::now())), seen: Mutex::default() });
    trips.iter().map(mark).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark of some minutes"]
async fn watchers_beside_bookings() {
    let most_holds = TRIPS.to_string();
    let world = World::with(&[
        ("FAREBOX__LOG__FILTER", "warn,farebox_api=info"),
        ("FAREBOX__BOOKING__MAX_OPEN_HOLDS", &most_holds),
    ])
    .await;
    let mut trips = Vec::new();
    for _ in 0..TRIPS {
        trips.push(world.trip(SEATS).await);
    }
    let (done, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut bookers = JoinSet::new();
    for nr in 0..BOOKERS {
        bookers.spawn(book(
            rider(&world, nr).await,
            world.api.base(),
            trips[nr % TRIPS].clone(),
            nr,
            done.clone(),
            over.clone(),
        ));
    }
    let marker = rider(&world, BOOKERS).await;
    for _ in 0..WARM_UP {
        println!("warm-up: {:.0} bookings/s", rate(&done).await);
    }
    let (mut kept, mut seen) = (Vec::new(), Vec::new());
    for round in 0..scale("BENCH_ROUNDS", ROUNDS) {
        // First the one, then the other.
        let first = if round % 2 == 0 { rate(&done).await } else { 0.0 };
        let (with, mut all) = watched(&world, &trips, &marker, &done).await;
        let without = if round % 2 == 0 { first } else { rate(&done).await };
        println!("round {round}: {without:.0} bookings/s alone, {with:.0} beside {} watchers", open_pages());
        kept.push(with / without);
        seen.append(&mut all);
    }
    over.store(true, Ordering::Relaxed);
    while let Some(booker) = bookers.join_next().await {
        booker.unwrap();
    }
    let reads = polls(&world, &trips).await;
    // The median of the turns: a disk that stalls for some seconds spoils one turn, and not the sum.
    kept.sort_by(f64::total_cmp);
    let lost = (1.0 - kept[kept.len() / 2].midpoint(kept[(kept.len() - 1) / 2])) * 100.0;
    seen.sort_unstable();
    let at = |percent: usize| seen[(seen.len() - 1) * percent / 100];
    println!(
        "bookings lose {lost:.1} %; {} changes are seen after {:?} (p50), {:?} (p99)",
        seen.len(),
        at(50),
        at(99)
    );
    println!("{reads:.1} reads of a trip's seats a second for {} watchers of {TRIPS} trips", open_pages());
    assert!(lost < MOST_LOST, "bookings lose {lost:.1} %");
    assert!(at(99) < SOON, "{:?}", at(99));
    assert!(reads <= MOST_READS, "{reads:.1} reads a second: more than one poll for all");
    world.verify().await;
}

async fn rider(world: &World, nr: usize) -> Client {
    let name = format!("load{nr}");
    accounts::register(&world.pool, &world.saga.passwords, &new_rider(&name), Role::Rider).await.unwrap();
    Client::sign_in(&world.api.base(), &name).await
}

/// Books a seat of its own and gives it back, again and again.
async fn book(
    rider: Client,
    base: String,
    trip: String,
    nr: usize,
    done: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
) {
    let mut wire = Wire::to(&base).await;
    let say = |line: &str, body: &str| {
        format!(
            "{line} HTTP/1.1\r\nhost: farebox\r\nauthorization: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            rider.authorization(),
            body.len()
        )
    };
    let body = json!({ "trip_id": trip, "seats": [(nr / TRIPS + 1).to_string()] }).to_string();
    while !over.load(Ordering::Relaxed) {
        wire.send(&say("POST /v1/orders", &body)).await;
        let booked = wire.reply().await.unwrap();
        assert_eq!(booked.status, 201, "{}", booked.body);
        let order: serde_json::Value = serde_json::from_str(&booked.body).unwrap();
        wire.send(&say(&format!("POST /v1/orders/{}/cancel", order["id"].as_str().unwrap()), "{}")).await;
        assert_eq!(wire.reply().await.unwrap().status, 200);
        done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Bookings a second over a window.
async fn rate(done: &AtomicU64) -> f64 {
    let (before, began) = (done.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(WINDOW).await;
    (done.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64()
}

/// Opens all watchers, and counts bookings while a marker holds a seat of each trip and gives it back.
async fn watched(world: &World, trips: &[String], marker: &Client, done: &AtomicU64) -> (f64, Vec<Duration>) {
    let marks = marks(trips);
    let mut watchers = open_all(world, trips, &marks).await;
    let marking = async {
        let began = Instant::now();
        while began.elapsed() + 2 * KEPT < WINDOW {
            let mut orders = Vec::new();
            for (trip, marks) in trips.iter().zip(&marks) {
                orders.push(marker.booked(trip, &[&SEATS.to_string()]).await);
                marks.last.send_modify(|last| *last = (last.0 + 1, Instant::now()));
            }
            tokio::time::sleep(KEPT).await;
            for (order, marks) in orders.iter().zip(&marks) {
                marker.cancel(order).await.expect(200);
                marks.last.send_modify(|last| *last = (last.0 + 1, Instant::now()));
            }
            tokio::time::sleep(KEPT).await;
        }
    };
    let (rate, ()) = tokio::join!(rate(done), marking);
    watchers.abort_all();
    while watchers.join_next().await.is_some() {}
    let changes: u64 = marks.iter().map(|marks| marks.last.borrow().0).sum();
    let seen: Vec<Duration> =
        marks.iter().flat_map(|marks| std::mem::take(&mut *marks.seen.lock().unwrap())).collect();
    let expected = changes as usize * (open_pages() / trips.len());
    assert_eq!(seen.len(), expected, "every watcher sees every change of the marker's seat");
    (rate, seen)
}

/// All watchers, each with the snapshot of its trip.
async fn open_all(world: &World, trips: &[String], marks: &[Arc<Marks>]) -> JoinSet<()> {
    let mut watchers = JoinSet::new();
    let opened = Arc::new(AtomicU64::new(0));
    for nr in 0..open_pages() {
        let (trip, marks) = (trips[nr % trips.len()].clone(), marks[nr % trips.len()].clone());
        watchers.spawn(follow(world.api.base(), trip, marks, opened.clone()));
    }
    crate::harness::until("all pages are open", || async {
        opened.load(Ordering::Relaxed) == open_pages() as u64
    })
    .await;
    watchers
}

/// A page of a trip's seats: notes when the marker's seat becomes held, and free again.
async fn follow(base: String, trip: String, marks: Arc<Marks>, opened: Arc<AtomicU64>) {
    let mut stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).await.unwrap();
    let ask = format!(
        "GET /v1/trips/{trip}/seats/events HTTP/1.1\r\nhost: farebox\r\naccept: text/event-stream\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).await.unwrap();
    let words = |state: &str| format!("{{\"seat\":\"{SEATS}\",\"state\":\"{state}\"}}");
    let (held, free) = (words("held"), words("free"));
    let (mut text, mut chunk, mut is_held, mut is_open) = (Vec::new(), vec![0; CHUNK], false, false);
    loop {
        let read = stream.read(&mut chunk).await.unwrap();
        assert!(read > 0, "the stream ended");
        text.extend_from_slice(&chunk[..read]);
        // Whole events alone.
        let Some(end) = text.windows(2).rposition(|pair| pair == b"\n\n") else { continue };
        let events = std::str::from_utf8(&text[..end + 2]).unwrap();
        if !is_open {
            is_open = events.contains("snapshot");
            opened.fetch_add(u64::from(is_open), Ordering::Relaxed);
        }
        let sees = events.contains(if is_held { &free } else { &held }) && is_open;
        text.drain(..end + 2);
        if sees {
            is_held = !is_held;
            // The change may be seen before its booker is answered.
            let waited = marks.last.borrow().1.elapsed();
            let is_its_own = marks.last.borrow().0 % 2 == u64::from(is_held);
            marks.seen.lock().unwrap().push(if is_its_own { waited } else { Duration::ZERO });
        }
    }
}

/// How often a trip's seats are read for its watchers, a second, while nobody books.
async fn polls(world: &World, trips: &[String]) -> f64 {
    let marks = marks(trips);
    let mut watchers = open_all(world, trips, &marks).await;
    let reads = || async {
        let sql = "select (seq_scan + coalesce(idx_scan, 0))::bigint from pg_stat_user_tables where relname = 'seat'";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&world.pool).await.unwrap()
    };
    // Sessions report late what they read: the least of some windows has only what is read now.
    let mut least = f64::MAX;
    for _ in 0..REPORTS {
        let (before, began) = (reads().await, Instant::now());
        tokio::time::sleep(WINDOW).await;
        least = least.min((reads().await - before) as f64 / began.elapsed().as_secs_f64());
    }
    watchers.abort_all();
    while watchers.join_next().await.is_some() {}
    least
}
