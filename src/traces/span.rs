//! A span that is recorded, and the current span of a task.

use super::{
    context::{SpanContext, SpanId},
    record::{Kind, Record, Value},
    sink::Sink,
};
use farebox_jobs::queue;
use futures_util::future::Either;
use std::{
    borrow::Cow,
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

tokio::task_local! {
    static CURRENT: Span;
}

/// A span that is recorded. Clones are the same span. It ends once, by [`Self::end`] or with its last
/// clone; what is set after that is ignored.
#[derive(Clone)]
pub struct Span(Arc<Open>);

struct Open {
    context: SpanContext,
    sink: Sink,
    record: Mutex<Option<Record>>,
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Span({})", self.0.context)
    }
}

/// The current span of this task; `None` if nothing is recorded.
pub fn current() -> Option<Span> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Runs the work with this span as its current one, if there is a span. Without one it is the work
/// itself: what surrounds a span is boxed, so that it adds nothing to the size of other requests.
pub fn within<'a, W: Future + 'a>(span: Option<&'a Span>, work: W) -> impl Future<Output = W::Output> + 'a {
    match span {
        Some(span) => Either::Left(Box::pin(span.scope(work))),
        None => Either::Right(work),
    }
}

/// Lets the work keep this task's trace id and span wherever it is spawned.
pub fn in_current_trace<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let span = current();
    queue::in_current_trace(async move {
        match span {
            Some(span) => CURRENT.scope(span, work).await,
            None => work.await,
        }
    })
}

impl Span {
    /// A new span, which begins now.
    pub(super) fn begin(
        sink: Sink,
        context: SpanContext,
        parent: Option<SpanId>,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
    ) -> Self {
        let record = Mutex::new(Some(Record::new(context, parent, name.into(), kind)));
        Self(Arc::new(Open { context, sink, record }))
    }

    /// A span within this one, which begins now. This one may have ended already.
    pub fn child(&self, name: impl Into<Cow<'static, str>>, kind: Kind) -> Self {
        let Open { context, sink, .. } = &*self.0;
        let own = SpanContext::new(context.trace_id, true);
        Self::begin(sink.clone(), own, Some(context.span_id), name, kind)
    }

    /// Which span of which trace it is.
    pub fn context(&self) -> SpanContext {
        self.0.context
    }

    /// Sets an attribute, or replaces its value.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.change(|record| record.set(key, value.into()));
    }

    /// Marks the span as failed, with the kind of its error.
    pub fn fail(&self, error_type: impl Into<Value>) {
        self.change(|record| {
            record.failed = true;
            record.set("error.type", error_type.into());
        });
    }

    /// Adds a link to a span of another trace.
    pub(super) fn link(&self, to: SpanContext) {
        self.change(|record| record.links.push(to));
    }

    /// Ends the span, which goes to the exporter.
    pub fn end(&self) {
        self.0.end();
    }

    /// Runs the work with this span as the task's current one: the spans that begin meanwhile are within
    /// it, and the jobs that are made keep it.
    pub async fn scope<T>(&self, work: impl Future<Output = T>) -> T {
        let work = CURRENT.scope(self.clone(), work);
        queue::with_traceparent(self.0.context.to_string(), work).await
    }

    fn change(&self, change: impl FnOnce(&mut Record)) {
        if let Some(record) = self.0.record.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            change(record);
        }
    }
}

impl Open {
    fn end(&self) {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(record) = record {
            self.sink.record(record.end());
        }
    }
}

impl Drop for Open {
    /// Its work was dropped, or panicked, before it ended the span.
    fn drop(&mut self) {
        if let Some(record) = self.record.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut() {
            record.failed = true;
            let panicked = std::thread::panicking();
            record.set("error.type", if panicked { "panic" } else { "dropped" }.into());
        }
        self.end();
    }
}
