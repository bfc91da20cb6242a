//! The form for language, theme and zone.

use crate::browser::{
    cookies::Cookies,
    language::{LANGUAGE, THEME},
};
use crate::console::{
    CONSOLE,
    form::PlainForm,
    preferences::{LOCAL, ZONE},
    session::inside,
};
use crate::http::App;
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use chrono_tz::Tz;
use serde::Deserialize;

/// How long the browser keeps a choice, seconds.
const MAX_AGE_SECS: u32 = 365 * 24 * 3_600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choice {
    lang: Option<String>,
    theme: Option<String>,
    zone: Option<String>,
    #[serde(default)]
    next: String,
}

pub(crate) async fn choose(
    State(app): State<App>,
    headers: HeaderMap,
    PlainForm(choice): PlainForm<Choice>,
) -> Response {
    let lang = choice.lang.as_deref().filter(|lang| ["en", "zh"].contains(lang));
    let theme = choice.theme.as_deref().filter(|theme| ["light", "dark", "auto"].contains(theme));
    let zone = choice.zone.as_deref().filter(|zone| *zone == LOCAL || zone.parse::<Tz>().is_ok());
    let cookies = Cookies::of(&app, &headers, CONSOLE);
    let set = |name: &str, value: &str| (header::SET_COOKIE, cookies.set(name, value, MAX_AGE_SECS));
    let chosen = [
        lang.map(|lang| set(LANGUAGE, lang)),
        theme.map(|theme| set(THEME, theme)),
        zone.map(|zone| set(ZONE, zone)),
    ];
    let chosen: Vec<_> = chosen.into_iter().flatten().collect();
    (AppendHeaders(chosen), Redirect::to(inside(&choice.next))).into_response()
}
