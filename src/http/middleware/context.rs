//! The context of a request: its trace id, the client's language and the route; the log line of
//! each request, and the headers of every response.

use crate::{
    http::language::prefers_chinese,
    traces::{self, Span, SpanContext, TraceId, Tracer},
};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use farebox_jobs::queue;
use std::time::Instant;
use tracing::Instrument;

/// The request's trace id in the response.
const TRACE_HEADER: HeaderName = HeaderName::from_static("x-trace-id");
/// The caller's span, in the request.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The request's span, in the response.
const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");
/// The client's own id of the request, returned unchanged; the trace id if there is none.
const REQUEST_HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The methods that have their own name in traces.
const KNOWN_METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
/// Longest request id of a client, bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;
/// Headers of every response that does not set them itself: no sniffing, no framing, no scripts, no
/// caching.
const EVERYWHERE: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ),
];

/// The context of a request, for problem bodies and logs.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) trace_id: String,
    pub(crate) chinese: bool,
    /// Of the route table; none if no route matches.
    pub(crate) route: Option<MatchedPath>,
}

impl Context {
    /// The route and not the path, so that logs hold no ids and no personal data.
    pub(crate) fn route(&self) -> &str {
        self.route.as_ref().map_or("none", MatchedPath::as_str)
    }
}

tokio::task_local! {
    pub(crate) static CONTEXT: Context;
}

/// Runs the work in the context of the current request, also on another task, so that its problems
/// have the client's language and the trace id.
pub(crate) fn with_current_context<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let context = CONTEXT.try_with(Context::clone).ok();
    async move {
        match context {
            Some(context) => CONTEXT.scope(context, work).await,
            None => work.await,
        }
    }
}

/// Gives the request its context, and its span if its trace is recorded. The trace is the caller's, if
/// the caller names one.
pub(crate) async fn request_context(
    State(tracer): State<Option<Tracer>>,
    request: Request,
    next: Next,
) -> Response {
    let caller = caller(request.headers());
    let trace_id = caller.map_or_else(TraceId::random, |caller| caller.trace_id);
    let context = Context {
        trace_id: trace_id.to_string(),
        chinese: prefers_chinese(request.headers()),
        route: request.extensions().get::<MatchedPath>().cloned(),
    };
    let span = tracer.as_ref().and_then(|tracer| begin_span(tracer, trace_id, caller, &request, &context));
    // A caller that knows nothing of traces, of a process that exports none, gets no span to look for.
    let own = (tracer.is_some() || caller.is_some())
        .then(|| span.as_ref().map_or_else(|| SpanContext::new(trace_id, false), Span::context));
    let responding = CONTEXT.scope(context.clone(), respond(request, next, context.clone(), span));
    let mut response = queue::with_trace_id(context.trace_id, responding).await;
    if let Some(value) = own.and_then(|own| HeaderValue::try_from(own.to_string()).ok()) {
        response.headers_mut().insert(TRACERESPONSE, value);
    }
    response
}

/// The caller's span. More than one header, or a malformed one, is none.
fn caller(headers: &HeaderMap) -> Option<SpanContext> {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let first = given.next().filter(|_| given.next().is_none())?;
    SpanContext::parse(first.to_str().ok()?)
}

/// The span of a request. Probes and scrapes have none.
fn begin_span(
    tracer: &Tracer,
    trace_id: TraceId,
    caller: Option<SpanContext>,
    request: &Request,
    context: &Context,
) -> Option<Span> {
    let route = context.route.as_ref().map(MatchedPath::as_str);
    if route.is_some_and(|route| route.starts_with("/health/") || route == "/metrics") {
        return None;
    }
    let method = request.method().as_str();
    // A method that HTTP does not know is a text of the client's.
    let method = if KNOWN_METHODS.contains(&method) { method.to_owned() } else { "_OTHER".to_owned() };
    let name = || route.map_or_else(|| method.clone(), |route| format!("{method} {route}"));
    let span = tracer.request(trace_id, caller, name)?;
    span.set("http.request.method", method);
    if let Some(route) = route {
        span.set("http.route", route.to_owned());
    }
    span.set("url.scheme", "http");
    Some(span)
}

fn end_span(span: &Span, response: &Response) {
    let status = response.status();
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail(status.as_str().to_owned());
    }
    span.end();
}

async fn respond(request: Request, next: Next, context: Context, recorded: Option<Span>) -> Response {
    let began = Instant::now();
    let request_id = request_id(request.headers()).cloned();
    let method = request.method().clone();
    // Log lines of a saga carry the trace id of its request, on any task.
    let span = tracing::info_span!("request", trace_id = %context.trace_id);
    let mut response = traces::within(recorded.as_ref(), next.run(request).instrument(span)).await;
    if let Some(span) = &recorded {
        end_span(span, &response);
    }
    let headers = response.headers_mut();
    for (name, value) in EVERYWHERE {
        headers.entry(name).or_insert(value);
    }
    if let Ok(trace_id) = HeaderValue::from_str(&context.trace_id) {
        headers.insert(REQUEST_HEADER, request_id.clone().unwrap_or_else(|| trace_id.clone()));
        headers.insert(TRACE_HEADER, trace_id);
    }
    let request_id = request_id.as_ref().and_then(|id| id.to_str().ok());
    let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis());
    tracing::info!(%method, route = context.route(), status, ms, trace_id = %context.trace_id, request_id, "request");
    response
}

/// The client's id of the request, if it has only letters, digits and a few signs. Nothing else
/// gets into logs.
fn request_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    let fits =
        |id: &&HeaderValue| (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.as_bytes().iter().all(plain);
    headers.get(REQUEST_HEADER).filter(fits)
}

/// Runs the work so that its problems have this language, whatever the headers prefer.
pub(crate) async fn with_language<T>(chinese: bool, work: impl Future<Output = T>) -> T {
    let (trace_id, route) =
        CONTEXT.try_with(|context| (context.trace_id.clone(), context.route.clone())).unwrap_or_default();
    CONTEXT.scope(Context { trace_id, chinese, route }, work).await
}
