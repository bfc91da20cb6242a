//! Running a step under its tag.

use super::{FaultPoint, Faults};
use crate::domain::{BoxError, Error, Refusal};
use farebox_jobs::{MqTag, queue};
use futures_util::FutureExt;
use std::{future::Future, panic::AssertUnwindSafe};
use tracing::Instrument;

/// Why a flow stopped.
#[derive(Debug)]
pub enum SagaError {
    /// The business answer is no.
    Refused(Refusal),
    /// The client's idempotency key was taken by another request meanwhile.
    KeyTaken,
    /// A step failed; its tag says which rollback is owed.
    Failed(StepFailure),
}

/// A failed step.
#[derive(Debug)]
pub struct StepFailure {
    /// The tag of the step.
    pub tag: MqTag,
    /// What went wrong.
    pub cause: BoxError,
}

impl StepFailure {
    /// Whether the database could not be reached or would not write, which passes by itself.
    pub fn is_outage(&self) -> bool {
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

/// Runs one step under its tag. A panic is a failure like any other, and belongs to this step of this flow alone.
///
/// # Errors
/// The step's refusal, or its failure with the tag.
pub fn step<'a, T: Send + 'a>(
    faults: &'a Faults,
    tag: MqTag,
    work: impl Future<Output = Result<T, Error>> + Send + 'a,
) -> impl Future<Output = Result<T, SagaError>> + Send + 'a {
    // Boxed at once: every layer around a future copies it whole, and a request's added up to two megabytes.
    let work = Box::pin(work);
    async move {
        let watched = async {
            faults.in_step(tag, FaultPoint::Before).await.map_err(Error::Broken)?;
            let done = work.await?;
            faults.in_step(tag, FaultPoint::After).await.map_err(Error::Broken)?;
            Ok(done)
        };
        let cause = match AssertUnwindSafe(watched).catch_unwind().await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(Error::Refused(refusal))) => return Err(SagaError::Refused(refusal)),
            Ok(Err(Error::KeyTaken)) => return Err(SagaError::KeyTaken),
            Ok(Err(Error::Broken(cause))) => cause,
            Err(panic) => panic_text(&*panic).into(),
        };
        tracing::error!(%tag, error = %chain(&*cause), "step failed");
        Err(SagaError::Failed(StepFailure { tag, cause }))
    }
}

/// Runs a flow to its end even if the client hangs up: a dropped request must not leave a flow half way.
///
/// # Errors
/// The flow's own, or the panic of code between its steps, as a failure under `tag`.
pub fn to_the_end<T: Send + 'static>(
    tag: MqTag,
    saga: impl Future<Output = Result<T, SagaError>> + Send + 'static,
) -> impl Future<Output = Result<T, SagaError>> + Send {
    // Boxed as a step is.
    let running = tokio::spawn(queue::carried(Box::pin(saga)).in_current_span());
    async move {
        match running.await {
            Ok(result) => result,
            Err(join) => Err(SagaError::Failed(StepFailure { tag, cause: Box::new(join) })),
        }
    }
}

/// Does this to its end on a task of its own, whether or not somebody still waits for it: for work that takes something and
/// gives it back, of which a client that hangs up may not make half.
///
/// # Errors
/// Its panic.
pub async fn undropped<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, BoxError> {
    Ok(tokio::spawn(queue::carried(Box::pin(work)).in_current_span()).await?)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.as_deref().unwrap_or("no message"))
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
