//! The trace id that ties a job's attempts to the request that enqueued it.

tokio::task_local! {
    static TRACE: String;
}

/// Runs `work` under this trace id: the jobs it makes carry it, and so do the logs and the history
/// of their attempts. It does not follow a spawned task by itself: see [`in_current_trace`].
pub async fn with_trace_id<T>(id: String, work: impl Future<Output = T>) -> T {
    TRACE.scope(id, work).await
}

/// Lets `work` keep this task's trace id wherever it is spawned.
pub fn in_current_trace<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let id = current();
    async move {
        match id {
            Some(id) => with_trace_id(id, work).await,
            None => work.await,
        }
    }
}

/// The trace id of this task, if it has one.
pub(crate) fn current() -> Option<String> {
    TRACE.try_with(Clone::clone).ok()
}
