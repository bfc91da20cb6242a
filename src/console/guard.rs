//! What every response under /console passes last: problems become pages, and headers are set.

use super::{
    chinese,
    layout::{Nav, with_nav, without_nav},
    numbers::in_words,
    outage::{self, LastHealth},
    preferences::Preferences,
    refused::{self, Brought, Console},
    session::{error_page_context, is_inside},
};
use crate::browser::{headers::secure, language::Lang};
use crate::http::{middleware::context::with_language, problem::PoolExhausted};
use axum::{
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header, uri::PathAndQuery},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chrono_tz::Tz;
use maud::{Markup, html};
use serde_json::{Map, Value};

/// The largest problem body that is shown as a page, bytes.
const MAX_PROBLEM_BYTES: usize = 64 * 1024;

/// Applies to every response under /console, also those of limits: problems become pages in the
/// chosen language, and the security headers are set.
pub(crate) async fn guard(State(console): State<Console>, request: Request, following: Next) -> Response {
    if !is_inside(request.uri().path()) {
        return following.run(request).await;
    }
    let preferences = preferences_of(&request);
    let reads = request.method() == Method::GET;
    let lang = preferences.lang;
    let serving = async {
        let (brought, response) = match refused::read(&console, request).await {
            Ok((request, brought)) => {
                let response = following.run(request).await;
                (brought, response)
            }
            Err(refused) => *refused,
        };
        let response = refused::returned(&console, &brought, response).await;
        problem_as_page(&console, &brought, preferences, reads, response).await
    };
    let mut response = with_language(lang == Lang::Chinese, serving).await;
    secure(response.headers_mut(), lang.code());
    response
}

/// The preferences of a request. A change of language shows a page again; after a form it leads to
/// the home page.
fn preferences_of(request: &Request) -> Preferences {
    let path = request.uri().path_and_query().filter(|_| request.method() == Method::GET);
    Preferences::of(request.headers(), path.map_or("/console", PathAndQuery::as_str))
}

/// Turns a problem into a page, with the navigation if there is a session.
async fn problem_as_page(
    console: &Console,
    brought: &Brought,
    preferences: Preferences,
    reads: bool,
    response: Response,
) -> Response {
    let is_problem = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/problem+json");
    if !response.headers().get(header::CONTENT_TYPE).is_some_and(is_problem) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_PROBLEM_BYTES).await.unwrap_or_default();
    let body: Map<String, Value> = serde_json::from_slice(&body).unwrap_or_default();
    if let Some(form) = refused::refused(console, brought, parts.status, &body).await {
        let (of_page, form) = form.into_parts();
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.extend(of_page.headers);
        return Response::from_parts(parts, form);
    }
    let context = error_page_context(brought.headers(), preferences.path.clone(), &console.app).await;
    let title = body.get("title").and_then(Value::as_str).unwrap_or_default().to_owned();
    // Only reading is retried by the browser itself.
    let returns = reads && parts.status == StatusCode::SERVICE_UNAVAILABLE;
    let mut details = problem_details(preferences.lang, &body, returns);
    if let Some(health) = parts.extensions.get::<LastHealth>() {
        let words =
            outage::words(&preferences, context.as_ref().map_or(Tz::UTC, |context| context.zone), health);
        details = html! { (words) (details) };
    } else if parts.extensions.get::<PoolExhausted>().is_some() {
        details = html! { (outage::busy_words(preferences.lang)) (details) };
    }
    let page = match context {
        Some(context) => with_nav(&context, Nav::Elsewhere, &title, html! { div.card { (details) } }),
        None => without_nav(&preferences, &title, html! { div.card.narrow { h1 { (title) } (details) } })
            .into_response(),
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    let (of_page, page) = page.into_parts();
    parts.headers.extend(of_page.headers);
    Response::from_parts(parts, page)
}

fn problem_details(lang: Lang, body: &Map<String, Value>, returns: bool) -> Markup {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    html! {
        p { (in_words(&chinese::detail(lang, body))) }
        p.quiet { (body.get("status").unwrap_or(&Value::Null)) " · " (text("code")) " · " (text("trace_id")) }
        @if returns {
            p role="status" data-retry hidden {
                (lang.t("This page tries again by itself every two seconds.", "本页每两秒自动重试。"))
            }
        }
        p { a href="/console" { (lang.t("To the home page", "返回首页")) } }
    }
}
