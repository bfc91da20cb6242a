//! The metrics for Prometheus: what this process's workers did, and the depth of the queue.

use crate::{
    ops::{self, verifier},
    saga::recurring,
    security,
    storage::STALE_PLANS,
    traces, trips,
};
use farebox_jobs::{
    MqTag,
    queue::{self, admin},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use sqlx::PgPool;
use std::sync::{Arc, atomic::AtomicU64};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTag {
    tag: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    tag: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    why: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Invariant {
    invariant: String,
}

/// The labels of a metric that has none but may be absent.
type NoLabels = [(&'static str, &'static str); 0];

/// The metrics of one process. Cloning them shares them.
#[derive(Clone)]
pub struct Metrics {
    /// What its workers did.
    pub queue: queue::Metrics,
    jobs: Family<InState, Gauge>,
    paused: Family<OfTag, Gauge>,
    oldest: Family<OfTag, Gauge<f64, AtomicU64>>,
    retrying: Family<OfTag, Gauge>,
    failures: Family<OfTag, Gauge>,
    oldest_undo: Family<OfTag, Gauge<f64, AtomicU64>>,
    missing: Family<OfTag, Gauge>,
    not_made: Gauge,
    refused: Family<Reason, Counter>,
    waiting: Gauge,
    connections: Gauge,
    breaches: Family<Invariant, Gauge>,
    /// Absent until the invariants were checked once: without a check there is no age.
    checked: Family<NoLabels, Gauge<f64, AtomicU64>>,
    registry: Arc<Registry>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("farebox");
        let queue = queue::Metrics::default();
        queue.register(&mut registry);
        let (jobs, paused, oldest) = (Family::default(), Family::default(), Family::default());
        registry.register("jobs", "Jobs in the queue, counted up to 1,000 of a tag and state", jobs.clone());
        registry.register("tag_paused", "Whether the tag is paused", paused.clone());
        let help = "How long the longest due job has waited";
        registry.register_with_unit("oldest_ready", help, Unit::Seconds, oldest.clone());
        let (retrying, failures, oldest_undo) = (Family::default(), Family::default(), Family::default());
        let help =
            "Jobs whose last attempt failed and that wait for the next, counted up to 20,000 of all tags";
        registry.register("queue_retrying", help, retrying.clone());
        let help = "The most failed attempts of one live job";
        registry.register("queue_failures", help, failures.clone());
        let help =
            "How long ago the oldest undo fell due that is not done; of tags whose jobs owe seats or money";
        registry.register_with_unit("queue_oldest_debt", help, Unit::Seconds, oldest_undo.clone());
        let missing = Family::default();
        let help = "Whether a recurring job that a worker runs is missing from the queue";
        registry.register("recurring_job_missing", help, missing.clone());
        let not_made = Gauge::default();
        let help = "Departures of the timetable's coming days that could not be made";
        registry.register("departures_not_made", help, not_made.clone());
        let refused = Family::default();
        let help = "What was refused before it was done; docs/operators/metrics.md has the reasons";
        registry.register("http_refused", help, refused.clone());
        let help = "Statements that were refused because the schema changed under their plan";
        registry.register("stale_plans", help, STALE_PLANS.clone());
        let help = "Security events, by event";
        registry.register("security_events", help, security::EVENTS.clone());
        let help = "Spans of recorded traces, by what became of them";
        registry.register("trace_spans", help, traces::SPANS.clone());
        let waiting = Gauge::default();
        let help = "Requests that wait for admission";
        registry.register("http_waiting", help, waiting.clone());
        let connections = Gauge::default();
        registry.register("http_connections", "Open connections of clients", connections.clone());
        let (breaches, checked) = (Family::default(), Family::default());
        let help = "In how many places an invariant did not hold when they were last checked";
        registry.register("invariant_breaches", help, breaches.clone());
        let help = "How long ago the invariants were checked; absent until they were";
        registry.register_with_unit("invariants_age", help, Unit::Seconds, checked.clone());
        Self {
            queue,
            jobs,
            paused,
            oldest,
            retrying,
            failures,
            oldest_undo,
            missing,
            not_made,
            refused,
            waiting,
            connections,
            breaches,
            checked,
            registry: Arc::new(registry),
        }
    }
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

    /// All of them, in the OpenMetrics text format, with the queue's depth as it is now.
    ///
    /// # Errors
    /// The database's.
    pub async fn text(&self, pool: &PgPool) -> Result<String, sqlx::Error> {
        let tags = MqTag::ALL.map(MqTag::wire);
        let queues = admin::queues(pool, &tags.map(str::to_owned)).await?;
        for (tag, queue) in tags.into_iter().zip(queues) {
            let counts = [
                ("ready", queue.ready),
                ("delayed", queue.delayed),
                ("retrying", queue.retrying),
                ("running", queue.running),
                ("dead", queue.dead),
            ];
            for (state, jobs) in counts {
                self.jobs.get_or_create(&InState { tag, state }).set(jobs);
            }
            self.paused.get_or_create(&OfTag { tag }).set(queue.paused.into());
            self.oldest.get_or_create(&OfTag { tag }).set(queue.oldest_ready_secs.unwrap_or(0.0));
            self.retrying.get_or_create(&OfTag { tag }).set(queue.retrying);
            self.failures.get_or_create(&OfTag { tag }).set(queue.most_failures.into());
            if tag.parse().is_ok_and(MqTag::is_debt) {
                let age = ops::queues::oldest_undo_secs(&queue).unwrap_or(0.0);
                self.oldest_undo.get_or_create(&OfTag { tag }).set(age);
            }
        }
        let missing = recurring::missing(pool).await?;
        for tag in MqTag::ALL.into_iter().filter(|tag| tag.recurring().is_some()) {
            let is_missing = missing.contains(&(tag, true));
            self.missing.get_or_create(&OfTag { tag: tag.wire() }).set(is_missing.into());
        }
        self.not_made.set(trips::count_not_made(pool).await?);
        if let Some(stored) = verifier::verdict(pool).await? {
            self.checked.get_or_create(&[]).set(stored.age_secs);
            for verdict in stored.invariants.as_array().into_iter().flatten() {
                let invariant = verdict["name"].as_str().unwrap_or_default().to_owned();
                let places = verdict["count"].as_i64().unwrap_or_else(|| (verdict["holds"] == false).into());
                self.breaches.get_or_create(&Invariant { invariant }).set(places);
            }
        }
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        Ok(text)
    }
}
