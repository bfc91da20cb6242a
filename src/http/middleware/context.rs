//! The context of a request: its trace id, the client's language and the route; the log line of
//! each request, and the headers of every response.

use crate::{
    domain::RiderId,
    http::{
        acknowledged::{Acknowledged, acknowledged},
        language::prefers_chinese,
        paged,
    },
    security,
    telemetry::requests::CountedRequest,
    traces::{self, Span, SpanContext, TraceId, Tracer},
};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::Response,
};
use farebox_jobs::queue;
use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};
use tracing::Instrument;

/// The request's trace id in the response.
const TRACE_HEADER: HeaderName = HeaderName::from_static("x-trace-id");
/// The caller's span, in the request.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The request's span, in the response.
const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");
/// The client's own id of the request, returned unchanged; the trace id if there is none.
const REQUEST_HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id of a client, and longest idempotency key, that is in the log, bytes.
const MAX_LOGGED_BYTES: usize = 128;
/// The methods that have their own name in traces.
const KNOWN_METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
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
    /// The account that the request's token names, once it was read.
    caller: Arc<OnceLock<RiderId>>,
}

impl Context {
    /// The route and not the path, so that logs hold no ids and no personal data.
    pub(crate) fn route(&self) -> &str {
        self.route.as_ref().map_or("none", MatchedPath::as_str)
    }
}

/// Notes the account that the token of the current request names, for the line of the log.
pub(crate) fn note_caller(rider: RiderId) {
    // The token is read once; a second account cannot come.
    let _ = CONTEXT.try_with(|context| context.caller.set(rider));
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
        caller: Arc::default(),
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
    let (method, asked) = (request.method().clone(), request.uri().clone());
    let counted = CountedRequest::begin(context.route.as_ref().map(MatchedPath::as_str), &method);
    // Log lines of a saga carry the trace id of its request, on any task.
    let span = tracing::info_span!("request", trace_id = %context.trace_id);
    let mut response = traces::within(recorded.as_ref(), next.run(request).instrument(span)).await;
    if let Some(span) = &recorded {
        end_span(span, &response);
    }
    paged::link(&asked, &mut response);
    let headers = response.headers_mut();
    for (name, value) in EVERYWHERE {
        headers.entry(name).or_insert(value);
    }
    if let Ok(trace_id) = HeaderValue::from_str(&context.trace_id) {
        headers.insert(REQUEST_HEADER, request_id.clone().unwrap_or_else(|| trace_id.clone()));
        headers.insert(TRACE_HEADER, trace_id);
    }
    let request_id = request_id.as_ref().and_then(|id| id.to_str().ok());
    let status = response.status().as_u16();
    counted.end(status);
    // A number in JSON, which 128 bits are not.
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (account, change, idempotency_key) = change_of(&method, &response, &context);
    tracing::info!(
        %method, route = context.route(), status, ms, trace_id = %context.trace_id, request_id, account, change,
        idempotency_key, "request"
    );
    response
}

/// Of a request that changed something: the digest of the account, the name of the change, and the client's
/// key, if it is plain. `farebox restore-check` reads them.
fn change_of(
    method: &Method,
    response: &Response,
    context: &Context,
) -> (Option<String>, Option<String>, Option<String>) {
    if method.is_safe() || response.status().as_u16() >= 400 {
        return (None, None, None);
    }
    let account = context.caller.get().map(|rider| security::account(*rider));
    let Some(Acknowledged { change, key }) = acknowledged(response.extensions()) else {
        return (account, None, None);
    };
    (account, Some(change.to_string()), key.clone().filter(|key| is_plain(key.as_bytes())))
}

/// The client's id of the request, if it has only letters, digits and a few signs. Nothing else
/// gets into logs.
fn request_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(REQUEST_HEADER).filter(|id| is_plain(id.as_bytes()))
}

fn is_plain(text: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    (1..=MAX_LOGGED_BYTES).contains(&text.len()) && text.iter().all(plain)
}

/// Runs the work so that its problems have this language, whatever the headers prefer.
pub(crate) async fn with_language<T>(chinese: bool, work: impl Future<Output = T>) -> T {
    let (trace_id, route, caller) = CONTEXT
        .try_with(|context| (context.trace_id.clone(), context.route.clone(), Arc::clone(&context.caller)))
        .unwrap_or_default();
    CONTEXT.scope(Context { trace_id, chinese, route, caller }, work).await
}
