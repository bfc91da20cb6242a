//! Scheduling a rollback: the failed step's undo becomes due now.

use super::{
    context::SagaContext,
    step::{SagaError, SagaStep, StepFailure, error_chain},
};
use crate::{
    statements::Rollback,
    traces::{self, Kind, Span},
};
use farebox_jobs::MqTag;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use std::sync::LazyLock;

/// Whether the rollback is queued when the client is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RollbackStatus {
    /// In the queue, due now.
    Queued,
    /// It could not be scheduled. The undo that the steps armed when they committed falls due by itself.
    Armed,
}

impl RollbackStatus {
    /// The word for it in a response.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Armed => "armed",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RollbackLabels {
    tag: &'static str,
    outcome: &'static str,
}

/// The rollbacks that this process raised, by the tag of the failed step and [`RollbackStatus`].
pub struct RollbackMetrics(Family<RollbackLabels, Counter>);

/// Those of this process.
pub static ROLLBACKS: LazyLock<RollbackMetrics> = LazyLock::new(|| {
    let rollbacks = RollbackMetrics(Family::default());
    // Each is there from the start: `increase` of a series that begins with its first one is 0.
    for tag in MqTag::STEPS {
        for status in [RollbackStatus::Queued, RollbackStatus::Armed] {
            drop(rollbacks.0.get_or_create(&RollbackLabels { tag: tag.wire(), outcome: status.as_str() }));
        }
    }
    rollbacks
});

impl RollbackMetrics {
    /// Puts them into a registry.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Rollbacks raised by failed steps, by the step's tag and whether they are queued";
        registry.register("rollbacks", help, self.0.clone());
    }

    fn count(&self, tag: MqTag, status: RollbackStatus) {
        self.0.get_or_create(&RollbackLabels { tag: tag.wire(), outcome: status.as_str() }).inc();
    }
}

/// The result of a saga: its value, or why it stopped, with the status of its rollback after a failure.
pub type SagaResult<T> = Result<T, (SagaError, Option<RollbackStatus>)>;

/// Ends a saga: after a failed step it schedules that step's `rollback`.
///
/// # Errors
/// Why the saga stopped.
pub async fn or_roll_back<T, S: SagaStep>(
    saga: &SagaContext,
    result: Result<T, SagaError<S>>,
    rollback: impl FnOnce(S) -> Rollback,
) -> SagaResult<T> {
    match result {
        Ok(done) => Ok(done),
        Err(SagaError::Failed(StepFailure { step, cause, span })) => {
            let raised = span.as_ref().map(|failed| failed.child("rollback", Kind::Producer));
            // The undo is made within the span: it keeps what raised it.
            let error = error_chain(&*cause);
            let scheduling = async { schedule(saga, rollback(step).after(&error), raised.as_ref()).await };
            let status = Box::pin(traces::within(raised.as_ref(), scheduling)).await;
            ROLLBACKS.count(step.tag(), status);
            Err((SagaError::Failed(StepFailure { step: step.tag(), cause, span }), Some(status)))
        }
        Err(SagaError::Refused(refusal)) => Err((SagaError::Refused(refusal), None)),
        Err(SagaError::KeyTaken) => Err((SagaError::KeyTaken, None)),
    }
}

/// Makes the undo due now. It may fail, or be dropped with its process, without danger: see
/// [`RollbackStatus::Armed`].
async fn schedule(saga: &SagaContext, rollback: Rollback, span: Option<&Span>) -> RollbackStatus {
    let (tag, key) = (rollback.undo.tag, rollback.undo.key.clone());
    let status = match saga.batchers.schedule_rollbacks.submit(rollback).await {
        Ok(()) => {
            saga.notifier.notify();
            RollbackStatus::Queued
        }
        Err(error) => {
            tracing::warn!(tag, key, %error, "rollback not scheduled; the armed undo will fall due");
            RollbackStatus::Armed
        }
    };
    if let Some(span) = span {
        span.set("farebox.tag", tag);
        span.set("farebox.key", key);
        span.set("farebox.rollback", status.as_str());
        span.end();
    }
    status
}
