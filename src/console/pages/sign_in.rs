//! Signing in and out. The session is an ordinary one: it ends wherever it is revoked.

use crate::console::{
    layout::{Answer, Failure, bare},
    session::{Lang, Plain, SESSION, Taste, Visit, inside},
};
use crate::{
    domain::Refusal,
    http::{
        App,
        extract::Params,
        handlers::riders::known,
        middleware::{admission::Place, client_address::Address},
        problem::Problem,
    },
};
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use maud::html;
use serde::Deserialize;

/// As long as a session lasts, seconds.
const KEPT: u32 = 12 * 3_600;

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

pub(crate) async fn form(taste: Taste, Params(Next { next }): Params<Next>) -> Response {
    asked(&taste, inside(&next), None)
}

/// An account that may not look is answered like one that does not exist.
pub(crate) async fn enter(
    State(app): State<App>,
    taste: Taste,
    address: Address,
    place: Option<Extension<Place>>,
    headers: HeaderMap,
    Plain(with): Plain<Credentials>,
) -> Answer {
    let credentials = (with.user_name, with.password);
    let rider = match known(&app, address, place, credentials).await {
        Ok(rider) if rider.role.may_view() => rider,
        Ok(_) => return Ok(asked(&taste, inside(&with.next), Some(&Refusal::WrongCredentials.into()))),
        Err(problem) if problem.stale => return Err(problem.into()),
        Err(problem) => return Ok(asked(&taste, inside(&with.next), Some(&problem))),
    };
    let session = app.sessions.open(&app.saga.pool, rider, app.settings.accounts.one_session).await?;
    let https = headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes() == b"https");
    let secure = if https { "; Secure" } else { "" };
    // Lax, not strict: whoever comes by a link in an alert is signed in; forms have a token of their own.
    let cookie =
        format!("{SESSION}={}; Path=/console; Max-Age={KEPT}; HttpOnly; SameSite=Lax{secure}", session.token);
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(inside(&with.next))).into_response())
}

pub(crate) async fn leave(State(app): State<App>, visit: Visit, Plain(Nothing {}): Plain<Nothing>) -> Answer {
    app.sessions.revoke(&app.saga.pool, visit.caller.session_id).await.map_err(Failure::from)?;
    let gone = format!("{SESSION}=; Path=/console; Max-Age=0; HttpOnly; SameSite=Lax");
    Ok(([(header::SET_COOKIE, gone)], Redirect::to("/console/sign-in")).into_response())
}

fn asked(taste: &Taste, next: &str, problem: Option<&Problem>) -> Response {
    let lang: Lang = taste.lang;
    let text = |problem: &Problem, key: &str| {
        problem.body.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned()
    };
    let body = html! {
        form.card.narrow method="post" action="/console/sign-in" {
            h1 { (lang.say("Sign in", "登录")) }
            @if let Some(problem) = problem {
                p.notice.bad role="alert" { (text(problem, "title")) }
            }
            label for="user_name" { (lang.say("User name", "用户名")) }
            input #user_name name="user_name" type="text" autocomplete="username" autocapitalize="none" required autofocus;
            label for="password" { (lang.say("Password", "密码")) }
            input #password name="password" type="password" autocomplete="current-password" required;
            input type="hidden" name="next" value=(next);
            button.primary type="submit" { (lang.say("Sign in", "登录")) }
            p.quiet { (lang.say("For accounts with the role viewer or operator.", "仅限观察员或操作员账户。")) }
        }
    };
    let status = problem.map_or(StatusCode::OK, |problem| problem.status);
    (status, bare(taste, lang.say("Sign in", "登录"), body)).into_response()
}
