//! What every test stands on: a database of its own, API and worker processes, clients.

mod browser;
mod client;
mod clock;
mod collector;
mod database;
pub mod described;
pub mod fits;
mod folder;
mod inside;
pub mod mount;
mod own_server;
mod palette;
mod pooler;
mod port;
mod process;
mod production;
mod proxy;
mod receiver;
mod redis;
mod service_manager;
pub mod signal;
mod standby;
pub mod tools;
mod wire;

pub use browser::{Browser, Screen};
pub use client::{Answer, Client};
pub use clock::Clock;
pub use collector::{Collector, Mood, Received, counted_spans};
pub use database::{Database, grant, migrate, put_under_trial};
pub use folder::{folder, lasting_folder};
pub use inside::{RETRY, inside};
pub use own_server::OwnServer;
pub use palette::with_palette;
pub use pooler::Pooler;
pub use port::free_port;
pub use process::{Process, command, restricted};
pub use production::{PRODUCTION, production};
pub use proxy::{Cut, Proxy};
pub use receiver::{Answers, Hook, Receiver};
pub use redis::{RedisServer, need_redis};
pub use service_manager::ServiceManager;
pub use signal::Frozen;
pub use standby::Standby;
pub use wire::Wire;

use farebox::{
    accounts::{self, NewRider, Role},
    app as parts,
    domain::RiderId,
    saga::SagaContext,
    settings::Settings,
    verify::{self, Scope},
};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::{
    future::Future,
    sync::atomic::{AtomicI32, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// How long a condition may take to come true before its test fails. Never a measure of speed.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(15);

/// As strong as production wants them.
pub const TOKEN_KEY: &str = "test key 8d0f5b3a1c7e4926 of 32 characters";
pub const PEPPER: &str = "test pepper 42e9a7c1f0b86d35 for hashes";
pub const PASSWORD: &str = "correct horse";
pub const PAY_PASSWORD: &str = "271828";

/// The buses of the tests' trips, each its own: two trips of one hour cannot share one.
const FIRST_BUS: i32 = 1_001;

/// One test's world.
pub struct World {
    pub db: Database,
    pub pool: PgPool,
    pub saga: SagaContext,
    pub api: Process,
    pub ops: Client,
    riders: AtomicUsize,
    buses: AtomicI32,
}

impl World {
    /// A fresh database, one API process, an operator; no worker.
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// The same, with settings for the API process.
    pub async fn with(env: &[(&str, &str)]) -> Self {
        Self::on(Database::fresh().await, env).await
    }

    /// The same, on this database.
    pub async fn on(db: Database, env: &[(&str, &str)]) -> Self {
        let settings = settings();
        let pool = farebox::storage::pool(&db.url, &settings.database, "test").unwrap();
        let api = restricted("farebox-api", &db.url);
        let api = farebox::storage::pool(&api, &settings.database, "test").unwrap();
        let saga = parts::saga_context(&settings, api).unwrap();
        let api = Process::api(&db.url, env);
        let account = new_rider("ops");
        accounts::register(&pool, &saga.passwords, &account, Role::Operator).await.unwrap();
        let ops = Client::sign_in(&api.base(), "ops").await;
        Self { db, pool, saga, api, ops, riders: AtomicUsize::new(0), buses: AtomicI32::new(FIRST_BUS) }
    }

    /// What the API has logged, with all lines of the requests that were answered before. Lines come
    /// through a pipe: one request more is made, and its line is the last.
    pub async fn log(&self) -> String {
        let mark = uuid::Uuid::now_v7().to_string();
        let last = reqwest::Client::new().get(format!("{}/health/live", self.api.base()));
        last.header("x-request-id", &mark).send().await.unwrap();
        until("the API's log has its last line", || async { self.api.log().contains(&mark) }).await;
        self.api.log()
    }

    pub fn worker(&self) -> Process {
        Process::worker(&self.db.url, &[], &[])
    }

    /// Another API process on the same database.
    pub fn another_api(&self) -> Process {
        Process::api(&self.db.url, &[])
    }

    /// A signed-in rider with this much money.
    pub async fn rider(&self, money: &str) -> Client {
        let name = format!("rider{}", self.riders.fetch_add(1, Ordering::Relaxed));
        let rider = accounts::register(&self.pool, &self.saga.passwords, &new_rider(&name), Role::Rider)
            .await
            .unwrap();
        let client = Client::sign_in(&self.api.base(), &name).await;
        if money != "0" {
            self.top_up(rider.id, money, "first").await;
        }
        client
    }

    /// Tops a wallet up; a reference belongs to one rider, so the rider's id goes into it.
    pub async fn top_up(&self, rider: RiderId, money: &str, reference: &str) -> Answer {
        let path = format!("/v1/ops/wallets/{rider}/top-ups");
        let reference = format!("{reference} {rider}");
        self.ops.post(&path, &json!({ "amount": money, "reference": reference })).await
    }

    /// A trip tomorrow at 4.00 a seat.
    pub async fn trip(&self, capacity: i32) -> String {
        self.trip_in(chrono::Duration::days(1), capacity).await
    }

    /// A trip of an hour, with a bus of its own. One that has departed cannot be added: it is added
    /// ahead and moved.
    pub async fn trip_in(&self, from_now: chrono::Duration, capacity: i32) -> String {
        let ahead = chrono::Utc::now() + from_now.max(chrono::Duration::zero());
        let body = json!({
            "bus_id": self.bus().await, "direction": 0, "departs_at": ahead, "arrives_at": ahead + chrono::Duration::hours(1),
            "price": "4.00", "capacity": capacity,
        });
        let answer = self.ops.post("/v1/ops/trips", &body).await;
        let trip = answer.expect(201)["id"].as_str().unwrap().to_owned();
        if from_now < chrono::Duration::zero() {
            self.departs_in(&trip, from_now).await;
        }
        trip
    }

    /// Moves a trip: it departs so long from now and takes as long as before, with a bus of its own. Its
    /// bus may be on another trip at that time of the day.
    pub async fn departs_in(&self, trip: &str, from_now: chrono::Duration) {
        let sql = "update trip set departs_at = now() + $2, arrives_at = now() + $2 + (arrives_at - departs_at), bus_id = $3
                   where id = $1::uuid";
        let bus = self.bus().await;
        sqlx::query(sql).bind(trip).bind(from_now).bind(bus).execute(&self.pool).await.unwrap();
    }

    /// A bus of its own.
    pub async fn bus(&self) -> i32 {
        let id = self.buses.fetch_add(1, Ordering::Relaxed);
        let sql = "insert into bus (id, driver_name, driver_phone) values ($1, 'Zhao Lei', '028-5550-0101')";
        sqlx::query(sql).bind(id).execute(&self.pool).await.unwrap();
        id
    }

    /// Lets time pass for one order: its deadline, its seats' and its timer's lie in the past now.
    pub async fn pass_deadline(&self, order: &str) {
        let order: uuid::Uuid = order.parse().unwrap();
        sqlx::query("update orders set created_at = created_at - interval '1 day', expires_at = now() - interval '1 ms' where id = $1")
            .bind(order).execute(&self.pool).await.unwrap();
        sqlx::query("update seat set held_until = now() - interval '1 ms' where order_id = $1 and held_until is not null")
            .bind(order)
            .execute(&self.pool)
            .await
            .unwrap();
        sqlx::query("update queue.job set run_at = now() - interval '1 ms' where tag = 'order_unpaid' and key = $1::text")
            .bind(order).execute(&self.pool).await.unwrap();
    }

    /// Lets the time pass after which armed undos fall due.
    pub async fn pass_undo_delay(&self) {
        sqlx::query("update queue.job set run_at = now() where tag <> 'order_unpaid'")
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// Waits until no undo is left in the queue (timers of live orders may be).
    pub async fn drained(&self) {
        until("the undos are done", || async {
            count(&self.pool, "select count(*) from queue.job where tag <> 'order_unpaid' or run_at <= now()")
                .await
                == 0
        })
        .await;
    }

    pub async fn order(&self, id: &str) -> Value {
        let sql = "select to_jsonb(o) from orders o where id = $1::uuid";
        sqlx::query_scalar(sql).bind(id).fetch_optional(&self.pool).await.unwrap().unwrap_or(Value::Null)
    }

    pub async fn free_seats(&self, trip: &str) -> i64 {
        let sql = "select count(*) from seat where trip_id = $1::uuid and order_id is null";
        sqlx::query_scalar(sql).bind(trip).fetch_one(&self.pool).await.unwrap()
    }

    /// How many connections to its database wait for a lock.
    pub async fn waiting_for_locks(&self) -> i64 {
        let sql = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        count(&self.pool, sql).await
    }

    /// The kinds of an order's ledger entries, in order.
    pub async fn ledger(&self, order: &str) -> Vec<String> {
        let sql = "select kind from ledger_entry where order_id = $1::uuid order by seq";
        sqlx::query_scalar(sql).bind(order).fetch_all(&self.pool).await.unwrap()
    }

    /// Every invariant holds.
    pub async fn verify(&self) {
        for verdict in verify::verify(&self.pool, Scope::Whole).await.unwrap() {
            assert!(verdict.holds, "{}: {:?}", verdict.sentence, verdict.samples);
        }
    }
}

pub fn new_rider(name: &str) -> NewRider {
    NewRider {
        user_name: name.to_owned(),
        password: PASSWORD.to_owned(),
        pay_password: Some(PAY_PASSWORD.to_owned()),
        email: None,
        phone: None,
    }
}

pub fn settings() -> Settings {
    let cheap = [
        ("passwords.memory_kib", "64"),
        ("passwords.passes", "1"),
        ("booking.max_open_holds", "1000"),
        ("secrets.token_key", TOKEN_KEY),
        ("secrets.pepper", PEPPER),
    ];
    Settings::load("development", &cheap.map(|(key, value)| (key, value.to_owned()))).unwrap()
}

/// Waits for a condition.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(LOOK).await;
    }
}

pub async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}
