//! What every page starts with: the signed-in account, its role, and the preferences.

use super::{
    CONSOLE,
    failure::Failure,
    notice::Notices,
    preferences::{Preferences, path_of, timetable_zone},
};
use crate::browser::{cookies::Cookies, csrf::csrf_token, language::Lang};
use crate::{
    accounts::{self, Caller, Role},
    http::App,
    ops::{
        audit::Through,
        history::Pause,
        reads::{self, Read},
    },
    storage::again,
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use chrono_tz::Tz;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// The cookie that holds the session's token.
pub(crate) const SESSION: &str = "farebox_console";
/// Longest address of a page that is kept through signing in, bytes.
const MAX_NEXT_BYTES: usize = 2_000;
/// How long an error page waits for the user name of the session. Without it, the page has no name.
const NAME_TIMEOUT: Duration = Duration::from_millis(500);

/// The context of a page: the operator or viewer, the preferences, and the CSRF token.
#[derive(Clone, Debug)]
pub(crate) struct PageContext {
    pub(crate) caller: Caller,
    /// The account's user name.
    pub(crate) name: String,
    pub(crate) lang: Lang,
    pub(crate) preferences: Preferences,
    /// The viewer's zone.
    pub(crate) zone: Tz,
    /// The timetable's zone.
    pub(crate) timetable_zone: Tz,
    /// Goes into every form.
    pub(crate) csrf: String,
    /// The path and query of the page.
    pub(crate) path: String,
    /// The notice of the last action.
    pub(crate) notice: Option<String>,
    /// Signs the notice of the next one.
    pub(crate) notices: Notices,
    /// The tags that are paused; none on an error page.
    pub(crate) pauses: Arc<Vec<Pause>>,
}

impl PageContext {
    fn of(
        headers: &HeaderMap,
        path: String,
        app: &App,
        (caller, name): (Caller, String),
        timetable_zone: Tz,
    ) -> Self {
        let preferences = Preferences::of(headers, &path);
        let notices = Notices::of(app, headers, caller.session_id);
        Self {
            caller,
            name,
            lang: preferences.lang,
            zone: preferences.zone.unwrap_or(timetable_zone),
            timetable_zone,
            preferences,
            csrf: csrf_token(app, &caller),
            path,
            notice: notices.read(headers),
            notices,
            pauses: Arc::default(),
        }
    }

    /// Translates: returns the text of the page's language.
    pub(crate) fn t<'a>(&self, english: &'a str, chinese: &'a str) -> &'a str {
        self.lang.t(english, chinese)
    }

    /// Records that the account reads personal data, before it is shown.
    pub(crate) async fn reads(&self, app: &App, read: &Read<'_>) -> Result<(), sqlx::Error> {
        reads::record(&app.saga.pool, &self.caller, Through::Console, read).await
    }

    /// Whether the account manages those of operators.
    pub(crate) fn is_admin(&self) -> bool {
        self.caller.role == Role::Admin
    }

    /// Whether the account may send the forms that change data.
    pub(crate) fn can_write(&self) -> bool {
        self.caller.role.may_operate()
    }
}

/// Marks a request by which an open page updates itself: it is no use of the session.
#[derive(Clone, Copy, Debug)]
pub(super) struct SelfUpdate;

impl FromRequestParts<App> for PageContext {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let counts = parts.extensions.get::<SelfUpdate>().is_none();
        page_context(&parts.headers, path_of(parts), app, counts).await
    }
}

/// The context of the session's account; a request without a session, or with one that was idle for
/// too long or lacks the second factor, is redirected to sign in.
pub(super) async fn page_context(
    headers: &HeaderMap,
    path: String,
    app: &App,
    counts: bool,
) -> Result<PageContext, Response> {
    let to_sign_in = || Redirect::to(&format!("/console/sign-in?{}", next(&path))).into_response();
    let caller = signed_in(headers, app).ok_or_else(to_sign_in)?;
    let rule = app.settings.accounts.operator_sessions();
    let in_use = app.sessions.is_in_use(&app.saga.pool, &caller, rule, counts).await;
    if !in_use.map_err(|error| Failure::from(error).into_response())? {
        return Err(to_sign_in());
    }
    // Retried here, before a form's body is read: a body cannot be read twice.
    let rider = again(|| accounts::find(&app.saga.pool, caller.rider_id)).await;
    let rider = rider.map_err(|error| Failure::from(error).into_response())?.ok_or_else(to_sign_in)?;
    let pauses =
        app.pauses.read(&app.saga.pool).await.map_err(|error| Failure::from(error).into_response())?;
    let zone = timetable_zone(app).await;
    Ok(PageContext { pauses, ..PageContext::of(headers, path, app, (caller, rider.user_name), zone) })
}

/// The context of an error page, if there is a session. The user name is left out when the database
/// does not answer in time.
pub(crate) async fn error_page_context(headers: &HeaderMap, path: String, app: &App) -> Option<PageContext> {
    let caller = signed_in(headers, app)?;
    let rider = timeout(NAME_TIMEOUT, accounts::find(&app.saga.pool, caller.rider_id)).await;
    let rider = rider.ok().and_then(Result::ok).flatten();
    let name = rider.map(|rider| rider.user_name).unwrap_or_default();
    Some(PageContext::of(headers, path, app, (caller, name), app.settings.trips.zone))
}

/// The session of the browser that sent these headers.
pub(crate) fn session_of(headers: &HeaderMap, app: &App) -> Option<Caller> {
    let token = Cookies::of(app, headers, CONSOLE).get(headers, SESSION)?;
    app.sessions.read(token)
}

pub(super) fn signed_in(headers: &HeaderMap, app: &App) -> Option<Caller> {
    session_of(headers, app).filter(|caller| caller.role.may_view())
}

pub(super) fn next(path: &str) -> String {
    serde_urlencoded::to_string([("next", path)]).unwrap_or_default()
}

/// The page to redirect to: `next` if it is a page of the console, the home page otherwise.
pub(crate) fn inside(next: &str) -> &str {
    let plain =
        next.len() <= MAX_NEXT_BYTES && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let path = next.split('?').next().unwrap_or_default();
    if plain && is_inside(path) { next } else { "/console" }
}

/// Whether a path belongs to the console.
pub(crate) fn is_inside(path: &str) -> bool {
    path == "/console" || path.starts_with("/console/")
}

#[cfg(test)]
mod tests {
    use super::inside;

    #[test]
    fn signing_in_leads_nowhere_else() {
        for page in ["/console", "/console/jobs?tag=a&state=dead", "/console?x"] {
            assert_eq!(inside(page), page);
        }
        for away in ["//evil.example", "/v1/orders", "/console\\@evil", "/consoles", "/console/a\nb", ""] {
            assert_eq!(inside(away), "/console", "{away}");
        }
    }
}
