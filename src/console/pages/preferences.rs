//! The form for language and theme.

use crate::console::{
    form::PlainForm,
    preferences::{LANGUAGE, THEME},
    session::inside,
};
use axum::{
    http::{HeaderName, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use serde::Deserialize;

/// How long the browser keeps a choice, seconds.
const MAX_AGE_SECS: u32 = 365 * 24 * 3_600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choice {
    lang: Option<String>,
    theme: Option<String>,
    #[serde(default)]
    next: String,
}

pub(crate) async fn choose(PlainForm(choice): PlainForm<Choice>) -> Response {
    let lang = choice.lang.as_deref().filter(|lang| ["en", "zh"].contains(lang));
    let theme = choice.theme.as_deref().filter(|theme| ["light", "dark", "auto"].contains(theme));
    let chosen = [lang.map(|lang| set_cookie(LANGUAGE, lang)), theme.map(|theme| set_cookie(THEME, theme))];
    let cookies: Vec<(HeaderName, String)> = chosen.into_iter().flatten().collect();
    (AppendHeaders(cookies), Redirect::to(inside(&choice.next))).into_response()
}

fn set_cookie(name: &str, value: &str) -> (HeaderName, String) {
    (
        header::SET_COOKIE,
        format!("{name}={value}; Path=/console; Max-Age={MAX_AGE_SECS}; SameSite=Lax; HttpOnly"),
    )
}
