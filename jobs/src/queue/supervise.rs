//! The backend's middleware: runs each attempt on a task of its own, ends it at its deadline, and reports to the
//! driver what became of it. A panic stays in its task; a handler that blocks its thread holds up nobody else.

use super::{Delivery, JobError, Lease, Outcome, error::BoxError, worker::Phase};
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
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tower::{Layer, Service};
use tracing::Instrument;

/// How long an aborted attempt may take to let go. One that blocks its thread does not, and is left behind: it can
/// no longer complete its job.
const ABORT_LIMIT: Duration = Duration::from_secs(1);

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// The handler came back.
    Returned(Result<Outcome, JobError>),
    /// It panicked, or was stopped: why.
    Broken(String),
    /// It was never started.
    Unstarted,
}

/// An attempt's end, on its way to the driver.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) lease: Lease,
    pub(super) ending: Ending,
}

/// The layer of [`Supervised`].
#[derive(Clone, Debug)]
pub(super) struct Supervise {
    pub(super) reports: mpsc::Sender<Report>,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) deadline: Duration,
    pub(super) worker: String,
}

/// A handler's service under supervision; it never fails.
#[derive(Clone, Debug)]
pub(super) struct Supervised<S> {
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
        // A service that fails to get ready says so again when it is called, and then it is that job's failure.
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, task: Task<Delivery>) -> Self::Future {
        let lease = task.args.lease.clone();
        let by = self.by.clone();
        let begun = *by.phase.borrow() == Phase::Working;
        let attempt = begun.then(|| self.inner.call(task));
        Box::pin(async move {
            let ending = match attempt {
                Some(attempt) => by.watch_over(attempt, &lease).await,
                None => Ending::Unstarted,
            };
            // Fails only when the driver is gone; then the lease runs out.
            let _ = by.reports.send(Report { lease, ending }).await;
            Ok(())
        })
    }
}

impl Supervise {
    async fn watch_over<F>(&self, attempt: F, lease: &Lease) -> Ending
    where
        F: Future<Output = Result<Outcome, BoxError>> + Send + 'static,
    {
        let span = tracing::info_span!(
            "job", id = %lease.job_id, tag = %lease.tag, key = %lease.key, attempt = lease.attempt, worker = %self.worker
        );
        // A set aborts its task when it is dropped, so an attempt never outlives its worker.
        let mut running = JoinSet::new();
        running.spawn(attempt.instrument(span));
        let why = tokio::select! {
            Some(end) = running.join_next() => return ending(end),
            () = sleep(self.deadline) => format!("stopped at its deadline of {:?}", self.deadline),
            () = self.out_of_grace() => "stopped: the worker's grace was over".to_owned(),
        };
        running.abort_all();
        match timeout(ABORT_LIMIT, running.join_next()).await {
            Ok(Some(Ok(result))) => ending(Ok(result)),
            Ok(_) => Ending::Broken(why),
            Err(_) => Ending::Broken(format!("{why}, and did not let go")),
        }
    }

    async fn out_of_grace(&self) {
        // If the sender is gone so is the worker, and this future with it.
        let _ = self.phase.clone().wait_for(|phase| *phase >= Phase::Aborting).await;
    }
}

fn ending(end: Result<Result<Outcome, BoxError>, JoinError>) -> Ending {
    match end {
        Ok(Ok(outcome)) => Ending::Returned(Ok(outcome)),
        Ok(Err(error)) => Ending::Returned(Err(job_error(error))),
        Err(error) if error.is_panic() => {
            Ending::Broken(format!("panicked: {}", words(&*error.into_panic())))
        }
        Err(error) => Ending::Broken(error.to_string()),
    }
}

/// apalis carries a handler's error as a box; an error of apalis's own means another attempt.
fn job_error(error: BoxError) -> JobError {
    error.downcast::<JobError>().map_or_else(JobError::Retry, |error| *error)
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}
