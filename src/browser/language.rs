//! The language and the theme of pages: cookies of the browser, independent of any account.

use super::cookies::preference;
use crate::http::language::prefers_chinese;
use axum::http::HeaderMap;

/// The cookie that holds the language, if one was chosen.
pub(crate) const LANGUAGE: &str = "farebox_lang";
/// The cookie that holds the theme, if one was chosen.
pub(crate) const THEME: &str = "farebox_theme";

/// A language of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lang {
    English,
    Chinese,
}

/// A theme; without one the browser decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    Light,
    Dark,
}

impl Lang {
    /// The language that was chosen, else the one that `Accept-Language` prefers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        match preference(headers, LANGUAGE) {
            Some("zh") => Self::Chinese,
            Some("en") => Self::English,
            _ if prefers_chinese(headers) => Self::Chinese,
            _ => Self::English,
        }
    }

    /// Translates: returns the text of this language.
    pub(crate) fn t<'a>(self, english: &'a str, chinese: &'a str) -> &'a str {
        if self == Self::Chinese { chinese } else { english }
    }

    /// The language's tag for HTML and HTTP.
    pub(crate) fn code(self) -> &'static str {
        self.t("en", "zh")
    }
}

impl Theme {
    /// The theme that was chosen.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        match preference(headers, THEME) {
            Some("dark") => Some(Self::Dark),
            Some("light") => Some(Self::Light),
            _ => None,
        }
    }

    /// The theme's name in the cookie and the page.
    pub(crate) fn code(self) -> &'static str {
        if self == Self::Dark { "dark" } else { "light" }
    }
}
