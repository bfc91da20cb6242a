//! What wraps every request: a trace id and the client's language; and within that a time limit, and a problem body for
//! a panic.

use crate::http::{App, language::prefers_chinese, problem::Problem};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use farebox_jobs::queue;
use futures_util::FutureExt;
use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};
use tokio::time::timeout;
use tracing::Instrument;
use uuid::Uuid;

/// The request's trace id in the answer.
const TRACE_HEADER: HeaderName = HeaderName::from_static("x-trace-id");
/// The client's own id of the request, given back; the trace id if there is none.
const REQUEST_HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id a client may give.
const LONGEST_ID: usize = 128;
/// What every answer says, unless it says otherwise: nothing here is to be guessed at, framed, run or kept.
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

/// What a problem body tells of the request it answers.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) trace_id: String,
    pub(crate) chinese: bool,
    /// Of the table of routes; none if nothing is at the address.
    pub(crate) route: Option<MatchedPath>,
}

impl Context {
    /// The route, not the path: no ids, no query, nothing personal.
    pub(crate) fn route(&self) -> &str {
        self.route.as_ref().map_or("none", MatchedPath::as_str)
    }
}

tokio::task_local! {
    pub(crate) static CONTEXT: Context;
}

/// The work with the request's context, for a task of its own: what it answers is told in the client's language and with
/// the trace id as well.
pub(crate) fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let context = CONTEXT.try_with(Context::clone).ok();
    async move {
        match context {
            Some(context) => CONTEXT.scope(context, work).await,
            None => work.await,
        }
    }
}

pub(crate) async fn wrap(request: Request, next: Next) -> Response {
    let context = Context {
        trace_id: Uuid::now_v7().simple().to_string(),
        chinese: prefers_chinese(request.headers()),
        route: request.extensions().get::<MatchedPath>().cloned(),
    };
    let trace_id = context.trace_id.clone();
    queue::traced(trace_id, CONTEXT.scope(context.clone(), answer(request, next, context))).await
}

async fn answer(request: Request, next: Next, context: Context) -> Response {
    let began = Instant::now();
    let request_id = request_id(request.headers()).cloned();
    let method = request.method().clone();
    // What a flow logs, on whatever task, carries the trace id of its request.
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
    let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis());
    tracing::info!(%method, route = context.route(), status, ms, trace_id = %context.trace_id, request_id, "request");
    response
}

/// Ends what takes too long or panics with a problem, which may become a page on its way out.
pub(crate) async fn bound(State(app): State<App>, request: Request, next: Next) -> Response {
    let limit = Duration::from_millis(app.settings.http.timeout_ms);
    match AssertUnwindSafe(timeout(limit, next.run(request))).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Problem::timed_out().into_response(),
        Err(_) => Problem::broken().into_response(),
    }
}

/// The client's id of the request, if it is one: letters, digits and a few signs, so that nothing else gets into logs.
fn request_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    let fits = |id: &&HeaderValue| (1..=LONGEST_ID).contains(&id.len()) && id.as_bytes().iter().all(plain);
    headers.get(REQUEST_HEADER).filter(fits)
}

/// Lets problems be told in this language meanwhile, whatever the client's headers prefer.
pub(crate) async fn with_language<T>(chinese: bool, answer: impl Future<Output = T>) -> T {
    let (trace_id, route) =
        CONTEXT.try_with(|context| (context.trace_id.clone(), context.route.clone())).unwrap_or_default();
    CONTEXT.scope(Context { trace_id, chinese, route }, answer).await
}
