//! Asking for the password again before acts that need it; then back to the form.

use super::second_factor::{code_field, complaint};
use crate::console::{
    failure::PageResult,
    form::PlainForm,
    layout::{Nav, with_nav},
    session::{PageContext, inside},
};
use crate::{
    accounts::second_factor,
    http::{
        App,
        extract::Params,
        handlers::account::confirm_session,
        middleware::{admission::Permit, client_address::Address},
        problem::Problem,
    },
    settings::SecondFactorRule,
};
use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use maud::html;
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmation {
    password: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: String,
}

pub(crate) async fn form(
    State(app): State<App>,
    context: PageContext,
    Params(Next { next }): Params<Next>,
) -> PageResult {
    page(&app, &context, inside(&next), None).await
}

pub(crate) async fn confirm(
    State(app): State<App>,
    context: PageContext,
    address: Address,
    permit: Option<Extension<Permit>>,
    PlainForm(Confirmation { password, code, next }): PlainForm<Confirmation>,
) -> PageResult {
    let next = inside(&next);
    let code = Some(code).filter(|code| !code.is_empty());
    match confirm_session(&app, context.caller, address, permit, (password, code)).await {
        Ok(()) => Ok(Redirect::to(next).into_response()),
        Err(problem) if problem.stale || problem.status.is_server_error() => Err(problem.into()),
        Err(problem) => page(&app, &context, next, Some(&problem)).await,
    }
}

async fn page(app: &App, context: &PageContext, next: &str, problem: Option<&Problem>) -> PageResult {
    let asks_code = app.settings.accounts.operators_second_factor != SecondFactorRule::Off
        && second_factor::is_enrolled(&app.saga.pool, context.caller.rider_id).await?;
    let title = context.t("Your password, once more", "请再次输入密码");
    let body = html! {
        form.card.act method="post" action="/console/confirm" {
            (complaint(context.lang, problem))
            p { (context.t("The next act needs it. Then you are led back to the form.", "接下来的操作需要确认密码，之后将返回表单。")) }
            label for="password" { (context.t("Password", "密码")) }
            input #password name="password" type="password" autocomplete="current-password" required;
            @if asks_code {
                (code_field(context.lang, context.t("Code of your authenticator, or a recovery code", "验证器代码或恢复代码")))
            }
            input type="hidden" name="next" value=(next);
            button.primary type="submit" { (context.t("Confirm", "确认")) }
        }
    };
    let mut response: Response = with_nav(context, Nav::Elsewhere, title, body);
    if let Some(problem) = problem {
        *response.status_mut() = problem.status;
    }
    Ok(response)
}
