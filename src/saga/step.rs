//! Running a step under its tag.

use super::faults::{FaultPoint, Faults};
use crate::{
    domain::{BoxError, Error, Refusal},
    storage,
    traces::{self, Kind, Span},
};
use farebox_jobs::MqTag;
use futures_util::FutureExt;
use std::{future::Future, panic::AssertUnwindSafe};
use tracing::Instrument;

/// A step of a saga.
pub trait SagaStep: Copy + Send + 'static {
    /// The tag of the step, and of its undo.
    fn tag(self) -> MqTag;
}

/// A saga of one step is named by its tag.
impl SagaStep for MqTag {
    fn tag(self) -> MqTag {
        self
    }
}

/// Why a saga stopped.
#[derive(Debug)]
pub enum SagaError<S = MqTag> {
    /// The business answer is no.
    Refused(Refusal),
    /// Another request reserved the client's idempotency key meanwhile.
    KeyTaken,
    /// A step failed; it says which rollback is due.
    Failed(StepFailure<S>),
}

/// A failed step.
#[derive(Debug)]
pub struct StepFailure<S = MqTag> {
    /// The step.
    pub step: S,
    /// What went wrong.
    pub cause: BoxError,
    /// The step's span, if its trace is recorded: the rollback that it raises belongs to it.
    pub span: Option<Span>,
}

impl StepFailure {
    /// Whether the database could not be reached or would not write, which passes by itself.
    pub fn note_outage(&self) -> bool {
        self.cause.downcast_ref::<sqlx::Error>().is_some_and(crate::storage::note_outage)
    }

    /// Whether its plan was older than the schema, twice.
    pub fn is_stale(&self) -> bool {
        self.cause.downcast_ref::<sqlx::Error>().is_some_and(crate::storage::is_stale_plan)
    }

    /// Whether a password waited too long to be checked.
    pub fn is_busy(&self) -> bool {
        self.cause.is::<crate::accounts::passwords::Busy>()
    }
}

/// Runs one step under its tag. A panic is a failure like any other, and belongs to this step of this
/// saga alone.
///
/// # Errors
/// The step's refusal, or its failure.
pub fn step<'a, T: Send + 'a, S: SagaStep>(
    faults: &'a Faults,
    step: S,
    work: impl Future<Output = Result<T, Error>> + Send + 'a,
) -> impl Future<Output = Result<T, SagaError<S>>> + Send + 'a {
    // Boxed at once: every layer around a future copies it whole, and those of a request would add up.
    let work = Box::pin(work);
    let tag = step.tag();
    async move {
        let supervised = async {
            faults.in_step(tag, FaultPoint::Before).await.map_err(Error::Broken)?;
            let done = work.await?;
            faults.in_step(tag, FaultPoint::After).await.map_err(Error::Broken)?;
            Ok(done)
        };
        let span = begin_span(tag);
        let ended = traces::within(span.as_ref(), AssertUnwindSafe(supervised).catch_unwind()).await;
        if let Some(span) = &span {
            end_span(span, &ended);
        }
        let cause = match ended {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(Error::Refused(refusal))) => return Err(SagaError::Refused(refusal)),
            Ok(Err(Error::KeyTaken)) => return Err(SagaError::KeyTaken),
            Ok(Err(Error::Broken(cause))) => cause,
            Err(panic) => panic_message(&*panic).into(),
        };
        tracing::error!(%tag, error = %error_chain(&*cause), "step failed");
        Err(SagaError::Failed(StepFailure { step, cause, span }))
    }
}

/// The span of a step; `None` if nothing is recorded.
fn begin_span(tag: MqTag) -> Option<Span> {
    let span = traces::current()?.child(format!("step {tag}"), Kind::Internal);
    span.set("farebox.tag", tag.wire());
    Some(span)
}

fn end_span<T, P>(span: &Span, ended: &Result<Result<T, Error>, P>) {
    let outcome = match ended {
        Ok(Ok(_)) => "done",
        Ok(Err(Error::Refused(_))) => "refused",
        Ok(Err(Error::KeyTaken)) => "key_taken",
        Ok(Err(Error::Broken(cause))) => {
            span.fail(cause.downcast_ref().map_or_else(|| "failed".to_owned(), storage::error_type));
            "failed"
        }
        Err(_) => {
            span.fail("panic");
            "failed"
        }
    };
    span.set("farebox.outcome", outcome);
    span.end();
}

/// Runs a saga on a task of its own, to its end even if the client hangs up: a dropped request must not leave
/// a saga half way.
///
/// # Errors
/// The saga's own, or the panic of code between its steps, as a failure under `tag`.
pub fn run_detached<T: Send + 'static>(
    tag: MqTag,
    saga: impl Future<Output = Result<T, SagaError>> + Send + 'static,
) -> impl Future<Output = Result<T, SagaError>> + Send {
    // Boxed as a step is.
    let running = tokio::spawn(traces::in_current_trace(Box::pin(saga)).in_current_span());
    async move {
        match running.await {
            Ok(result) => result,
            Err(join) => Err(SagaError::Failed(StepFailure { step: tag, cause: Box::new(join), span: None })),
        }
    }
}

/// Runs work on a task of its own, to its end even if its caller is dropped: for work that takes
/// something and returns it, of which a client that hangs up must not cause only the first half.
///
/// # Errors
/// Its panic.
pub async fn run_undropped<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, BoxError> {
    Ok(tokio::spawn(traces::in_current_trace(Box::pin(work)).in_current_span()).await?)
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.as_deref().unwrap_or("no message"))
}

/// The error with all its causes.
pub(super) fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
