//! The backend's middleware: runs each attempt on a task of its own, ends it at its deadline, and
//! reports to the driver what became of it. A panic stays in its task; a handler that blocks its
//! thread delays no other job.

use crate::{
    Delivery, JobError, Lease, Outcome,
    error::BoxError,
    outcome::{AttemptReport, AttemptResult},
    state::WorkerState,
    trace::with_trace_id,
};
use apalis_core::task::Task;
use futures_util::future::BoxFuture;
use std::{
    any::Any,
    convert::Infallible,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinHandle},
    time::{Instant, sleep, timeout},
};
use tower::{Layer, Service};
use tracing::Instrument;

/// How long an aborted attempt may take to let go. One that blocks its thread does not, and is left
/// behind: it can no longer complete its job.
const ABORT_LIMIT: Duration = Duration::from_secs(1);

/// The layer of [`Supervised`].
#[derive(Clone, Debug)]
pub(crate) struct Supervise {
    pub(crate) reports: mpsc::Sender<AttemptReport>,
    pub(crate) state: watch::Receiver<WorkerState>,
    pub(crate) deadline: Duration,
    pub(crate) worker: String,
}

/// A handler's service under supervision; it never fails.
#[derive(Clone, Debug)]
pub(crate) struct Supervised<S> {
    inner: S,
    by: Supervise,
}

impl<S> Layer<S> for Supervise {
    type Service = Supervised<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Supervised { inner, by: self.clone() }
    }
}

impl<S> Service<Task<Delivery>> for Supervised<S>
where
    S: Service<Task<Delivery>, Response = Outcome, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<(), Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A service that fails to get ready says so again when it is called, and then it is that
        // job's failure.
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, task: Task<Delivery>) -> Self::Future {
        let Delivery { lease, cancelled, .. } = task.args.clone();
        let by = self.by.clone();
        let working = *by.state.borrow() == WorkerState::Working;
        // Boxed before it is moved: the future that apalis makes of a handler is large.
        let attempt = (working && !cancelled.is_cancelled()).then(|| Box::pin(self.inner.call(task)));
        Box::pin(async move {
            let began = Instant::now();
            let (result, ran) = match attempt {
                Some(attempt) => {
                    let result = by.supervise(attempt, &lease).await;
                    (result, Some((began, began.elapsed())))
                }
                None if cancelled.is_cancelled() => (AttemptResult::Cancelled, None),
                None => (AttemptResult::Unstarted, None),
            };
            // Fails only when the driver is gone; then the lease runs out.
            let _ = by
                .reports
                .send(AttemptReport { lease, result, ran, cancelled: cancelled.is_cancelled() })
                .await;
            Ok(())
        })
    }
}

/// A task that is aborted when this is dropped.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Supervise {
    async fn supervise<F>(&self, attempt: F, lease: &Lease) -> AttemptResult
    where
        F: Future<Output = Result<Outcome, BoxError>> + Send + 'static,
    {
        let trace_id = lease.trace.clone().unwrap_or_else(|| lease.job_id.simple().to_string());
        let span = tracing::info_span!(
            "job", id = %lease.job_id, tag = %lease.tag, key = %lease.key, attempt = lease.attempt,
            worker = %self.worker, %trace_id
        );
        let mut running = AbortOnDrop(tokio::spawn(with_trace_id(trace_id, attempt).instrument(span)));
        let why = tokio::select! {
            end = &mut running.0 => return attempt_result(end),
            () = sleep(self.deadline) => format!("stopped at its deadline of {:?}", self.deadline),
            () = self.grace_exceeded() => "stopped: the worker's grace was over".to_owned(),
        };
        // Safe to drop wherever it waits: its transactions roll back. Was it in a commit that
        // happened, then its job is settled, and the failure that is written down under its lease's
        // token finds nothing.
        running.0.abort();
        match timeout(ABORT_LIMIT, &mut running.0).await {
            Ok(Ok(result)) => attempt_result(Ok(result)),
            Ok(Err(_)) => AttemptResult::Broken(why),
            Err(_) => AttemptResult::Broken(format!("{why}, and did not let go")),
        }
    }

    async fn grace_exceeded(&self) {
        // If the sender is gone so is the worker, and this future with it.
        let _ = self.state.clone().wait_for(|state| *state >= WorkerState::Aborting).await;
    }
}

fn attempt_result(end: Result<Result<Outcome, BoxError>, JoinError>) -> AttemptResult {
    match end {
        Ok(Ok(outcome)) => AttemptResult::Returned(Ok(outcome)),
        Ok(Err(error)) => AttemptResult::Returned(Err(job_error(error))),
        Err(error) if error.is_panic() => {
            AttemptResult::Broken(format!("panicked: {}", panic_message(&*error.into_panic())))
        }
        Err(error) => AttemptResult::Broken(error.to_string()),
    }
}

/// apalis carries a handler's error as a box; an error of apalis's own means another attempt.
fn job_error(error: BoxError) -> JobError {
    error.downcast::<JobError>().map_or_else(JobError::Retry, |error| *error)
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}
