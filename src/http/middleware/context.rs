//! The context of a request: its trace id, the client's language and the route; the log line of
//! each request, and the headers of every response.

use crate::http::language::prefers_chinese;
use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use farebox_jobs::queue;
use std::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

/// The request's trace id in the response.
const TRACE_HEADER: HeaderName = HeaderName::from_static("x-trace-id");
/// The client's own id of the request, returned unchanged; the trace id if there is none.
const REQUEST_HEADER: HeaderName = HeaderName::from_static("x-request-id");
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

/// Gives the request its context.
pub(crate) async fn request_context(request: Request, next: Next) -> Response {
    let context = Context {
        trace_id: Uuid::now_v7().simple().to_string(),
        chinese: prefers_chinese(request.headers()),
        route: request.extensions().get::<MatchedPath>().cloned(),
    };
    let trace_id = context.trace_id.clone();
    queue::with_trace_id(trace_id, CONTEXT.scope(context.clone(), respond(request, next, context))).await
}

async fn respond(request: Request, next: Next, context: Context) -> Response {
    let began = Instant::now();
    let request_id = request_id(request.headers()).cloned();
    let method = request.method().clone();
    // Log lines of a saga carry the trace id of its request, on any task.
    let span = tracing::info_span!("request", trace_id = %context.trace_id);
    let mut response = next.run(request).instrument(span).await;
    let headers = response.headers_mut();
    for (name, value) in EVERYWHERE {
        headers.entry(name).or_insert(value);
    }
    if let Ok(trace_id) = HeaderValue::from_str(&context.trace_id) {
        headers.insert(REQUEST_HEADER, request_id.clone().unwrap_or_else(|| trace_id.clone()));
        headers.insert(TRACE_HEADER, trace_id);
    }
    let request_id = request_id.as_ref().and_then(|id| id.to_str().ok());
    // A number in JSON, which 128 bits are not.
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
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
