//! The choice of language and theme.

use crate::{
    browser::{
        cookies::Cookies,
        language::{LANGUAGE, THEME},
    },
    web::{RIDE, Web, form::Form, session::inside},
};
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};

/// How long the browser keeps a choice, seconds.
const MAX_AGE_SECS: u32 = 365 * 24 * 3_600;

pub(in crate::web) async fn choose(State(web): State<Web>, headers: HeaderMap, form: Form) -> Response {
    let cookies = Cookies::of(&web.app, &headers, RIDE);
    let chosen = [("lang", LANGUAGE, &["en", "zh"][..]), ("theme", THEME, &["light", "dark", "auto"])];
    let set = chosen.into_iter().filter_map(|(field, cookie, known)| {
        let choice = form.text(field);
        known.contains(&choice).then(|| (header::SET_COOKIE, cookies.set(cookie, choice, MAX_AGE_SECS)))
    });
    let set: Vec<_> = set.collect();
    (AppendHeaders(set), Redirect::to(inside(form.text("next")))).into_response()
}
