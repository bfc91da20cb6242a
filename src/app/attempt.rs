//! The span of an attempt at a job: what the attempt is for, and how it ended.

use crate::{
    domain::Currency,
    ops::impact::{self, UndoSubject},
    storage,
    traces::{Span, Tracer},
};
use farebox_jobs::{
    MqTag,
    queue::{Delivery, JobError, Lease, Outcome},
};
use sqlx::PgPool;
use std::future::Future;

/// Runs an attempt in a span, if the span that enqueued its job was recorded.
///
/// Safe to drop, as the attempt is: the span ends as dropped.
///
/// # Errors
/// Those of the attempt.
pub(super) async fn traced(
    tracer: Option<&Tracer>,
    pool: &PgPool,
    delivery: &Delivery,
    attempt: impl Future<Output = Result<Outcome, JobError>>,
) -> Result<Outcome, JobError> {
    let Some(span) = tracer.and_then(|tracer| begin(tracer, &delivery.lease)) else { return attempt.await };
    // Boxed: most attempts are not recorded, and are not to carry this.
    Box::pin(async {
        describe(&span, pool, delivery).await;
        let done = span.scope(attempt).await;
        end(&span, &done);
        done
    })
    .await
}

fn begin(tracer: &Tracer, lease: &Lease) -> Option<Span> {
    let tag: Option<MqTag> = lease.tag.parse().ok();
    let is_undo = tag.is_some_and(|tag| MqTag::STEPS.contains(&tag));
    let name = || format!("{} {}", if is_undo { "undo" } else { "job" }, lease.tag);
    tracer.attempt(lease.traceparent.as_deref(), lease.trace.is_some(), name)
}

/// Says what the attempt is for. The facts are read before it changes them: one statement more for a
/// recorded attempt. An attempt whose facts cannot be read goes on without them.
async fn describe(span: &Span, pool: &PgPool, delivery: &Delivery) {
    let lease = &delivery.lease;
    span.set("farebox.tag", lease.tag.clone());
    span.set("farebox.key", lease.key.clone());
    span.set("farebox.job_id", lease.job_id.to_string());
    span.set("farebox.attempt", lease.attempt);
    span.set("farebox.max_attempts", lease.max_attempts);
    if let Some(trace_id) = &lease.trace {
        span.set("farebox.trace_id", trace_id.clone());
    }
    match impact::undo_subject(pool, &delivery.payload).await {
        Ok(Some(UndoSubject { order_id, seats, amount })) => {
            span.set("farebox.order_id", order_id.to_string());
            span.set("farebox.seats", seats);
            if let Some(amount) = amount {
                span.set("farebox.amount", amount.to_string());
                span.set("farebox.currency", Currency::installed().to_string());
            }
        }
        Ok(None) => {}
        Err(error) => tracing::debug!(%error, "what the attempt is for is not in its span"),
    }
}

fn end(span: &Span, done: &Result<Outcome, JobError>) {
    let outcome = match done {
        Ok(_) => "done",
        Err(error) => {
            let (outcome, cause) = match error {
                JobError::Retry(cause) | JobError::RetryAfter(cause, _) => ("failed", Some(cause)),
                JobError::Fatal(cause) => ("fatal", Some(cause)),
                JobError::NeedsOperator(cause) => ("needs_operator", Some(cause)),
                JobError::Undecodable(_) => ("undecodable", None),
                JobError::LeaseLost => ("lease_lost", None),
                JobError::Cancelled => ("cancelled", None),
            };
            let database = cause.and_then(|cause| cause.downcast_ref()).map(storage::error_type);
            span.fail(database.unwrap_or_else(|| outcome.to_owned()));
            outcome
        }
    };
    span.set("farebox.outcome", outcome);
    span.end();
}
