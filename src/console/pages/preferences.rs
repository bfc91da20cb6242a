//! Language and theme: cookies of the browser, nothing of the account.

use crate::console::session::{LANGUAGE, Plain, THEME, inside};
use axum::{
    http::{HeaderName, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use serde::Deserialize;

/// How long a choice is kept, seconds.
const KEPT: u32 = 365 * 24 * 3_600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choice {
    lang: Option<String>,
    theme: Option<String>,
    #[serde(default)]
    next: String,
}

pub(crate) async fn choose(Plain(choice): Plain<Choice>) -> Response {
    let lang = choice.lang.as_deref().filter(|lang| ["en", "zh"].contains(lang));
    let theme = choice.theme.as_deref().filter(|theme| ["light", "dark", "auto"].contains(theme));
    let chosen = [lang.map(|lang| kept(LANGUAGE, lang)), theme.map(|theme| kept(THEME, theme))];
    let cookies: Vec<(HeaderName, String)> = chosen.into_iter().flatten().collect();
    (AppendHeaders(cookies), Redirect::to(inside(&choice.next))).into_response()
}

fn kept(name: &str, value: &str) -> (HeaderName, String) {
    (header::SET_COOKIE, format!("{name}={value}; Path=/console; Max-Age={KEPT}; SameSite=Lax; HttpOnly"))
}
