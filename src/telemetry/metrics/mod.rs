//! The metrics for Prometheus: what this process did and has, and the state of the database.

mod process;
mod resources;
mod state;

pub use resources::{AdmissionClass, WatchedPool};

use super::{flows, requests::RequestMetrics};
use crate::{
    batch::BatchMetrics,
    saga::ROLLBACKS,
    security,
    storage::{
        POOL_TIMEOUTS, POOL_WAITING, STALE_PLANS, note_outage,
        replica::{REPLICA_LAG, REPLICA_READS},
    },
    traces, webhooks,
};
use farebox_jobs::queue;
use process::ProcessMetrics;
use prometheus_client::{
    encoding::{EncodeLabelSet, prometheus_text, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use resources::ResourceMetrics;
use sqlx::PgPool;
use state::DatabaseState;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long a page waits for the database. Shorter than the 10 s that Prometheus waits, so that the
/// metrics of the process are seen while the database is away.
const DATABASE_TIME: Duration = Duration::from_secs(5);

/// Why requests and connections are refused, `why` of `farebox_http_refused_total`. Each is there
/// from the start: `increase` of a series that begins with its first refusal is 0.
const REASONS: [&str; 8] =
    ["limited", "crowded", "hashing", "guessing", "holds", "host", "connections", "connections_full"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    why: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
    program: &'static str,
}

/// What a process is, which decides what it measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `farebox-api`.
    Api,
    /// `farebox-worker`.
    Worker,
    /// `farebox dev`: both.
    Dev,
}

impl Program {
    /// The word for it in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Worker => "worker",
            Self::Dev => "dev",
        }
    }
}

/// What the metrics of a process are of.
#[derive(Debug)]
pub struct Sources {
    /// What the process is.
    pub program: Program,
    /// Its pools.
    pub pools: Vec<WatchedPool>,
    /// The classes of requests that share places; none in a worker.
    pub admission: Vec<AdmissionClass>,
}

/// The format of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0, which Prometheus prefers.
    OpenMetrics,
    /// Prometheus's text format 0.0.4, which `promtool check metrics` reads.
    Text,
}

/// The metrics of one process. Cloning them shares them.
#[derive(Clone)]
pub struct Metrics {
    /// What its workers did.
    pub queue: queue::Metrics,
    refused: Family<Reason, Counter>,
    waiting: Gauge,
    connections: Gauge,
    database_up: Gauge,
    state: DatabaseState,
    /// Of the process, and of the database: the latter are left out while it does not answer.
    registries: Arc<[Registry; 2]>,
}

/// Counts a waiting request until it is dropped.
pub struct WaitingRequest(Gauge);

impl Drop for WaitingRequest {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts an open connection until it is dropped.
pub struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// The metrics of this process.
    pub fn new(sources: Sources) -> Self {
        let mut own = Registry::default();
        own.register_collector(Box::new(ProcessMetrics));
        let farebox = own.sub_registry_with_prefix("farebox");
        let queue = queue::Metrics::default();
        if sources.program != Program::Api {
            queue.register(farebox);
            webhooks::ATTEMPTS.register(farebox);
        }
        if sources.program != Program::Worker {
            flows::register(farebox);
            ROLLBACKS.register(farebox);
        }
        let build = Family::<Build, Gauge>::default();
        build
            .get_or_create(&Build { version: env!("CARGO_PKG_VERSION"), program: sources.program.as_str() })
            .set(1);
        farebox.register("build_info", "1; its labels say what runs", build);
        let refused = Family::<Reason, Counter>::default();
        for why in REASONS {
            drop(refused.get_or_create(&Reason { why }));
        }
        let help = "What was refused before it was done; docs/operators/metrics.md has the reasons";
        farebox.register("http_refused", help, refused.clone());
        let (waiting, connections, database_up) = (Gauge::default(), Gauge::default(), Gauge::default());
        farebox.register("http_waiting", "Requests that wait for admission", waiting.clone());
        farebox.register("http_connections", "Open connections of clients", connections.clone());
        let help = "Whether the database answered the last scrape; what is of its state is absent if not";
        farebox.register("database_up", help, database_up.clone());
        let help = "Statements that were refused because the schema changed under their plan";
        farebox.register("stale_plans", help, STALE_PLANS.clone());
        farebox.register("security_events", "Security events, by event", security::EVENTS.clone());
        let help = "Spans of recorded traces, by what became of them";
        farebox.register("trace_spans", help, traces::SPANS.clone());
        let help = "Steps and transactions that wait for a connection of the pool";
        farebox.register("pool_waiting", help, POOL_WAITING.clone());
        let help = "Errors because no connection of the pool became free in time";
        farebox.register("pool_timeouts", help, POOL_TIMEOUTS.clone());
        let help = "How old the data of the standby is; absent without one, and until it was reached";
        farebox.register_with_unit("replica_lag", help, Unit::Seconds, REPLICA_LAG.clone());
        let help = "Reads that a standby may answer, by the server that answered";
        farebox.register("replica_reads", help, REPLICA_READS.clone());
        farebox.register_collector(Box::new(RequestMetrics));
        farebox.register_collector(Box::new(BatchMetrics));
        farebox.register_collector(Box::new(ResourceMetrics::new(sources)));
        let (state, mut of_database) = (DatabaseState::default(), Registry::with_prefix("farebox"));
        state.register(&mut of_database);
        let registries = Arc::new([own, of_database]);
        Self { queue, refused, waiting, connections, database_up, state, registries }
    }

    /// Counts an open connection.
    pub fn opened(&self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }

    /// Counts a request that waits for admission.
    pub fn waits(&self) -> WaitingRequest {
        self.waiting.inc();
        WaitingRequest(self.waiting.clone())
    }

    /// Counts what was refused before it was done.
    pub fn refused(&self, why: &'static str) {
        self.refused.get_or_create(&Reason { why }).inc();
    }

    /// All of them, with the state of the database as it is now. Without an answer of the database
    /// within [`DATABASE_TIME`], those of the process alone. Safe to drop: it only reads.
    pub async fn page(&self, pool: &PgPool, format: Format) -> String {
        let is_up = match timeout(DATABASE_TIME, self.state.read(pool)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                let outage = note_outage(&error);
                tracing::warn!(%error, outage, "the database's state is not among the metrics");
                false
            }
            Err(_) => {
                tracing::warn!("the database's state is not among the metrics: no answer in time");
                false
            }
        };
        self.database_up.set(is_up.into());
        let mut page = String::new();
        for registry in &self.registries[..1 + usize::from(is_up)] {
            // Writing to a string cannot fail.
            let _ = match format {
                Format::OpenMetrics => text::encode_registry(&mut page, registry),
                Format::Text => prometheus_text::encode(&mut page, registry),
            };
        }
        if format == Format::OpenMetrics {
            let _ = text::encode_eof(&mut page);
        }
        page
    }
}
