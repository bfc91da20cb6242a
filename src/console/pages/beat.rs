//! The heartbeat of open pages: whether the session and the database are there. One page of a browser
//! asks for all of them.

use crate::console::session::signed_in;
use crate::http::App;
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use std::time::Duration;
use tokio::time::timeout;

/// How long the database may take. The script waits longer, and shows a page as old after 4.5 s.
const BEAT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// 204, or the word for what is missing: `session` (401), `database` (503), or `busy` (503) if the
/// database answers and no connection was free to ask for the session. It is no use of the session.
pub(crate) async fn beat(State(app): State<App>, headers: HeaderMap) -> (StatusCode, &'static str) {
    let ended = (StatusCode::UNAUTHORIZED, "session");
    let Some(caller) = signed_in(&headers, &app) else { return ended };
    let rule = app.settings.accounts.operator_sessions();
    let in_use = app.sessions.is_in_use(&app.operator_pool, &caller, rule, false);
    // Side by side: the script waits for little longer than one of them may take.
    let asked = tokio::join!(timeout(BEAT_TIMEOUT, in_use), app.probe.responds(BEAT_TIMEOUT));
    match asked {
        (Ok(Ok(false)), _) => ended,
        (_, false) => (StatusCode::SERVICE_UNAVAILABLE, "database"),
        (Ok(Ok(true)), true) => (StatusCode::NO_CONTENT, ""),
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
    }
}
