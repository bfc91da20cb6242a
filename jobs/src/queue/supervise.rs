//! The backend's middleware: runs each attempt on a task of its own, ends it at its deadline, and reports to the
//! driver what became of it. A panic stays in its task; a handler that blocks its thread holds up nobody else.

use super::{Delivery, JobError, Lease, Outcome, error::BoxError, trace::traced, worker::Phase};
use apalis_core::task::Task;
use futures_util::future::BoxFuture;
use std::{
    any::Any,
    convert::Infallible,
    sync::Arc,
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
    /// It was never started, because somebody asked for the job's end.
    CalledOff,
}

/// An attempt's end, on its way to the driver.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) lease: Arc<Lease>,
    pub(super) ending: Ending,
    /// When it began and how long it took, if it was started.
    pub(super) ran: Option<(Instant, Duration)>,
    /// Whether somebody had asked for its end.
    pub(super) cancelled: bool,
}

impl Report {
    /// Of an attempt that is not started.
    pub(super) fn unstarted(lease: Arc<Lease>) -> Self {
        Self { lease, ending: Ending::Unstarted, ran: None, cancelled: false }
    }
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
        let Delivery { lease, cancelled, .. } = task.args.clone();
        let by = self.by.clone();
        let working = *by.phase.borrow() == Phase::Working;
        // Boxed before it is moved about: what apalis makes of a handler is large.
        let attempt = (working && !cancelled.is_cancelled()).then(|| Box::pin(self.inner.call(task)));
        Box::pin(async move {
            let began = Instant::now();
            let (ending, ran) = match attempt {
                Some(attempt) => {
                    let ending = by.watch_over(attempt, &lease).await;
                    (ending, Some((began, began.elapsed())))
                }
                None if cancelled.is_cancelled() => (Ending::CalledOff, None),
                None => (Ending::Unstarted, None),
            };
            // Fails only when the driver is gone; then the lease runs out.
            let _ = by.reports.send(Report { lease, ending, ran, cancelled: cancelled.is_cancelled() }).await;
            Ok(())
        })
    }
}

/// A task that ends with its owner.
struct Owned<T>(JoinHandle<T>);

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Supervise {
    async fn watch_over<F>(&self, attempt: F, lease: &Lease) -> Ending
    where
        F: Future<Output = Result<Outcome, BoxError>> + Send + 'static,
    {
        let trace_id = lease.trace.clone().unwrap_or_else(|| lease.job_id.simple().to_string());
        let span = tracing::info_span!(
            "job", id = %lease.job_id, tag = %lease.tag, key = %lease.key, attempt = lease.attempt, worker = %self.worker,
            %trace_id
        );
        let mut running = Owned(tokio::spawn(traced(trace_id, attempt).instrument(span)));
        let why = tokio::select! {
            end = &mut running.0 => return ending(end),
            () = sleep(self.deadline) => format!("stopped at its deadline of {:?}", self.deadline),
            () = self.out_of_grace() => "stopped: the worker's grace was over".to_owned(),
        };
        // Safe to drop wherever it waits: its transactions roll back. Was it in a commit that happened, then its job is settled,
        // and the failure that is written down under its lease's token finds nothing.
        running.0.abort();
        match timeout(ABORT_LIMIT, &mut running.0).await {
            Ok(Ok(result)) => ending(Ok(result)),
            Ok(Err(_)) => Ending::Broken(why),
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
