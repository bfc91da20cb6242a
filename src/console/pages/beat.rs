//! The heartbeat of open pages: whether the session and the database are there. One page of a browser
//! asks for all of them.

use crate::console::session::signed_in;
use crate::{http::App, storage::responds};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use std::time::Duration;

/// How long the database may take. The script waits longer, and shows a page as old after 4.5 s.
const BEAT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// 204, or the word for what is missing: `session` (401) or `database` (503). It is no use of the
/// session.
pub(crate) async fn beat(State(app): State<App>, headers: HeaderMap) -> (StatusCode, &'static str) {
    let ended = (StatusCode::UNAUTHORIZED, "session");
    let Some(caller) = signed_in(&headers, &app) else { return ended };
    let rule = app.settings.accounts.operator_sessions();
    let in_use = app.sessions.is_in_use(&app.operator_pool, &caller, rule, false);
    match tokio::time::timeout(BEAT_TIMEOUT, in_use).await {
        Ok(Ok(true)) if responds(&app.operator_pool, BEAT_TIMEOUT).await => (StatusCode::NO_CONTENT, ""),
        Ok(Ok(false)) => ended,
        _ => (StatusCode::SERVICE_UNAVAILABLE, "database"),
    }
}
