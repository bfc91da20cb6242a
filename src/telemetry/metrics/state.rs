//! The state of the database as metrics: the same on every process.

use crate::{
    ops::{self, undos, verifier},
    saga::recurring,
    settings::DEFAULT_OVERDUE_BOUND,
    trips, webhooks,
};
use farebox_jobs::{MqTag, queue::admin};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use rust_decimal::prelude::ToPrimitive;
use sqlx::PgPool;
use std::{sync::atomic::AtomicU64, time::Duration};
use tokio::time::timeout;

/// How long a page waits for the facts of undos.
const OWED_TIME: Duration = Duration::from_secs(1);

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
struct Invariant {
    invariant: String,
}

type Decimals = Gauge<f64, AtomicU64>;

/// The labels of a metric that has none but may be absent.
type NoLabels = [(&'static str, &'static str); 0];

/// What is read of the database for each page. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct DatabaseState {
    jobs: Family<InState, Gauge>,
    paused: Family<OfTag, Gauge>,
    oldest: Family<OfTag, Decimals>,
    retrying: Family<OfTag, Gauge>,
    failures: Family<OfTag, Gauge>,
    oldest_undo: Family<OfTag, Decimals>,
    workers: Family<OfTag, Gauge>,
    missing: Family<OfTag, Gauge>,
    not_made: Gauge,
    webhook_failing: Decimals,
    webhook_pending: Gauge,
    /// These three are absent while the facts of undos cannot be read.
    owed_seats: Family<NoLabels, Gauge>,
    owed_riders: Family<NoLabels, Gauge>,
    owed_amount: Family<NoLabels, Decimals>,
    breaches: Family<Invariant, Gauge>,
    /// Absent until the invariants were checked once: without a check there is no age.
    checked: Family<NoLabels, Decimals>,
}

impl DatabaseState {
    /// Puts them into a registry.
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Jobs in the queue, counted up to 1,000 of a tag and state";
        registry.register("jobs", help, self.jobs.clone());
        registry.register("tag_paused", "Whether the tag is paused", self.paused.clone());
        let help = "How long the longest due job has waited";
        registry.register_with_unit("oldest_ready", help, Unit::Seconds, self.oldest.clone());
        let help =
            "Jobs whose last attempt failed and that wait for the next, counted up to 20,000 of all tags";
        registry.register("queue_retrying", help, self.retrying.clone());
        let help = "The most failed attempts of one live job";
        registry.register("queue_failures", help, self.failures.clone());
        let help =
            "How long ago the oldest undo fell due that is not done; of tags whose jobs owe seats or money";
        registry.register_with_unit("queue_oldest_debt", help, Unit::Seconds, self.oldest_undo.clone());
        let help = "Live workers that work for the tag";
        registry.register("queue_workers", help, self.workers.clone());
        let help = "Whether a recurring job that a worker runs is missing from the queue";
        registry.register("recurring_job_missing", help, self.missing.clone());
        let help = "Departures of the timetable's coming days that could not be made";
        registry.register("departures_not_made", help, self.not_made.clone());
        let help =
            "For how long every attempt at an enabled webhook has failed; of the one that fails longest";
        registry.register_with_unit("webhook_failing", help, Unit::Seconds, self.webhook_failing.clone());
        let help = "Events that wait to be sent to enabled webhooks, counted up to 10,000";
        registry.register("webhook_pending", help, self.webhook_pending.clone());
        let help = "Seats that undos will free which are due or have given up, of 1,000 of each";
        registry.register("owed_seats", help, self.owed_seats.clone());
        let help = "Money of these undos, in the network's currency";
        registry.register("owed_amount", help, self.owed_amount.clone());
        registry.register("owed_riders", "Riders of these undos", self.owed_riders.clone());
        let help = "In how many places an invariant did not hold when they were last checked";
        registry.register("invariant_breaches", help, self.breaches.clone());
        let help = "How long ago the invariants were checked; absent until they were";
        registry.register_with_unit("invariants_age", help, Unit::Seconds, self.checked.clone());
    }

    /// Reads the state of now. Safe to drop: it only reads.
    pub(super) async fn read(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        self.read_queues(pool).await?;
        let missing = recurring::missing(pool).await?;
        for tag in MqTag::ALL.into_iter().filter(|tag| tag.recurring().is_some()) {
            let is_missing = missing.contains(&(tag, true));
            self.missing.get_or_create(&OfTag { tag: tag.wire() }).set(is_missing.into());
        }
        self.not_made.set(trips::count_not_made(pool).await?);
        let webhooks = webhooks::standing(pool).await?;
        self.webhook_failing.set(webhooks.failing_secs);
        self.webhook_pending.set(webhooks.pending);
        self.read_owed(pool).await;
        if let Some(stored) = verifier::verdict(pool).await? {
            self.checked.get_or_create(&[]).set(stored.age_secs);
            for verdict in stored.invariants.as_array().into_iter().flatten() {
                let invariant = verdict["name"].as_str().unwrap_or_default().to_owned();
                let places = verdict["count"].as_i64().unwrap_or_else(|| (verdict["holds"] == false).into());
                self.breaches.get_or_create(&Invariant { invariant }).set(places);
            }
        }
        Ok(())
    }

    /// Reads what undos are of. Orders and seats may be locked just when much is owed, and the other
    /// metrics must not wait for them.
    async fn read_owed(&self, pool: &PgPool) {
        if let Ok(Ok(owed)) = timeout(OWED_TIME, undos::backlog(pool, DEFAULT_OVERDUE_BOUND)).await {
            self.owed_seats.get_or_create(&[]).set(owed.seats.try_into().unwrap_or(i64::MAX));
            self.owed_riders.get_or_create(&[]).set(owed.riders.try_into().unwrap_or(i64::MAX));
            self.owed_amount.get_or_create(&[]).set(owed.amount.to_f64().unwrap_or_default());
        } else {
            tracing::warn!("what is owed is not among the metrics: it was not read in time");
            self.owed_seats.clear();
            self.owed_riders.clear();
            self.owed_amount.clear();
        }
    }

    async fn read_queues(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let tags = MqTag::ALL.map(MqTag::wire);
        let names = tags.map(str::to_owned);
        let queues = admin::queues(pool, &names).await?;
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
        for (tag, workers) in tags.into_iter().zip(admin::workers_by_tag(pool, &names).await?) {
            self.workers.get_or_create(&OfTag { tag }).set(workers);
        }
        Ok(())
    }
}
