//! A world whose PostgreSQL may be killed: a server of its own, durable, since its data must survive.

use super::{Client, Process, folder, new_rider, settings};
use farebox::{accounts, app as parts, embedded, storage};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicI32, Ordering},
};

/// Trips that this run made, on whatever server: each takes the next bus, and after the last one a
/// later time.
static TRIPS: AtomicI32 = AtomicI32::new(0);

pub struct OwnServer {
    pub url: String,
    api: Process,
    /// An operator, who also books.
    pub rider: Client,
    /// Another one, since nobody tops the own wallet up.
    till: Client,
    /// The id of a trip tomorrow.
    pub trip: String,
    options: embedded::Options,
    server: Option<embedded::Server>,
}

impl OwnServer {
    pub async fn start(name: &str, api: &[(&str, &str)]) -> Self {
        Self::start_in(folder(name), api).await
    }

    /// With its data in this folder.
    pub async fn start_in(data: PathBuf, api: &[(&str, &str)]) -> Self {
        let options = embedded::Options { data, durable: true, max_connections: 50, settings: &[] };
        let server = embedded::start(&options).await.unwrap();
        embedded::ensure_database(&server, "farebox").await.unwrap();
        let url = server.url("farebox");
        let pool = storage::pool(&url, &settings().database, "test").unwrap();
        super::migrate(&pool).await;
        let saga = parts::saga_context(&settings(), pool.clone()).unwrap();
        for name in ["rider", "till"] {
            accounts::register(&pool, &saga.passwords, &new_rider(name), accounts::Role::Operator)
                .await
                .unwrap();
        }
        let api = Process::api(&url, api);
        let rider = Client::sign_in(&api.base(), "rider").await;
        let till = Client::sign_in(&api.base(), "till").await;
        let trip = trip(&rider, &json!({})).await;
        Self { url, api, rider, till, trip, options, server: Some(server) }
    }

    /// Where the API is.
    pub fn base(&self) -> String {
        self.api.base()
    }

    pub fn api_pid(&self) -> i32 {
        self.api.pid()
    }

    /// Another trip tomorrow, of forty seats.
    pub async fn another_trip(&self) -> String {
        trip(&self.rider, &json!({"capacity": 40})).await
    }

    pub async fn top_up(&self, rider: &Client, money: &str) {
        let top_up = json!({"amount": money, "reference": format!("first {}", rider.id)});
        self.till.post(&format!("/v1/ops/wallets/{}/top-ups", rider.id), &top_up).await.expect(201);
    }

    /// Fresh connections of the test's own: those from before a restart are broken.
    pub fn pool(&self) -> PgPool {
        storage::pool(&self.url, &settings().database, "test").unwrap()
    }

    pub fn postmaster(&self) -> i32 {
        postmaster(&self.folder())
    }

    /// Where its data and its socket are.
    pub fn folder(&self) -> PathBuf {
        self.server.as_ref().unwrap().folder().to_owned()
    }

    /// Starts the server again after it was stopped.
    pub async fn restart(&mut self) {
        self.server = None;
        self.server = Some(embedded::start(&self.options).await.unwrap());
    }
}

/// The first process of the server in this folder.
pub fn postmaster(folder: &Path) -> i32 {
    let file = std::fs::read_to_string(folder.join("pg/postmaster.pid")).unwrap();
    file.lines().next().unwrap().parse().unwrap()
}

/// Made by this operator; the rest of the request is `more`.
async fn trip(ops: &Client, more: &Value) -> String {
    let nr = TRIPS.fetch_add(1, Ordering::Relaxed);
    let (bus, later) = (1 + nr % 8, chrono::Duration::hours((nr / 8 * 2).into()));
    let departs = chrono::Utc::now() + chrono::Duration::days(1) + later;
    let mut trip = json!({"bus_id": bus, "direction": 0, "departs_at": departs,
        "arrives_at": departs + chrono::Duration::hours(1), "price": "4.00"});
    trip.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ops.post("/v1/ops/trips", &trip).await.expect(201)["id"].as_str().unwrap().to_owned()
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        self.server = None;
        let _ = embedded::remove(&self.options.data);
        let _ = std::fs::remove_dir_all(&self.options.data);
    }
}
