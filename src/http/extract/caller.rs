//! The caller of a request, from its bearer token.

use crate::{
    accounts::Caller,
    http::{App, problem::Problem},
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};

/// Any signed-in caller.
pub(crate) struct SignedIn(pub(crate) Caller);

/// A caller who may read the operations side.
pub(crate) struct Viewer;

impl FromRequestParts<App> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        caller(&parts.headers, app).map(Self)
    }
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if caller(&parts.headers, app)?.role.may_view() { Ok(Self) } else { Err(Problem::denied()) }
    }
}

/// The caller if there is a valid token: for resources that need none.
pub(crate) fn maybe_caller(headers: &HeaderMap, app: &App) -> Option<Caller> {
    caller(headers, app).ok()
}

/// The caller, or the problem that the token is missing or invalid.
pub(super) fn caller(headers: &HeaderMap, app: &App) -> Result<Caller, Problem> {
    token(headers).and_then(|token| app.sessions.read(token)).ok_or_else(Problem::token)
}

/// The bearer token as in RFC 9110, 11.4: the scheme in any case, one blank or more, the token.
fn token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}
