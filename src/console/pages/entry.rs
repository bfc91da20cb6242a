//! The way into the console: the sign-in form, and the cookie of a new session.

use crate::browser::{cookies::Cookies, language::Lang};
use crate::console::{
    CONSOLE,
    failure::{Failure, PageResult},
    layout::without_nav,
    preferences::Preferences,
    session::{SESSION, session_of},
};
use crate::{
    accounts::Authenticated,
    http::{App, handlers::riders::open_session, middleware::client_address::Address, problem::Problem},
    ops::audit::Through,
};
use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use maud::html;

/// The lifetime of the cookie: that of a session, seconds.
const MAX_AGE_SECS: u32 = 12 * 3_600;

/// Opens a session and redirects to `next`.
pub(super) async fn let_in(
    app: &App,
    headers: &HeaderMap,
    address: Address,
    account: Authenticated,
    next: &str,
) -> PageResult {
    Ok((session_cookie(app, headers, address, account).await?, Redirect::to(next)).into_response())
}

/// Opens a session; returns the header with its cookie.
pub(super) async fn session_cookie(
    app: &App,
    headers: &HeaderMap,
    address: Address,
    account: Authenticated,
) -> Result<[(HeaderName, HeaderValue); 1], Failure> {
    let session = open_session(app, address, account, Through::Console).await?;
    // The browser's session before this one ends with it: nobody else can sign it out.
    if let Some(before) = session_of(headers, app) {
        app.sessions.revoke(&app.saga.pool, before.session_id).await?;
    }
    let cookie = Cookies::of(app, headers, CONSOLE).set(SESSION, &session.token, MAX_AGE_SECS);
    Ok([(header::SET_COOKIE, cookie)])
}

/// The form, after a problem if there was one.
pub(super) fn sign_in_page(preferences: &Preferences, next: &str, problem: Option<&Problem>) -> Response {
    noted_sign_in_page(preferences, next, "", problem, None)
}

/// The form, with a user name that was given before, and the notice of an action.
pub(super) fn noted_sign_in_page(
    preferences: &Preferences,
    next: &str,
    user_name: &str,
    problem: Option<&Problem>,
    notice: Option<&str>,
) -> Response {
    let lang: Lang = preferences.lang;
    let text = |problem: &Problem, key: &str| {
        problem.body.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned()
    };
    let body = html! {
        form.card.narrow method="post" action="/console/sign-in" {
            h1 { (lang.t("Sign in", "登录")) }
            @if let Some(problem) = problem {
                p.notice.bad role="alert" { (text(problem, "title")) }
            }
            @if let Some(notice) = notice { p.notice role="status" { (notice) } }
            label for="user_name" { (lang.t("User name", "用户名")) }
            input #user_name name="user_name" type="text" value=[Some(user_name).filter(|name| !name.is_empty())]
                autocomplete="username" autocapitalize="none" required autofocus[user_name.is_empty()];
            label for="password" { (lang.t("Password", "密码")) }
            input #password name="password" type="password" autocomplete="current-password" required autofocus[!user_name.is_empty()];
            input type="hidden" name="next" value=(next);
            button.primary type="submit" { (lang.t("Sign in", "登录")) }
            p.quiet { (lang.t("For accounts with the role viewer or operator.", "仅限观察员或操作员账户。")) }
            p.quiet { a href="/console/sign-in/reset" { (lang.t("I have a code for a new password", "我有重置密码的代码")) } }
        }
    };
    let status = problem.map_or(StatusCode::OK, |problem| problem.status);
    (status, without_nav(preferences, lang.t("Sign in", "登录"), body)).into_response()
}
