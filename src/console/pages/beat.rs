//! The heartbeat of open pages: whether the session and the database are there. One page of a browser
//! asks for all of them. Pages without a session ask for the database alone.

use crate::console::session::signed_in;
use crate::http::App;
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

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

/// How long an answer holds for all pages without a session: anyone may ask.
const HOLDS: Duration = Duration::from_millis(500);

/// Whether the database answered last, and when it was asked. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastAnswer(Arc<Mutex<Option<(Instant, bool)>>>);

impl LastAnswer {
    /// One statement at a time, however many ask. Safe to drop: the next one asks again.
    async fn responds(&self, app: &App) -> bool {
        let mut last = self.0.lock().await;
        if let Some((at, answer)) = *last
            && at.elapsed() < HOLDS
        {
            return answer;
        }
        let answer = app.probe.responds(BEAT_TIMEOUT).await;
        *last = Some((Instant::now(), answer));
        answer
    }
}

/// 204, or 503 with the word `database`, for a page without a session.
pub(crate) async fn without_session(
    State(app): State<App>,
    Extension(last): Extension<LastAnswer>,
) -> (StatusCode, &'static str) {
    if last.responds(&app).await {
        (StatusCode::NO_CONTENT, "")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "database")
    }
}
