//! Setting a new password with a one-time code, without a session.

use super::second_factor::complaint;
use crate::console::{
    failure::PageResult, form::PlainForm, layout::without_nav, notice::Notices, preferences::Preferences,
};
use crate::http::{
    App,
    handlers::account::redeem_code,
    middleware::{admission::Permit, client_address::Address},
    problem::Problem,
};
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use maud::html;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetForm {
    user_name: String,
    code: String,
    new_password: String,
}

pub(crate) async fn form(preferences: Preferences) -> Response {
    page(&preferences, None)
}

pub(crate) async fn set(
    State(app): State<App>,
    preferences: Preferences,
    address: Address,
    permit: Option<Extension<Permit>>,
    headers: HeaderMap,
    PlainForm(ResetForm { user_name, code, new_password }): PlainForm<ResetForm>,
) -> PageResult {
    match redeem_code(&app, address, permit, (user_name, code, new_password)).await {
        Ok(()) => {
            let notice = preferences.lang.t("The new password is set.", "新密码已设置。");
            let notice = Notices::without_session(&app, &headers).set(notice);
            Ok(([(header::SET_COOKIE, notice)], Redirect::to("/console/sign-in")).into_response())
        }
        Err(problem) if problem.stale || problem.status.is_server_error() => Err(problem.into()),
        Err(problem) => Ok(page(&preferences, Some(&problem))),
    }
}

fn page(preferences: &Preferences, problem: Option<&Problem>) -> Response {
    let lang = preferences.lang;
    let title = lang.t("Set a new password", "设置新密码");
    let body = html! {
        form.card.narrow method="post" action="/console/sign-in/reset" {
            h1 { (title) }
            (complaint(lang, problem))
            label for="user_name" { (lang.t("User name", "用户名")) }
            input #user_name name="user_name" type="text" autocomplete="username" autocapitalize="none" required;
            label for="code" { (lang.t("One-time code", "一次性代码")) }
            input #code name="code" type="text" autocomplete="one-time-code" autocapitalize="characters" required;
            label for="new_password" { (lang.t("New password", "新密码")) }
            input #new_password name="new_password" type="password" autocomplete="new-password" required;
            button.primary type="submit" { (title) }
        }
    };
    let status = problem.map_or(StatusCode::OK, |problem| problem.status);
    (status, without_nav(preferences, title, body)).into_response()
}
