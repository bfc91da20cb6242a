//! The preamble of a page: who looks, in which language; and of a form: that its sender is who he seems and may do it.

use super::{REPEATED, layout::Failure};
use crate::{
    accounts::{self, Caller},
    domain::{FieldError, Reason},
    http::{
        App,
        extract::{
            bytes,
            strict::{self, Pairs},
        },
        language::prefers_chinese,
        problem::Problem,
    },
    ops::{
        Attribution,
        audit::{Actor, Through},
    },
    storage::again,
};
use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde::de::DeserializeOwned;
use sha2::Sha256;
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// The cookie that holds the session's token.
pub(crate) const SESSION: &str = "farebox_console";
/// The cookie that holds the language, if one was chosen.
pub(crate) const LANGUAGE: &str = "farebox_lang";
/// The cookie that holds the theme, if one was chosen.
pub(crate) const THEME: &str = "farebox_theme";
/// The cookie that carries a notice over a redirect.
pub(crate) const NOTICE: &str = "farebox_notice";
/// Longest address of a page that is kept through signing in, bytes.
const LONGEST_NEXT: usize = 2_000;
/// How long the page of an error waits for the name of whoever is signed in.
const LONGEST_NAMING: Duration = Duration::from_millis(500);

/// A language of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lang {
    English,
    Chinese,
}

/// A theme; none is the browser's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    Light,
    Dark,
}

/// How pages are to look, as cookies and headers say.
#[derive(Clone, Debug)]
pub(crate) struct Taste {
    pub(crate) lang: Lang,
    pub(crate) theme: Option<Theme>,
    /// The path and query of the page.
    pub(crate) path: String,
}

/// Somebody who may look.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) caller: Caller,
    /// The account's user name.
    pub(crate) name: String,
    pub(crate) lang: Lang,
    pub(crate) taste: Taste,
    /// Goes into every form.
    pub(crate) csrf: String,
    /// The path and query of the page.
    pub(crate) path: String,
    /// What the last act says.
    pub(crate) notice: Option<String>,
}

/// A form that an operator sent, with his reason. What it does is one transaction. Safe to drop before the redirect: it
/// happened whole or not at all, the page that comes next shows which, and a form that moves money names its entry.
pub(crate) struct Deed<T> {
    pub(crate) visit: Visit,
    /// 1 to 500 characters.
    pub(crate) reason: String,
    pub(crate) form: T,
}

/// A form that changes nothing but the sender's own session or taste.
pub(crate) struct Plain<T>(pub(crate) T);

impl Lang {
    /// One of the two, which stand side by side in the source.
    pub(crate) fn say<'a>(self, english: &'a str, chinese: &'a str) -> &'a str {
        if self == Self::Chinese { chinese } else { english }
    }

    pub(crate) fn code(self) -> &'static str {
        self.say("en", "zh")
    }
}

impl Theme {
    pub(crate) fn code(self) -> &'static str {
        if self == Self::Dark { "dark" } else { "light" }
    }
}

impl Taste {
    pub(crate) fn of(headers: &HeaderMap, path: &str) -> Self {
        let lang = match cookie(headers, LANGUAGE) {
            Some("zh") => Lang::Chinese,
            Some("en") => Lang::English,
            _ if prefers_chinese(headers) => Lang::Chinese,
            _ => Lang::English,
        };
        let theme = match cookie(headers, THEME) {
            Some("dark") => Some(Theme::Dark),
            Some("light") => Some(Theme::Light),
            _ => None,
        };
        Self { lang, theme, path: path.to_owned() }
    }
}

impl Visit {
    fn of(headers: &HeaderMap, path: String, app: &App, caller: Caller, name: String) -> Self {
        let taste = Taste::of(headers, &path);
        let notice = cookie(headers, NOTICE).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        Self {
            caller,
            name,
            lang: taste.lang,
            taste,
            csrf: csrf(app, caller.session_id),
            path,
            notice: notice.and_then(|bytes| String::from_utf8(bytes).ok()),
        }
    }

    /// One of the two, which stand side by side in the source.
    pub(crate) fn say<'a>(&self, english: &'a str, chinese: &'a str) -> &'a str {
        self.lang.say(english, chinese)
    }

    /// Whether the forms are for this person, too.
    pub(crate) fn may_act(&self) -> bool {
        self.caller.role.may_operate()
    }
}

impl<T> Deed<T> {
    /// Who acts, and why, with the form.
    pub(crate) fn signed(self) -> (Visit, Attribution, T) {
        let by = Attribution::new(Actor::caller(&self.visit.caller, Through::Console), Some(self.reason));
        (self.visit, by, self.form)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Taste {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.headers, &path_of(parts)))
    }
}

impl FromRequestParts<App> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        visit(&parts.headers, path_of(parts), app).await
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Deed<T> {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let headers = request.headers().clone();
        let visit = visit(&headers, "/console".to_owned(), app).await?;
        let mut pairs = own_form(request, app).await?;
        let mut take = |wanted: &str| {
            let at = pairs.iter().position(|(name, _)| name == wanted);
            at.map(|at| pairs.remove(at).1).unwrap_or_default()
        };
        let (csrf, reason) = (take("csrf"), take("reason"));
        let refuse = |problem: Problem| Failure::from(problem).into_response();
        if !is_of(&csrf, app, visit.caller.session_id) || !visit.may_act() {
            return Err(refuse(Problem::denied()));
        }
        let field = |error: FieldError| refuse(Problem::field(&error));
        let reason = Reason::read("reason", &reason).map_err(field)?.into_string();
        Ok(Self { visit, reason, form: strict::read(&pairs).map_err(field)? })
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Plain<T> {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let form = strict::read(&own_form(request, app).await?);
        form.map(Self).map_err(|error| Failure::from(error).into_response())
    }
}

/// Whoever the session's cookie is of; everybody else is sent to sign in.
async fn visit(headers: &HeaderMap, path: String, app: &App) -> Result<Visit, Response> {
    let away = || Redirect::to(&format!("/console/sign-in?{}", next(&path))).into_response();
    let caller = signed_in(headers, app).ok_or_else(away)?;
    // Before a form is read: its body is not there a second time.
    let rider = again(|| accounts::find(&app.saga.pool, caller.rider_id)).await;
    let rider = rider.map_err(|error| Failure::from(error).into_response())?.ok_or_else(away)?;
    Ok(Visit::of(headers, path, app, caller, rider.user_name))
}

/// Whoever is signed in, for a page that tells what is amiss. If that is the database, he has no name on it.
pub(crate) async fn visitor(headers: &HeaderMap, path: String, app: &App) -> Option<Visit> {
    let caller = signed_in(headers, app)?;
    let rider = timeout(LONGEST_NAMING, accounts::find(&app.saga.pool, caller.rider_id)).await;
    let rider = rider.ok().and_then(Result::ok).flatten();
    Some(Visit::of(headers, path, app, caller, rider.map(|rider| rider.user_name).unwrap_or_default()))
}

fn signed_in(headers: &HeaderMap, app: &App) -> Option<Caller> {
    let caller = cookie(headers, SESSION).and_then(|token| app.sessions.read(token));
    caller.filter(|caller| caller.role.may_view())
}

fn next(path: &str) -> String {
    serde_urlencoded::to_string([("next", path)]).unwrap_or_default()
}

/// The page to go to after this one: of the console, whatever a link says.
pub(crate) fn inside(next: &str) -> &str {
    let plain =
        next.len() <= LONGEST_NEXT && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let path = next.split('?').next().unwrap_or_default();
    if plain && is_inside(path) { next } else { "/console" }
}

/// Whether a path is one of the console's.
pub(crate) fn is_inside(path: &str) -> bool {
    path == "/console" || path.starts_with("/console/")
}

fn path_of(parts: &Parts) -> String {
    parts.uri.path_and_query().map_or("/console", |path| path.as_str()).to_owned()
}

/// A cookie's value.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// What stands in a form that a page of our own sent. A browser says where a form comes from; whoever is none says nothing,
/// and has no cookie that he was not given.
async fn own_form(request: Request, app: &App) -> Result<Pairs, Response> {
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let ours = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => text("host").is_some_and(|host| origin.split("//").nth(1) == Some(host)),
        (None, None) => true,
    };
    if !ours {
        return Err(Failure::from(Problem::denied()).into_response());
    }
    let bytes = bytes(request, app).await.map_err(|problem| Failure::from(problem).into_response())?;
    let text =
        String::from_utf8(bytes).map_err(|_| FieldError::new("form", "text in UTF-8, percent-encoded"));
    let pairs = text.and_then(|text| strict::pairs(&text));
    let pairs = pairs.and_then(|pairs| strict::once(&pairs, &REPEATED).map(|()| pairs));
    pairs.map_err(|error| Failure::from(error).into_response())
}

/// What a form of this session carries, and no page of another origin can know.
fn csrf(app: &App, session: Uuid) -> String {
    sealed(app, session).map_or_else(String::new, |mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn is_of(token: &str, app: &App, session: Uuid) -> bool {
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    sealed(app, session).is_some_and(|mac| mac.verify_slice(&bytes).is_ok())
}

fn sealed(app: &App, session: Uuid) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(app.settings.secrets.pepper.as_bytes()).ok()?;
    mac.update(b"the console's forms\n");
    mac.update(session.as_bytes());
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::inside;

    #[test]
    fn signing_in_leads_nowhere_else() {
        for page in ["/console", "/console/jobs?tag=a&state=dead", "/console?x"] {
            assert_eq!(inside(page), page);
        }
        for away in ["//evil.example", "/v1/orders", "/console\\@evil", "/consoles", "/console/a\nb", ""] {
            assert_eq!(inside(away), "/console", "{away}");
        }
    }
}
