//! The page around every page's content, refusals as pages, and headers.

use super::{
    RIDE, Web,
    api::Refused,
    assets::{SCRIPT, STYLE},
    refusals,
    session::{Visitor, end, page_of},
};
use crate::{
    browser::{
        headers::secure,
        language::{Lang, Theme},
    },
    http::middleware::context::with_language,
};
use axum::{
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse, Redirect, Response},
};
use chrono::Utc;
use maud::{DOCTYPE, Markup, html};
use serde_json::Map;

/// The largest problem that is shown as a page, bytes.
const MAX_PROBLEM_BYTES: usize = 64 * 1024;

/// Where in the navigation a page is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Nav {
    Trips,
    Orders,
    Wallet,
    Account,
    Elsewhere,
}

const NAVIGATION: [(Nav, &str, &str, &str); 4] = [
    (Nav::Trips, "/ride", "Buses", "班车"),
    (Nav::Orders, "/ride/orders", "My tickets", "我的车票"),
    (Nav::Wallet, "/ride/wallet", "Wallet", "钱包"),
    (Nav::Account, "/ride/account", "Account", "账户"),
];

/// The headers of every response under the pages' path.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let lang = Lang::of(request.headers());
    let mut response = next.run(request).await;
    secure(response.headers_mut(), lang.code());
    // Tickets without a network: the worker is the pages' own script.
    let policy = HeaderValue::from_static(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    );
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// Answers a browser with a page where no page did: a body that is not read, an address or a method that is
/// not served. So no extractor has to know of pages. The address of a form, which a browser's address bar
/// offers after a refusal, leads to the form's page.
pub(super) async fn always_a_page(State(web): State<Web>, request: Request, next: Next) -> Response {
    let path = page_of(request.uri().path()).to_owned();
    let is_form = path != request.uri().path();
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let (headers, extensions) = (request.headers().clone(), request.extensions().clone());
    let response = with_language(Lang::of(&headers) == Lang::Chinese, next.run(request)).await;
    let status = match response.status() {
        StatusCode::METHOD_NOT_ALLOWED if is_read && is_form => return Redirect::to(&path).into_response(),
        StatusCode::METHOD_NOT_ALLOWED if is_read => StatusCode::NOT_FOUND,
        status => status,
    };
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_page = kind.is_some_and(|kind| kind.starts_with("text/html"));
    if is_page || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let body = to_bytes(response.into_body(), MAX_PROBLEM_BYTES).await.unwrap_or_default();
    let problem = serde_json::from_slice(&body).unwrap_or_default();
    let visitor = Visitor::of(&web, &headers, &extensions, path);
    refused(&web, &visitor, &headers, &Refused { status, problem })
}

/// A page.
pub(super) fn page(visitor: &Visitor, nav: Nav, title: &str, body: Markup) -> Response {
    let lang = visitor.lang;
    let page = html! {
        (DOCTYPE)
        html lang=(lang.code()) data-now=(Utc::now().timestamp_millis()) data-theme=[visitor.theme.map(Theme::code)] {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Farebox" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href=(STYLE.address);
                script src=(SCRIPT.address) defer {}
            }
            body {
                a.skip href="#main" { (visitor.t("Skip to the content", "跳到正文")) }
                header {
                    a.brand href=(RIDE) { "Farebox" }
                    nav aria-label=(visitor.t("Main", "主导航")) {
                        @for (entry, address, en, zh) in NAVIGATION {
                            a href=(address) aria-current=[(entry == nav).then_some("page")] { (visitor.t(en, zh)) }
                        }
                    }
                }
                main #main tabindex="-1" { h1 { (title) } (body) }
                footer { (preferences(visitor)) }
            }
        }
    };
    Html(page.into_string()).into_response()
}

fn preferences(visitor: &Visitor) -> Markup {
    let themes = [("auto", "Auto", "自动"), ("light", "Light", "浅色"), ("dark", "Dark", "深色")];
    let chosen = visitor.theme.map_or("auto", Theme::code);
    html! {
        form method="post" action="/ride/preferences" {
            (fields(visitor))
            input type="hidden" name="next" value=(visitor.path);
            @for (code, name) in [("en", "English"), ("zh", "中文")] {
                button type="submit" name="lang" value=(code) lang=(code)
                    aria-pressed=(if visitor.lang.code() == code { "true" } else { "false" }) { (name) }
            }
            @for (code, en, zh) in themes {
                button type="submit" name="theme" value=(code)
                    aria-pressed=(if chosen == code { "true" } else { "false" }) { (visitor.t(en, zh)) }
            }
        }
        @if visitor.caller.is_some() {
            form method="post" action="/ride/sign-out" {
                (fields(visitor))
                button type="submit" { (visitor.t("Sign out", "退出登录")) }
            }
            p #leaving role="status" data-offline=(visitor.t(
                "There is no network, so you are still signed in. The tickets that this browser kept are removed. \
                 Leave this page open: it signs you out as soon as there is a network.",
                "没有网络，尚未退出登录。此浏览器保存的车票已删除。请保持此页面打开，恢复网络后将自动退出。")) {}
        }
    }
}

/// The fields that every form has.
pub(super) fn fields(visitor: &Visitor) -> Markup {
    html! { @if let Some(csrf) = &visitor.csrf { input type="hidden" name="csrf" value=(csrf); } }
}

/// The response to a read that was refused: a session that ended leads to signing in.
pub(super) fn refused(web: &Web, visitor: &Visitor, headers: &HeaderMap, refused: &Refused) -> Response {
    if refused.is_signed_out() {
        return end(web, headers, &visitor.sign_in());
    }
    let (title, help) = (refusals::title(visitor, refused), refusals::help(visitor, refused));
    let body = html! {
        @if let Some(help) = help { p { (help) } }
        @if refused.status.is_server_error() { p.quiet { (refused.code()) " · " (refused.text("trace_id")) } }
        p { a.button href=(visitor.path) { (refusals::again(visitor, refused)) } " " a.button href=(RIDE) { (visitor.t("To the buses", "返回班车")) } }
    };
    let mut response = page(visitor, Nav::Elsewhere, &title, body);
    *response.status_mut() = refused.status;
    response
}

pub(super) async fn no_such_page(State(web): State<Web>, visitor: Visitor, headers: HeaderMap) -> Response {
    refused(&web, &visitor, &headers, &Refused { status: StatusCode::NOT_FOUND, problem: Map::new() })
}
