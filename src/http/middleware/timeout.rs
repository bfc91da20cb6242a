//! The time limit of a request, and the response to a panic.

use crate::http::{App, problem::Problem};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use std::{panic::AssertUnwindSafe, time::Duration};

/// Answers a request that takes too long, or panics, with a problem.
pub(crate) async fn timeout(State(app): State<App>, request: Request, next: Next) -> Response {
    let limit = Duration::from_millis(app.settings.http.timeout_ms);
    match AssertUnwindSafe(tokio::time::timeout(limit, next.run(request))).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Problem::timed_out().into_response(),
        Err(_) => Problem::broken().into_response(),
    }
}
