//! Clients that hang up and attempts that are aborted, at bad moments: nothing is half done,
//! nothing that was answered is lost, and no connection goes back to the pool inside a transaction.

use crate::{
    console::ConsoleSession,
    harness::{Client, Frozen, PASSWORD, PAY_PASSWORD, Process, World, count, until},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet, time::sleep};
use uuid::Uuid;

/// How long the database's backends are stopped.
const STALL: Duration = Duration::from_millis(500);
/// How often they are.
const ROUNDS: usize = 20;
/// Longer than a test waits: a connection that is inside a transaction stays so.
const NO_TIMEOUT: (&str, &str) = ("FAREBOX__DATABASE__STATEMENT_TIMEOUT_MS", "600000");
/// The attempts' deadline: shorter than a stall.
const DEADLINE: (&str, &str) = ("FAREBOX__WORKER__ATTEMPT_MS", "250");
/// Connections of API and worker inside a transaction that does nothing.
const INSIDE: &str =
    "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
                      and application_name like 'farebox%' and state like 'idle in transaction%'";
/// The API's connections, and those of a worker's pool (its driver never commits by a statement of its own).
const STOPPED: &str = "application_name = 'farebox-api'
                       or application_name = 'farebox-worker' and state = 'idle' and query ilike 'commit%'";

#[tokio::test(flavor = "multi_thread")]
async fn hanging_up_while_begin_stalls_leaves_no_transaction_open_in_a_small_pool() {
    hang_up_while_begin_stalls("3", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_up_while_begin_stalls_leaves_no_transaction_open_in_a_large_pool() {
    hang_up_while_begin_stalls("24", 24).await;
}

async fn hang_up_while_begin_stalls(connections: &str, clients: usize) {
    let pool = ("FAREBOX__DATABASE__MAX_CONNECTIONS", connections);
    let world = World::with(&[pool, NO_TIMEOUT]).await;
    let _worker = Process::worker(&world.db.url, &[pool, NO_TIMEOUT, DEADLINE], &[]);
    let rider = world.rider("0").await;
    let forms = Forms::of(&world, &rider).await;
    fill_pool(&world, &rider, clients).await;
    let mut stopped = 0;
    for round in 0..ROUNDS {
        let trip = world.trip(40).await;
        let frozen = Frozen::backends(&world.pool, STOPPED).await;
        stopped += frozen.count();
        put_undo(&world.pool).await;
        let mut lines = Vec::new();
        for _ in 0..clients.min(8) {
            lines.push(send(&world, &evaluation(&rider, Uuid::now_v7())).await);
        }
        for n in 0..3 {
            lines.push(send(&world, &top_up(&world.ops, &rider, &format!("api {round} {n}"))).await);
            lines.push(send(&world, &forms.top_up(&format!("form {round} {n}"))).await);
        }
        sleep(STALL / 2).await;
        drop(lines);
        sleep(STALL / 2).await;
        drop(frozen);
        // The next riders, on as many connections as there are.
        let mut bookings = JoinSet::new();
        for seat in 1..=clients {
            let (rider, trip) = (rider.clone(), trip.clone());
            bookings.spawn(async move { rider.booked(&trip, &[&seat.to_string()]).await });
        }
        for order in bookings.join_all().await {
            assert_ne!(world.order(&order).await, Value::Null, "round {round}: nobody else sees {order}");
        }
        nobody_is_inside(&world.pool).await;
    }
    assert!(stopped >= ROUNDS * clients.min(4), "only {stopped} backends were ever stopped");
    until("the aborted attempts are made again", || async {
        world.pass_undo_delay().await;
        count(&world.pool, "select count(*) from queue.job where tag = 'order_seats_cancel'").await == 0
    })
    .await;
    let aborted = "select count(*) from queue.finished where failures::text like '%stopped at its deadline%'";
    assert!(count(&world.pool, aborted).await > 0, "no attempt was aborted");
    nobody_is_inside(&world.pool).await;
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_leaves_no_try_at_a_password_behind() {
    const TRIES: i64 = 5;
    let world = World::new().await;
    let (rider, trip) = (world.rider("0").await, world.trip(10).await);
    let order = rider.booked(&trip, &["1"]).await;
    let name = json!({ "user_name": "rider0", "password": "wrong" });
    rider.post("/v1/sessions", &name).await.expect(401);

    let sign_in = json!({ "user_name": "rider0", "password": PASSWORD });
    let authorize = json!({ "order_id": order, "pay_password": PAY_PASSWORD });
    let change = json!({ "current": PAY_PASSWORD, "new": PAY_PASSWORD });
    let cases = [
        ("POST", "/v1/sessions", sign_in, 201, "select * from sign_in_tries for update"),
        ("POST", "/v1/payment-authorizations", authorize, 201, "select * from pay_password for update"),
        ("PUT", "/v1/riders/me/pay-password", change, 204, "select * from pay_password for update"),
    ];
    for (method, path, body, status, lock) in cases {
        // The tries are let through while no client waits for them any more.
        let mut held = world.pool.begin().await.unwrap();
        sqlx::query(lock).execute(&mut *held).await.unwrap();
        let mut lines = Vec::new();
        for _ in 0..TRIES {
            lines.push(send(&world, &request(method, path, &rider, &body)).await);
        }
        until("they wait", || async { world.waiting_for_locks().await >= TRIES }).await;
        drop(lines);
        // Long enough for the server to see the ends of the lines.
        sleep(Duration::from_millis(100)).await;
        held.rollback().await.unwrap();
        until("they are done", || async { world.waiting_for_locks().await == 0 }).await;
        until("none is being checked", || async {
            count(&world.pool, "select count(*) from pay_password where checking > 0").await == 0
        })
        .await;
        // A sign-in that is still hashed counts as an attempt. The wrong one left two rows: its account's
        // and its address's.
        until("no sign-in is being checked", || async {
            count(&world.pool, "select count(*) from sign_in_tries").await == 2
        })
        .await;
        let again = rider.call(method, path, Some(&body)).await;
        assert_eq!(again.status.as_u16(), status, "{path}: {}", again.text);
    }
}

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

/// The console's forms for one rider.
struct Forms {
    cookie: String,
    csrf: String,
    path: String,
}

impl Forms {
    async fn of(world: &World, rider: &Client) -> Self {
        let session = ConsoleSession::enter(world, "ops").await;
        let path = format!("/console/riders/{}/top-up", rider.id);
        let csrf = session.hidden(&path, "csrf").await;
        Self { cookie: session.cookie, csrf, path }
    }

    fn top_up(&self, reference: &str) -> String {
        let fields = [
            ("csrf", self.csrf.as_str()),
            ("reason", "a form that nobody waits for"),
            ("amount", "1.00"),
            ("reference", reference),
        ];
        let body = serde_urlencoded::to_string(fields).unwrap();
        format!(
            "POST {} HTTP/1.1\r\nhost: farebox\r\ncookie: {}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\n\r\n{body}",
            self.path,
            self.cookie,
            body.len()
        )
    }
}

fn evaluation(rider: &Client, order: Uuid) -> String {
    request("POST", &format!("/v1/orders/{order}/evaluation"), rider, &json!({ "rating": 5 }))
}

fn top_up(ops: &Client, rider: &Client, reference: &str) -> String {
    let path = format!("/v1/ops/wallets/{}/top-ups", rider.id);
    request("POST", &path, ops, &json!({ "amount": "1.00", "reference": reference }))
}

fn request(method: &str, path: &str, by: &Client, body: &Value) -> String {
    keyed(method, path, by, &Uuid::new_v4().to_string(), body)
}

fn keyed(method: &str, path: &str, by: &Client, key: &str, body: &Value) -> String {
    let (who, body) = (by.authorization(), body.to_string());
    format!(
        "{method} {path} HTTP/1.1\r\nhost: farebox\r\nauthorization: {who}\r\nidempotency-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn connect(world: &World) -> TcpStream {
    TcpStream::connect(world.api.base().strip_prefix("http://").unwrap()).await.unwrap()
}

/// A request whose answer is not read; dropping the connection hangs up.
async fn send(world: &World, text: &str) -> TcpStream {
    let mut line = connect(world).await;
    line.write_all(text.as_bytes()).await.unwrap();
    line
}

/// Waits until no connection is inside a transaction: one whose BEGIN was forgotten would stay.
async fn nobody_is_inside(pool: &PgPool) {
    until("no connection is inside a transaction", || async { count(pool, INSIDE).await == 0 }).await;
}

/// Reads that wait for one another make the API open as many connections as it may.
async fn fill_pool(world: &World, rider: &Client, connections: usize) {
    let mut lock = world.pool.begin().await.unwrap();
    sqlx::query("lock table wallet").execute(&mut *lock).await.unwrap();
    let mut reads = JoinSet::new();
    for _ in 0..connections {
        let rider = rider.clone();
        reads.spawn(async move { rider.get("/v1/wallet").await.expect(200).clone() });
    }
    let connections = i64::try_from(connections).unwrap();
    until("all of them wait", || async { world.waiting_for_locks().await == connections }).await;
    lock.rollback().await.unwrap();
    reads.join_all().await;
}

/// An undo that finds nothing to undo, in a transaction of its own.
async fn put_undo(pool: &PgPool) {
    let id = Uuid::now_v7();
    let payload = json!({"v": 1, "booking": {"order_id": id, "rider_id": id, "trip_id": id, "seats": [1]}});
    sqlx::query("insert into queue.job (id, tag, key, payload, max_attempts) values (gen_random_uuid(), 'order_seats_cancel', $1, $2, 25)")
        .bind(id.to_string()).bind(payload).execute(pool).await.unwrap();
}
