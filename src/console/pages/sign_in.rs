//! Signing in and out. The session is one of the API: it also ends when it is revoked there.

use crate::console::{
    cookies::Cookies,
    failure::{Failure, PageResult},
    form::{EmptyForm, PlainForm},
    layout::without_nav,
    preferences::{Lang, Preferences},
    session::{PageContext, SESSION, inside, session_of},
};
use crate::{
    domain::Refusal,
    http::{
        App,
        extract::Params,
        handlers::riders::{account_of, open_session},
        middleware::{admission::Permit, client_address::Address},
        problem::Problem,
    },
    ops::audit::Through,
};
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use maud::html;
use serde::Deserialize;

/// The lifetime of the cookie: that of a session, seconds.
const MAX_AGE_SECS: u32 = 12 * 3_600;

/// Signing out removes what the browser stored for this host. Cookies are not among it: that would
/// remove those of all hosts of the domain.
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");
const CLEARED: HeaderValue = HeaderValue::from_static("\"cache\", \"storage\"");

#[derive(Deserialize)]
pub(crate) struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    user_name: String,
    password: String,
    #[serde(default)]
    next: String,
}

pub(crate) async fn form(preferences: Preferences, Params(Next { next }): Params<Next>) -> Response {
    sign_in_page(&preferences, inside(&next), None)
}

/// An account without the role gets the same response as one that does not exist.
pub(crate) async fn enter(
    State(app): State<App>,
    preferences: Preferences,
    address: Address,
    permit: Option<Extension<Permit>>,
    headers: HeaderMap,
    PlainForm(credentials): PlainForm<Credentials>,
) -> PageResult {
    let name_and_password = (credentials.user_name, credentials.password);
    let rider = match account_of(&app, address, permit, name_and_password).await {
        Ok(rider) if rider.role.may_view() => rider,
        Ok(_) => {
            return Ok(sign_in_page(
                &preferences,
                inside(&credentials.next),
                Some(&Refusal::WrongCredentials.into()),
            ));
        }
        Err(problem) if problem.stale => return Err(problem.into()),
        Err(problem) => return Ok(sign_in_page(&preferences, inside(&credentials.next), Some(&problem))),
    };
    let session = open_session(&app, address, rider, Through::Console).await?;
    // The browser's session before this one ends with it: nobody else can sign it out.
    if let Some(before) = session_of(&headers, &app) {
        app.sessions.revoke(&app.saga.pool, before.session_id).await?;
    }
    let cookie = Cookies::of(&app, &headers).set(SESSION, &session.token, MAX_AGE_SECS);
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(inside(&credentials.next))).into_response())
}

pub(crate) async fn leave(
    State(app): State<App>,
    context: PageContext,
    headers: HeaderMap,
    PlainForm(EmptyForm {}): PlainForm<EmptyForm>,
) -> PageResult {
    app.sessions.revoke(&app.saga.pool, context.caller.session_id).await.map_err(Failure::from)?;
    let gone = Cookies::of(&app, &headers).remove(SESSION);
    let leaving = [(header::SET_COOKIE, gone), (CLEAR_SITE_DATA, CLEARED)];
    Ok((leaving, Redirect::to("/console/sign-in")).into_response())
}

fn sign_in_page(preferences: &Preferences, next: &str, problem: Option<&Problem>) -> Response {
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
            label for="user_name" { (lang.t("User name", "用户名")) }
            input #user_name name="user_name" type="text" autocomplete="username" autocapitalize="none" required autofocus;
            label for="password" { (lang.t("Password", "密码")) }
            input #password name="password" type="password" autocomplete="current-password" required;
            input type="hidden" name="next" value=(next);
            button.primary type="submit" { (lang.t("Sign in", "登录")) }
            p.quiet { (lang.t("For accounts with the role viewer or operator.", "仅限观察员或操作员账户。")) }
        }
    };
    let status = problem.map_or(StatusCode::OK, |problem| problem.status);
    (status, without_nav(preferences, lang.t("Sign in", "登录"), body)).into_response()
}
