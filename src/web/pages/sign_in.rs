//! Registering, signing in and out. A choice of seats waits in `next` meanwhile, and is held then.

use super::{choice::Choice, trip::shown};
use crate::web::{
    RIDE, Web,
    api::{Api, Refused},
    form::Form,
    frame::{Nav, fields, page},
    refusals::alert,
    session::{UNSENT, Visitor, begin, end, inside, next_of, parameter, with_next},
};
use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, Method, header},
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use serde_json::json;
use uuid::Uuid;

/// How long the browser keeps a session, seconds: as long as its token lives.
const MAX_AGE_SECS: u32 = 12 * 3_600;

pub(in crate::web) async fn form(visitor: Visitor, RawQuery(query): RawQuery) -> Response {
    let why = parameter(query.as_deref(), UNSENT).map(|_| html! { p.notice role="status" {
        strong { (visitor.t("Your session had ended.", "登录已失效。")) } " "
        (visitor.t("Nothing was paid or changed. Sign in, and press again.", "未支付，也未作任何更改。请登录后重试。"))
    } });
    sign_in_page(&visitor, &next_of(query), "", why.unwrap_or_default())
}

fn sign_in_page(visitor: &Visitor, next: &str, name: &str, why: Markup) -> Response {
    let body = html! {
        (why)
        (waiting(visitor, next))
        form.card method="post" action="/ride/sign-in" {
            (fields(visitor))
            input type="hidden" name="next" value=(next);
            (name_field(visitor, name))
            label for="password" { (visitor.t("Password", "密码")) }
            input #password name="password" type="password" autocomplete="current-password" required;
            button.primary type="submit" { (visitor.t("Sign in", "登录")) }
        }
        p { (visitor.t("New here? ", "还没有账户？")) a.button href=(with_next("/ride/register", next)) { (visitor.t("Register", "注册")) } }
    };
    page(visitor, Nav::Elsewhere, visitor.t("Sign in", "登录"), body)
}

/// The seats that wait.
fn waiting(visitor: &Visitor, next: &str) -> Markup {
    let choice = Choice::of_address(next).filter(|choice| choice.key.is_some());
    html! { @if let Some(choice) = choice { p.notice {
        (visitor.t("Then these seats are held for you: ", "登录后将为您保留座位：")) strong { (choice.seats.join(", ")) }
    } } }
}

fn name_field(visitor: &Visitor, name: &str) -> Markup {
    html! {
        label for="user_name" { (visitor.t("User name", "用户名")) }
        input #user_name name="user_name" type="text" value=[Some(name).filter(|name| !name.is_empty())]
            autocomplete="username" autocapitalize="none" required autofocus;
    }
}

pub(in crate::web) async fn registration(visitor: Visitor, RawQuery(query): RawQuery) -> Response {
    registration_page(&visitor, &next_of(query), ("", ""), None)
}

fn registration_page(
    visitor: &Visitor,
    next: &str,
    (name, phone): (&str, &str),
    why: Option<&Refused>,
) -> Response {
    let body = html! {
        @if let Some(why) = why { (alert(visitor, why)) }
        (waiting(visitor, next))
        form.card method="post" action="/ride/register" {
            (fields(visitor))
            input type="hidden" name="key" value=(Uuid::now_v7());
            input type="hidden" name="next" value=(next);
            (name_field(visitor, name))
            label for="password" { (visitor.t("Password", "密码")) }
            input #password name="password" type="password" autocomplete="new-password" required;
            label for="pay_password" { (visitor.t("Pay password: six digits, asked for with each payment", "支付密码：六位数字，每次支付时使用")) }
            input #pay_password name="pay_password" type="password" inputmode="numeric" pattern="[0-9]{6}" autocomplete="off" required;
            label for="phone" { (visitor.t("Phone, if the bus is cancelled (may stay empty)", "电话，班车取消时联系（可不填）")) }
            input #phone name="phone" type="tel" autocomplete="tel" value=[Some(phone).filter(|phone| !phone.is_empty())];
            button.primary type="submit" { (visitor.t("Register", "注册")) }
        }
        p { (visitor.t("Registered before? ", "已有账户？")) a.button href=(with_next("/ride/sign-in", next)) { (visitor.t("Sign in", "登录")) } }
    };
    answered(page(visitor, Nav::Elsewhere, visitor.t("Register", "注册"), body), why)
}

fn answered(mut response: Response, why: Option<&Refused>) -> Response {
    if let Some(why) = why {
        *response.status_mut() = why.status;
    }
    response
}

pub(in crate::web) async fn enter(State(web): State<Web>, headers: HeaderMap, form: Form) -> Response {
    let (name, next) = (form.text("user_name").trim(), inside(form.text("next")));
    match session(&form.visitor.api, name, form.text("password")).await {
        Ok(token) => entered(&web, &headers, &form.visitor, &token, next).await,
        Err(problem) => {
            let visitor = Visitor { path: with_next("/ride/sign-in", next), ..form.visitor.clone() };
            answered(sign_in_page(&visitor, next, name, alert(&visitor, &problem)), Some(&problem))
        }
    }
}

/// Registers, and signs in at once.
pub(in crate::web) async fn register(State(web): State<Web>, headers: HeaderMap, form: Form) -> Response {
    let (name, next) = (form.text("user_name").trim(), inside(form.text("next")));
    let body = json!({
        "user_name": name, "password": form.text("password"),
        "pay_password": form.some("pay_password"), "phone": form.some("phone"),
    });
    let api = &form.visitor.api;
    let registered = match api.post("/v1/riders", form.text("key"), &body).await {
        Ok(_) => session(api, name, form.text("password")).await,
        Err(problem) => Err(problem),
    };
    match registered {
        Ok(token) => entered(&web, &headers, &form.visitor, &token, next).await,
        Err(problem) => {
            let visitor = Visitor { path: with_next("/ride/register", next), ..form.visitor.clone() };
            registration_page(&visitor, next, (name, form.text("phone")), Some(&problem))
        }
    }
}

/// The token of a new session.
async fn session(api: &Api, name: &str, password: &str) -> Result<String, Refused> {
    let body = json!({ "user_name": name, "password": password });
    let answer = api.send(Method::POST, "/v1/sessions", None, Some(&body)).await?;
    Ok(answer.body["token"].as_str().map(str::to_owned).unwrap_or_default())
}

/// Begins the session, and holds the seats that waited; the page of their trip says why it could not.
async fn entered(web: &Web, headers: &HeaderMap, visitor: &Visitor, token: &str, next: &str) -> Response {
    let choice = Choice::of_address(next).filter(|choice| choice.key.is_some());
    let mut response = match choice {
        Some(choice) => {
            let visitor = visitor.entered(web, token, choice.without_key().address());
            match choice.hold(&visitor.api).await {
                Ok(held) => held,
                Err(problem) => {
                    let trip = choice.trip.to_string();
                    shown(web, &visitor, headers, &trip, &choice.seats, Some(&problem)).await
                }
            }
        }
        None => Redirect::to(next).into_response(),
    };
    response.headers_mut().append(header::SET_COOKIE, begin(web, headers, token, MAX_AGE_SECS));
    response
}

pub(in crate::web) async fn leave(State(web): State<Web>, headers: HeaderMap, form: Form) -> Response {
    // A session that has ended already is none to end.
    let left: Result<_, Refused> =
        form.visitor.api.send(Method::DELETE, "/v1/sessions/current", None, None).await;
    if let Err(problem) = left
        && problem.status.is_server_error()
    {
        return crate::web::frame::refused(&web, &form.visitor, &headers, &problem);
    }
    end(&web, &headers, RIDE)
}
