//! The worker: one exhaustive match from tag to undo. A new tag does not compile without its undo.

use super::attempt::traced;
use crate::{
    batch::OverduePacer,
    booking,
    domain::FieldError,
    ops, payment,
    saga::{FaultPoint, JobContext, SagaContext, recurring},
    settings::Settings,
    storage::{again, note_outage},
    telemetry::metrics::Metrics,
    trips,
    webhooks::{self, Webhooks},
};
use farebox_jobs::{
    MqTag,
    queue::{self, Delivery, JobError, Outcome, WorkerConfig, WorkerError},
    retry_policy,
};
use std::{future::Future, time::Duration};
use tokio::task::JoinSet;

/// Runs one job.
///
/// # Errors
/// What the queue does with the job: retry it, or leave it to an operator.
pub async fn run(
    context: &JobContext,
    webhooks: &Webhooks,
    delivery: &Delivery,
) -> Result<Outcome, JobError> {
    let tag: MqTag = delivery.lease.tag.parse().map_err(JobError::undecodable)?;
    context.faults().in_undo(tag, FaultPoint::Before).await.map_err(JobError::Retry)?;
    if delivery.is_cancelled() {
        return Err(JobError::Cancelled);
    }
    let outcome = match tag {
        MqTag::OrderSeats => booking::check::undo(context, delivery).await?,
        MqTag::OrderAddSeats => booking::claim::undo(context, delivery).await?,
        MqTag::OrderCalcMoney => booking::price::undo(context, delivery).await?,
        MqTag::OrderAdd => booking::add_order::undo(context, delivery).await?,
        MqTag::OrderCancel => booking::cancel::undo(context, delivery).await?,
        MqTag::PayCheck => payment::check::undo(context, delivery).await?,
        MqTag::PayMoney => payment::debit::undo(context, delivery).await?,
        MqTag::Pay => payment::mark_paid::undo(context, delivery).await?,
        MqTag::PayBack => payment::refund::undo(context, delivery).await?,
        MqTag::OrderUnpaid => booking::unpaid::expire(context, delivery).await?,
        MqTag::Timetable => trips::horizon::run(context, delivery).await?,
        MqTag::TripCancel => trips::cancel::run(context, delivery).await?,
        MqTag::Bulk => ops::bulk::run(context, delivery).await?,
        MqTag::NetworkImport => trips::network::run(context, delivery).await?,
        MqTag::WebhookEvent => webhooks::run_event(webhooks, context, delivery).await?,
        MqTag::WebhookDelivery => webhooks::run_delivery(webhooks, context, delivery).await?,
    };
    context.faults().in_undo(tag, FaultPoint::After).await.map_err(JobError::Retry)?;
    Ok(outcome)
}

/// Reads `--tags`: the wire names, separated by commas; none means all.
///
/// # Errors
/// Names the unknown tag.
pub fn read_tags(text: Option<&str>) -> Result<Vec<MqTag>, FieldError> {
    let Some(text) = text else { return Ok(MqTag::ALL.to_vec()) };
    text.split(',')
        .map(|tag| tag.trim().parse().map_err(|e| FieldError::new("--tags", format!("{e}"))))
        .collect()
}

/// Runs jobs until `shutdown`, then stops gracefully.
///
/// # Errors
/// apalis's own, if its worker cannot run.
pub async fn work(
    saga: &SagaContext,
    settings: &Settings,
    tags: &[MqTag],
    metrics: &Metrics,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), WorkerError> {
    let Settings { worker: settings, webhooks, environment, .. } = settings;
    let names: Vec<&str> = tags.iter().map(|tag| tag.wire()).collect();
    let config = WorkerConfig {
        host: gethostname::gethostname().to_string_lossy().into_owned(),
        build: env!("CARGO_PKG_VERSION").to_owned(),
        concurrency: settings.concurrency,
        batch: settings.batch,
        lease: Duration::from_millis(settings.lease_ms),
        poll: Duration::from_millis(settings.poll_ms),
        grace: Duration::from_millis(settings.grace_ms),
        attempt_deadline: Duration::from_millis(settings.attempt_ms),
        listen: settings.listen,
        retention: Duration::from_secs(settings.retention_days * 24 * 3_600),
        metrics: metrics.queue.clone(),
        on_error: |error| _ = note_outage(error),
        ..WorkerConfig::new("farebox-worker", &names)
    };
    let context = JobContext::new(saga, OverduePacer::new(settings.overdue_per_sec));
    let webhooks = Webhooks::new(*webhooks, *environment, saga.passwords.clone(), settings.concurrency);
    let tracer = saga.tracer.clone();
    let handler = move |delivery: Delivery| {
        let (context, webhooks, tracer) = (context.clone(), webhooks.clone(), tracer.clone());
        // A stale plan does not cost an attempt: the job is run again at once.
        async move {
            let attempt = again(|| run(&context, &webhooks, &delivery));
            traced(tracer.as_ref(), context.pool(), &delivery, attempt).await
        }
    };
    let policy = |tag: &str| retry_policy(tag.parse().unwrap_or(MqTag::OrderUnpaid));
    let makes_trips = tags.contains(&MqTag::Timetable);
    let saga = saga.clone();
    let pool = saga.pool.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(recurring::run_recurring_loop(saga.clone(), tags.to_vec()));
    if makes_trips {
        tasks.spawn(async move { trips::horizon::schedule(&saga).await });
    }
    queue::run(pool, config, policy, handler, shutdown).await
}
