//! What wraps every request: a trace id, the client's language, a time limit, and a problem body for a panic.

use super::{App, problem::Problem};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use farebox_jobs::queue;
use futures_util::FutureExt;
use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};
use tracing::Instrument;
use uuid::Uuid;

/// The request's trace id in the answer.
const TRACE_HEADER: &str = "x-trace-id";

/// What a problem body tells of the request it answers.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) trace_id: String,
    pub(super) chinese: bool,
}

tokio::task_local! {
    pub(super) static CONTEXT: Context;
}

pub(super) async fn wrap(State(app): State<App>, request: Request, next: Next) -> Response {
    let context =
        Context { trace_id: Uuid::now_v7().simple().to_string(), chinese: prefers_chinese(&request) };
    let trace_id = context.trace_id.clone();
    queue::traced(trace_id, CONTEXT.scope(context.clone(), answer(app, request, next, context))).await
}

async fn answer(app: App, request: Request, next: Next, context: Context) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let limit = Duration::from_millis(app.settings.http.timeout_ms);
    // What a flow logs, on whatever task, carries the trace id of its request.
    let span = tracing::info_span!("request", trace_id = %context.trace_id);
    let run =
        AssertUnwindSafe(tokio::time::timeout(limit, next.run(request).instrument(span))).catch_unwind();
    let mut response = match run.await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Problem::timed_out().into_response(),
        Err(_) => Problem::broken().into_response(),
    };
    if let Ok(value) = HeaderValue::from_str(&context.trace_id) {
        response.headers_mut().insert(TRACE_HEADER, value);
    }
    let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis());
    // The route, not the path: no ids, no query, nothing personal.
    tracing::info!(%method, route = route.as_deref().unwrap_or("none"), status, ms, trace_id = %context.trace_id, "request");
    response
}

fn prefers_chinese(request: &Request) -> bool {
    let accepted = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|text| text.trim_start().to_ascii_lowercase().starts_with("zh"))
}
