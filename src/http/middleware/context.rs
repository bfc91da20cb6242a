//! The context of a request: its trace id, the client's language and the route; the log line of
//! each request, and the headers of every response.

use crate::{
    domain::RiderId,
    http::{
        acknowledged::{Acknowledged, acknowledged},
        language::prefers_chinese,
    },
    security,
    telemetry::requests::CountedRequest,
};
use axum::{
    extract::{MatchedPath, Request},
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
use uuid::Uuid;

/// The request's trace id in the response.
const TRACE_HEADER: HeaderName = HeaderName::from_static("x-trace-id");
/// The client's own id of the request, returned unchanged; the trace id if there is none.
const REQUEST_HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id of a client, and longest idempotency key, that is in the log, bytes.
const MAX_LOGGED_BYTES: usize = 128;
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

/// Gives the request its context.
pub(crate) async fn request_context(request: Request, next: Next) -> Response {
    let context = Context {
        trace_id: Uuid::now_v7().simple().to_string(),
        chinese: prefers_chinese(request.headers()),
        route: request.extensions().get::<MatchedPath>().cloned(),
        caller: Arc::default(),
    };
    let trace_id = context.trace_id.clone();
    queue::with_trace_id(trace_id, CONTEXT.scope(context.clone(), respond(request, next, context))).await
}

async fn respond(request: Request, next: Next, context: Context) -> Response {
    let began = Instant::now();
    let request_id = request_id(request.headers()).cloned();
    let method = request.method().clone();
    let counted = CountedRequest::begin(context.route.as_ref().map(MatchedPath::as_str), &method);
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
