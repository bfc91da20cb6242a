//! The tracer of a process: which traces are recorded, and the queue of ended spans.

use super::{
    context::{SpanContext, TraceId},
    endpoint::Endpoint,
    export::Exporter,
    record::Kind,
    sink::Sink,
    span::Span,
};
use crate::settings::{Environment, Otel};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// How long a stop waits for the spans that are left. Longer than the export that runs may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Begins the traces of a process. Clones share it.
#[derive(Clone)]
pub struct Tracer(Arc<Inner>);

struct Inner {
    sample_percent: f64,
    follow_callers: bool,
    sink: Sink,
    stop: CancellationToken,
    exporter: Mutex<Option<JoinHandle<()>>>,
}

impl Tracer {
    /// The tracer of the program `service`, with its exporter on a task of its own; `None` if the
    /// settings name no endpoint.
    ///
    /// # Errors
    /// An endpoint or headers that cannot be used; in production, an endpoint of another machine
    /// without TLS.
    pub fn start(settings: &Otel, environment: Environment, service: &str) -> Result<Option<Self>, String> {
        let Some(endpoint) = Endpoint::of(settings, environment)? else { return Ok(None) };
        let named = settings.service_name.as_str();
        let exporter = Exporter::new(endpoint, if named.is_empty() { service } else { named })?;
        let (sink, spans) = Sink::new();
        let stop = CancellationToken::new();
        let running = tokio::spawn(exporter.run(spans, stop.clone()));
        tracing::info!(sample_percent = settings.sample_percent.0, "traces are exported");
        Ok(Some(Self(Arc::new(Inner {
            sample_percent: settings.sample_percent.0,
            follow_callers: settings.follow_callers,
            sink,
            stop,
            exporter: Mutex::new(Some(running)),
        }))))
    }

    /// The span of a request, if its trace is recorded: by the caller's flag if the settings follow
    /// callers and there is one, else by chance.
    pub fn request(
        &self,
        trace_id: TraceId,
        caller: Option<SpanContext>,
        name: impl FnOnce() -> String,
    ) -> Option<Span> {
        let follows = caller.filter(|_| self.0.follow_callers);
        let sampled = follows.map_or_else(|| self.samples(), |caller| caller.sampled);
        let parent = caller.map(|caller| caller.span_id);
        let context = || SpanContext::new(trace_id, true);
        sampled.then(|| Span::begin(self.0.sink.clone(), context(), parent, name(), Kind::Server))
    }

    /// The span of an attempt at a job, a trace of its own, with a link to the span that enqueued the
    /// job. It is recorded if that span was. A job that belongs to no request is recorded by chance.
    pub fn attempt(
        &self,
        traceparent: Option<&str>,
        is_of_request: bool,
        name: impl FnOnce() -> String,
    ) -> Option<Span> {
        let enqueued = traceparent.and_then(SpanContext::parse);
        let sampled = enqueued.map_or_else(|| !is_of_request && self.samples(), |context| context.sampled);
        if !sampled {
            return None;
        }
        let context = SpanContext::new(TraceId::random(), true);
        let span = Span::begin(self.0.sink.clone(), context, None, name(), Kind::Consumer);
        enqueued.into_iter().for_each(|context| span.link(context));
        Some(span)
    }

    /// Exports what is left and stops, within a bound of time. Spans that end later are dropped.
    pub async fn close(&self) {
        self.0.stop.cancel();
        let exporter = self.0.exporter.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut exporter) = exporter else { return };
        if timeout(CLOSE_LIMIT, &mut exporter).await.is_err() {
            exporter.abort();
            tracing::warn!("stopped before all spans were exported");
        }
    }

    fn samples(&self) -> bool {
        rand::random::<f64>() * 100.0 < self.0.sample_percent
    }
}
