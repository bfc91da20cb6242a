//! A world whose PostgreSQL may be killed: a server of its own, durable, since its data must survive.

use super::{Client, Process, new_rider, settings};
use farebox::{embedded, process as parts, riders, schema};
use serde_json::json;
use sqlx::PgPool;
use std::path::Path;

pub struct OwnServer {
    pub url: String,
    _api: Process,
    /// An operator, who also books.
    pub rider: Client,
    /// The id of a trip tomorrow.
    pub trip: String,
    options: embedded::Options,
    server: Option<embedded::Server>,
}

impl OwnServer {
    pub async fn start(name: &str, api: &[(&str, &str)]) -> Self {
        let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let options = embedded::Options { data, durable: true, max_connections: 50 };
        let server = embedded::start(&options).await.unwrap();
        embedded::ensure_database(&server, "farebox").await.unwrap();
        let url = server.url("farebox");
        let pool = schema::pool(&url, &settings().database, "test").unwrap();
        schema::migrate(&pool).await.unwrap();
        let flow = parts::flow(&settings(), pool.clone()).unwrap();
        riders::register(&pool, &flow.passwords, &new_rider("rider"), riders::Role::Operator).await.unwrap();
        let api = Process::api(&url, api);
        let rider = Client::sign_in(&api.base(), "rider").await;
        let departs = chrono::Utc::now() + chrono::Duration::days(1);
        let trip = json!({"bus_id": 1, "direction": 0, "departs_at": departs,
            "arrives_at": departs + chrono::Duration::hours(1), "price": "4.00"});
        let trip = rider.post("/v1/ops/trips", &trip).await.expect(201)["id"].as_str().unwrap().to_owned();
        Self { url, _api: api, rider, trip, options, server: Some(server) }
    }

    /// Fresh connections of the test's own: those from before a restart are broken.
    pub fn pool(&self) -> PgPool {
        schema::pool(&self.url, &settings().database, "test").unwrap()
    }

    pub fn postmaster(&self) -> u32 {
        let folder = self.server.as_ref().unwrap().folder();
        let file = std::fs::read_to_string(folder.join("pg/postmaster.pid")).unwrap();
        file.lines().next().unwrap().parse().unwrap()
    }

    /// Starts the server again after it was stopped.
    pub async fn restart(&mut self) {
        self.server = None;
        self.server = Some(embedded::start(&self.options).await.unwrap());
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        self.server = None;
        let _ = std::fs::remove_dir_all(&self.options.data);
    }
}
