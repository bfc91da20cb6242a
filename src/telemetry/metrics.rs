//! What a scraper reads: what this process's workers did, and how much lies in the queue.

use crate::{
    ops::{self, overview},
    saga::recurring,
    storage::STALE_PLANS,
    trips,
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
struct Why {
    why: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Invariant {
    invariant: String,
}

/// Of a metric that is one number, once there is one.
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
    oldest_debt: Family<OfTag, Gauge<f64, AtomicU64>>,
    missing: Family<OfTag, Gauge>,
    not_made: Gauge,
    refused: Family<Why, Counter>,
    waiting: Gauge,
    breaches: Family<Invariant, Gauge>,
    /// Absent until they were checked once: an age of nothing would be an age of 0 s.
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
        registry.register("tag_paused", "Whether workers leave the tag alone", paused.clone());
        let help = "How long the longest due job has waited";
        registry.register_with_unit("oldest_ready", help, Unit::Seconds, oldest.clone());
        let (retrying, failures, oldest_debt) = (Family::default(), Family::default(), Family::default());
        let help =
            "Jobs whose last attempt failed and that wait for the next, counted up to 20,000 of all tags";
        registry.register("queue_retrying", help, retrying.clone());
        let help = "The most failed attempts of one live job";
        registry.register("queue_failures", help, failures.clone());
        let help =
            "How long ago the oldest undo fell due that is not done; of tags whose jobs owe seats or money";
        registry.register_with_unit("queue_oldest_debt", help, Unit::Seconds, oldest_debt.clone());
        let missing = Family::default();
        let help = "Whether a recurring job that a worker runs is missing from the queue";
        registry.register("recurring_job_missing", help, missing.clone());
        let not_made = Gauge::default();
        let help = "Departures of the timetable's coming days that could not be made";
        registry.register("departures_not_made", help, not_made.clone());
        let refused = Family::default();
        let help = "Requests that were refused unread: beyond a limit (limited), or one too many in flight (crowded)";
        registry.register("http_refused", help, refused.clone());
        let help = "Statements that were refused because the schema changed under their plan";
        registry.register("stale_plans", help, STALE_PLANS.clone());
        let waiting = Gauge::default();
        let help = "Requests that wait for a place among those in flight";
        registry.register("http_waiting", help, waiting.clone());
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
            oldest_debt,
            missing,
            not_made,
            refused,
            waiting,
            breaches,
            checked,
            registry: Arc::new(registry),
        }
    }
}

/// A request that waits for a place, until this is dropped.
pub struct WaitsForPlace(Gauge);

impl Drop for WaitsForPlace {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Counts a request that waits for a place.
    pub fn waits(&self) -> WaitsForPlace {
        self.waiting.inc();
        WaitsForPlace(self.waiting.clone())
    }

    /// Counts a request that was refused unread.
    pub fn refused(&self, why: &'static str) {
        self.refused.get_or_create(&Why { why }).inc();
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
                let age = ops::queues::oldest_debt_secs(&queue).unwrap_or(0.0);
                self.oldest_debt.get_or_create(&OfTag { tag }).set(age);
            }
        }
        let missing = recurring::missing(pool).await?;
        for tag in MqTag::ALL.into_iter().filter(|tag| tag.recurring().is_some()) {
            let is_missing = missing.contains(&(tag, true));
            self.missing.get_or_create(&OfTag { tag: tag.wire() }).set(is_missing.into());
        }
        self.not_made.set(trips::count_not_made(pool).await?);
        if let Some(kept) = overview::verdict(pool).await? {
            self.checked.get_or_create(&[]).set(kept.age_secs);
            for verdict in kept.invariants.as_array().into_iter().flatten() {
                let invariant = verdict["name"].as_str().unwrap_or_default().to_owned();
                let places = verdict["count"].as_i64().unwrap_or_else(|| (verdict["holds"] == false).into());
                self.breaches.get_or_create(&Invariant { invariant }).set(places);
            }
        }
        let mut text = String::new();
        // Writing to a string fails for no reason.
        let _ = text::encode(&mut text, &self.registry);
        Ok(text)
    }
}
