//! Cookies of pages. In production their names begin with `__Host-`, and they are `Secure`,
//! whatever a header says: a browser then takes them only over HTTPS, from this host and for all of
//! its paths, so that no other host or path can plant one (RFC 6265bis).
//!
//! Browsers treat the loopback address as secure: production can be tried there without HTTPS.

use crate::http::{App, middleware::scheme::is_https};
use axum::http::{HeaderMap, HeaderValue, header};

/// The prefix of names in production.
const HOST_PREFIX: &str = "__Host-";

/// How cookies are named and set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cookies {
    has_prefix: bool,
    secure: bool,
    /// The path of the pages, for names without the prefix.
    path: &'static str,
}

impl Cookies {
    /// For the response to a request with these headers, of the pages below `path`.
    pub(crate) fn of(app: &App, headers: &HeaderMap, path: &'static str) -> Self {
        let has_prefix = app.settings.environment.is_production();
        Self { has_prefix, secure: has_prefix || is_https(app, headers), path }
    }

    /// The value of the cookie `name`. Two different ones are none: one of them was planted.
    pub(crate) fn get<'a>(self, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        let prefix = if self.has_prefix { HOST_PREFIX } else { "" };
        let mut found = values(headers, prefix, name);
        let first = found.next()?;
        found.all(|value| value == first).then_some(first)
    }

    /// The header that sets a cookie for a number of seconds.
    pub(crate) fn set(self, name: &str, value: &str, max_age_secs: u32) -> HeaderValue {
        let (prefix, path) = if self.has_prefix { (HOST_PREFIX, "/") } else { ("", self.path) };
        let secure = if self.secure { "; Secure" } else { "" };
        // Lax and not strict, so that a link in an alert opens a signed-in page; forms have a CSRF
        // token.
        let cookie = format!(
            "{prefix}{name}={value}; Path={path}; Max-Age={max_age_secs}; HttpOnly; SameSite=Lax{secure}"
        );
        // Values are words and Base64.
        HeaderValue::from_str(&cookie).unwrap_or(HeaderValue::from_static(""))
    }

    /// The header that removes a cookie.
    pub(crate) fn remove(self, name: &str) -> HeaderValue {
        self.set(name, "", 0)
    }
}

/// The value of a cookie that decides nothing but how pages look, under either name.
pub(crate) fn preference<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    values(headers, HOST_PREFIX, name).next().or_else(|| values(headers, "", name).next())
}

/// The values of all cookies whose name is `prefix` and then `name`.
fn values<'a>(headers: &'a HeaderMap, prefix: &str, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .filter_map(move |pair| pair.trim().strip_prefix(prefix)?.strip_prefix(name)?.strip_prefix('='))
}
