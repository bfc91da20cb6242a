//! The account, and its pay password.

use crate::web::{
    Web,
    api::Refused,
    form::Form,
    frame::{Nav, fields, page, refused},
    refusals::alert,
    session::{Visitor, end, inside, next_of, unsent},
    views::Account,
};
use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, Method},
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use serde_json::json;
use uuid::Uuid;

/// The page's address.
const ACCOUNT: &str = "/ride/account";

pub(in crate::web) async fn show(
    State(web): State<Web>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let next = query.is_some().then(|| next_of(query));
    shown(&web, &visitor, &headers, next.as_deref().unwrap_or(ACCOUNT), None).await
}

/// The page, which leads to `next` after the pay password is set.
async fn shown(
    web: &Web,
    visitor: &Visitor,
    headers: &HeaderMap,
    next: &str,
    why: Option<&Refused>,
) -> Response {
    if let Some(elsewhere) = visitor.must_sign_in() {
        return elsewhere;
    }
    let account = match visitor.api.read::<Account>("/v1/riders/me").await {
        Ok(account) => account,
        Err(problem) => return refused(web, visitor, headers, &problem),
    };
    let body = html! {
        @if let Some(why) = why { (alert(visitor, why)) }
        dl.facts_list {
            dt { (visitor.t("User name", "用户名")) } dd { (account.user_name) }
            @if let Some(phone) = &account.phone { dt { (visitor.t("Phone", "电话")) } dd { (phone) } }
            @if let Some(email) = &account.email { dt { (visitor.t("E-mail", "电子邮箱")) } dd { (email) } }
        }
        h2 { (visitor.t("Pay password", "支付密码")) }
        (pay_password(visitor, account.has_pay_password, next))
    };
    let mut response = page(visitor, Nav::Account, visitor.t("Account", "账户"), body);
    if let Some(why) = why {
        *response.status_mut() = why.status;
    }
    response
}

fn pay_password(visitor: &Visitor, is_set: bool, next: &str) -> Markup {
    html! { form.card method="post" action="/ride/account/pay-password" {
        (fields(visitor))
        input type="hidden" name="key" value=(Uuid::now_v7());
        input type="hidden" name="next" value=(next);
        @if is_set {
            label for="current" { (visitor.t("The present one", "当前支付密码")) }
            input #current name="current" type="password" inputmode="numeric" autocomplete="off" required;
        } @else {
            label for="password" { (visitor.t("Your sign-in password", "登录密码")) }
            input #password name="password" type="password" autocomplete="current-password" required;
        }
        label for="new" { (visitor.t("A new one: six digits", "新支付密码：六位数字")) }
        input #new name="new" type="password" inputmode="numeric" pattern="[0-9]{6}" autocomplete="off" required;
        button.primary type="submit" { (visitor.t("Set the pay password", "设置支付密码")) }
    } }
}

pub(in crate::web) async fn set_pay_password(
    State(web): State<Web>,
    headers: HeaderMap,
    form: Form,
) -> Response {
    let visitor = Visitor { path: ACCOUNT.to_owned(), ..form.visitor.clone() };
    let body = json!({
        "new": form.text("new"), "current": form.some("current"), "password": form.some("password"),
    });
    let (address, next) = ("/v1/riders/me/pay-password", inside(form.text("next")));
    match visitor.api.send(Method::PUT, address, Some(form.text("key")), Some(&body)).await {
        Ok(answer) => answer.acknowledged_by(Redirect::to(next).into_response()),
        Err(problem) if problem.is_signed_out() => end(&web, &headers, &unsent(&visitor)),
        Err(problem) => shown(&web, &visitor, &headers, next, Some(&problem)).await,
    }
}
