//! Language, theme and zone of the console: cookies of the browser, independent of the account.

use crate::browser::{
    cookies::preference,
    language::{Lang, Theme},
};
use crate::http::App;
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use chrono_tz::Tz;

/// The cookie that holds the zone, if one was chosen; [`LOCAL`] for the browser's.
pub(crate) const ZONE: &str = "farebox_zone";
/// The choice of the browser's zone, or the timetable's if the browser names none.
pub(crate) const LOCAL: &str = "local";
/// The cookie in which the script names the browser's zone.
const BROWSER_ZONE: &str = "farebox_browser_zone";

/// How pages are shown, from cookies and headers.
#[derive(Clone, Debug)]
pub(crate) struct Preferences {
    pub(crate) lang: Lang,
    pub(crate) theme: Option<Theme>,
    /// The zone that was chosen, else the browser's; without one the timetable's is used.
    pub(crate) zone: Option<Tz>,
    /// Whether the zone was chosen by name.
    pub(crate) has_chosen_zone: bool,
    /// The path and query of the page.
    pub(crate) path: String,
}

impl Preferences {
    /// Reads the cookies; a language that was not chosen follows `Accept-Language`.
    pub(crate) fn of(headers: &HeaderMap, path: &str) -> Self {
        let (lang, theme) = (Lang::of(headers), Theme::of(headers));
        let named = |cookie| preference(headers, cookie).and_then(|zone| zone.parse::<Tz>().ok());
        let chosen = named(ZONE);
        let zone = chosen.or_else(|| named(BROWSER_ZONE));
        Self { lang, theme, zone, has_chosen_zone: chosen.is_some(), path: path.to_owned() }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Preferences {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.headers, &path_of(parts)))
    }
}

/// The timetable's zone: the network's, or that of the settings without one or when it is not read.
pub(super) async fn timetable_zone(app: &App) -> Tz {
    let otherwise = app.settings.trips.zone;
    app.itineraries.zone(&app.saga.pool, otherwise).await.unwrap_or(otherwise)
}

/// The path and query of a request.
pub(super) fn path_of(parts: &Parts) -> String {
    parts.uri.path_and_query().map_or("/console", |path| path.as_str()).to_owned()
}
