//! The trace that ties a job's attempts to the work that enqueued it.

/// The trace of a task.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    /// Its id, as logs and the history of attempts show it.
    pub(crate) id: String,
    /// The span that enqueues, as a W3C `traceparent`; none where no spans are recorded.
    pub(crate) parent: Option<String>,
}

tokio::task_local! {
    static TRACE: Trace;
}

/// Runs `work` under this trace id: the jobs it makes carry it, and so do the logs and the history
/// of their attempts. It does not follow a spawned task by itself: see [`in_current_trace`].
pub async fn with_trace_id<T>(id: String, work: impl Future<Output = T>) -> T {
    TRACE.scope(Trace { id, parent: None }, work).await
}

/// Runs `work` within a span of the present trace: the jobs it makes carry this W3C `traceparent`
/// beside the trace id ([`Lease::traceparent`](crate::Lease::traceparent)). Without a trace, the
/// jobs carry neither.
pub async fn with_traceparent<T>(traceparent: String, work: impl Future<Output = T>) -> T {
    match current() {
        Some(Trace { id, .. }) => TRACE.scope(Trace { id, parent: Some(traceparent) }, work).await,
        None => work.await,
    }
}

/// Lets `work` keep this task's trace wherever it is spawned.
pub fn in_current_trace<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let trace = current();
    async move {
        match trace {
            Some(trace) => TRACE.scope(trace, work).await,
            None => work.await,
        }
    }
}

/// The trace of this task, if it has one.
pub(crate) fn current() -> Option<Trace> {
    TRACE.try_with(Clone::clone).ok()
}
