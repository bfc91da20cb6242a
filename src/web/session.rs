//! Who opens a page: the session of the browser, the language, and the token of forms.

use super::{RIDE, Web, api::Api};
use crate::{
    accounts::Caller,
    browser::{
        cookies::Cookies,
        csrf::csrf_token,
        language::{Lang, Theme},
    },
};
use axum::{
    extract::FromRequestParts,
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use std::convert::Infallible;

/// The cookie that holds the session's token.
pub(super) const SESSION: &str = "farebox_ride";
/// Where a session ends, the browser removes what it stored, with the tickets that are kept for later.
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");
const CLEARED: HeaderValue = HeaderValue::from_static("\"storage\"");
/// What an address holds where a form was not sent, because the session had ended.
pub(super) const UNSENT: &str = "unsent";
/// What the address of a form has at its end, behind the address of its page.
const ACTS: [&str; 7] =
    ["/pay", "/cancel", "/refund", "/evaluate", "/pay-password", "/sign-out", "/preferences"];
/// Longest address of a page that is kept through signing in, bytes.
const MAX_NEXT_BYTES: usize = 2_000;

/// Who opens a page, and how it is shown.
#[derive(Clone)]
pub(super) struct Visitor {
    pub(super) lang: Lang,
    pub(super) theme: Option<Theme>,
    /// The account that the token names. The API says whether its session lives.
    pub(super) caller: Option<Caller>,
    /// Ends the session in the browser, if its token is read no more.
    pub(super) ended: Option<HeaderValue>,
    /// Goes into every form of a session.
    pub(super) csrf: Option<String>,
    /// The API, with the session's token.
    pub(super) api: Api,
    /// The path and query of the page.
    pub(super) path: String,
}

impl Visitor {
    pub(super) fn of(web: &Web, headers: &HeaderMap, extensions: &Extensions, path: String) -> Self {
        let (lang, theme) = (Lang::of(headers), Theme::of(headers));
        let cookies = Cookies::of(&web.app, headers, RIDE);
        let token = cookies.get(headers, SESSION).map(str::to_owned);
        let caller = token.as_deref().and_then(|token| web.app.sessions.read(token));
        let ended = (token.is_some() && caller.is_none()).then(|| cookies.remove(SESSION));
        let csrf = caller.map(|caller| csrf_token(&web.app, &caller));
        let api = Api::new(web, headers, extensions, lang, token.filter(|_| caller.is_some()));
        Self { lang, theme, caller, ended, csrf, api, path }
    }

    /// The same in the session that has just begun, at this page.
    pub(super) fn entered(&self, web: &Web, token: &str, path: String) -> Self {
        let caller = web.app.sessions.read(token);
        let csrf = caller.map(|caller| csrf_token(&web.app, &caller));
        Self { caller, ended: None, csrf, api: self.api.with_token(token), path, ..self.clone() }
    }

    /// Translates: returns the text of the page's language.
    pub(super) fn t<'a>(&self, english: &'a str, chinese: &'a str) -> &'a str {
        self.lang.t(english, chinese)
    }

    /// The way to sign in, and back to this page.
    pub(super) fn sign_in(&self) -> String {
        with_next("/ride/sign-in", &self.path)
    }

    /// Where somebody without a session is led from a page that needs one.
    pub(super) fn must_sign_in(&self) -> Option<Response> {
        self.caller.is_none().then(|| match &self.ended {
            Some(gone) => without_session(gone.clone(), &self.sign_in()),
            None => Redirect::to(&self.sign_in()).into_response(),
        })
    }
}

impl FromRequestParts<Web> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Infallible> {
        let path = parts.uri.path_and_query().map_or(RIDE, |path| path.as_str()).to_owned();
        Ok(Self::of(web, &parts.headers, &parts.extensions, path))
    }
}

/// The zone of the timetable: the network's, or that of the settings without one or when it is not read.
pub(super) async fn network_zone(web: &Web) -> String {
    let otherwise = web.app.settings.trips.zone;
    let zone = web.app.itineraries.zone(&web.app.saga.pool, otherwise).await.unwrap_or(otherwise);
    zone.name().to_owned()
}

/// The header that begins a session in the browser. It ends with the token.
pub(super) fn begin(web: &Web, headers: &HeaderMap, token: &str, secs: u32) -> HeaderValue {
    Cookies::of(&web.app, headers, RIDE).set(SESSION, token, secs)
}

/// Ends it in the browser, and leads to this address.
pub(super) fn end(web: &Web, headers: &HeaderMap, then: &str) -> Response {
    without_session(Cookies::of(&web.app, headers, RIDE).remove(SESSION), then)
}

fn without_session(gone: HeaderValue, then: &str) -> Response {
    ([(header::SET_COOKIE, gone), (CLEAR_SITE_DATA, CLEARED)], Redirect::to(then)).into_response()
}

/// An address with the page to go to afterwards.
pub(super) fn with_next(address: &str, next: &str) -> String {
    let next = serde_urlencoded::to_string([("next", next)]).unwrap_or_default();
    format!("{address}?{next}")
}

/// The way to sign in for somebody whose session ended before a form of this page was sent.
pub(super) fn unsent(visitor: &Visitor) -> String {
    format!("{}&{UNSENT}=1", visitor.sign_in())
}

/// The page to go to that a query string names.
pub(super) fn next_of(query: Option<String>) -> String {
    inside(&parameter(query.as_deref(), "next").unwrap_or_default()).to_owned()
}

/// A parameter of a query string.
pub(super) fn parameter(query: Option<&str>, wanted: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
}

/// The page to go to: `next` if it is one of these, the first one otherwise.
pub(super) fn inside(next: &str) -> &str {
    let is_plain =
        next.len() <= MAX_NEXT_BYTES && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let path = next.split('?').next().unwrap_or_default();
    let is_page = path == RIDE || path.strip_prefix(RIDE).is_some_and(|rest| rest.starts_with('/'));
    // Browsers resolve these segments, encoded ones too.
    let climbs =
        path.split('/').any(|part| [".", ".."].contains(&&*part.replace("%2e", ".").replace("%2E", ".")));
    if is_plain && is_page && !climbs { next } else { RIDE }
}

/// The page that a form with this address is on; the first one if it is on every page.
pub(super) fn page_of(path: &str) -> &str {
    ACTS.iter().find_map(|act| path.strip_suffix(act)).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::{inside, page_of};

    #[test]
    fn signing_in_leads_nowhere_else() {
        for page in ["/ride", "/ride/trips/1?seats=3A", "/ride?date=2026-11-30"] {
            assert_eq!(inside(page), page);
        }
        for away in [
            "//evil.example",
            "/console",
            "/ride\\@evil",
            "/riders",
            "/ride/a\nb",
            "",
            "/ride/../console",
            "/ride/%2e%2E/console",
            "/ride/.%2e?a",
        ] {
            assert_eq!(inside(away), "/ride", "{away}");
        }
    }

    #[test]
    fn a_form_is_on_a_page() {
        for (form, page) in [
            ("/ride/orders/7/pay", "/ride/orders/7"),
            ("/ride/account/pay-password", "/ride/account"),
            ("/ride/sign-out", "/ride"),
            ("/ride/trips/7", "/ride/trips/7"),
            ("/ride/sign-in", "/ride/sign-in"),
        ] {
            assert_eq!(page_of(form), page);
        }
    }
}
