//! The caller of a request, from its bearer token.

use crate::{
    accounts::Caller,
    http::{App, middleware::context::note_caller, problem::Problem},
    security::{self, Event},
};
use axum::{
    extract::{FromRequestParts, Request},
    http::{Extensions, HeaderMap, header, request::Parts},
};
use std::convert::Infallible;

/// Any signed-in caller.
pub(crate) struct SignedIn(pub(crate) Caller);

/// A caller who may read the operations side.
pub(crate) struct Viewer;

/// The caller if there is one: for resources that need none, and that show more to the operations side.
/// Without an answer of the database the caller is nobody.
pub(crate) struct MaybeSignedIn(pub(crate) Option<Caller>);

impl FromRequestParts<App> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        in_use(identified(&parts.headers, &parts.extensions, app)?, app).await.map(Self)
    }
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = in_use(identified(&parts.headers, &parts.extensions, app)?, app).await?;
        if caller.role.may_view() { Ok(Self) } else { Err(denied(&caller)) }
    }
}

impl FromRequestParts<App> for MaybeSignedIn {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let Ok(caller) = identified(&parts.headers, &parts.extensions, app) else { return Ok(Self(None)) };
        Ok(Self(in_use(caller, app).await.ok()))
    }
}

/// The problem of a caller whose role may not do this, which is a security event.
pub(crate) fn denied(caller: &Caller) -> Problem {
    Event::AccessDenied.record(Some(&security::account(caller.rider_id)), None);
    Problem::denied()
}

/// The caller that the token of a request names, so that it is checked once.
#[derive(Clone, Copy)]
struct Named(Option<Caller>);

/// Checks the token of a request, and keeps the account that it names in the request.
pub(crate) fn remember_caller(request: &mut Request, app: &App) -> Option<Caller> {
    let caller = read(request.headers(), app);
    caller.iter().for_each(|caller| note_caller(caller.rider_id));
    request.extensions_mut().insert(Named(caller));
    caller
}

fn read(headers: &HeaderMap, app: &App) -> Option<Caller> {
    token(headers).and_then(|token| app.sessions.read(token))
}

/// The caller of the token, or the problem that the token is missing or invalid.
pub(super) fn identified(headers: &HeaderMap, extensions: &Extensions, app: &App) -> Result<Caller, Problem> {
    let named = extensions.get::<Named>().map_or_else(|| read(headers, app), |named| named.0);
    named.ok_or_else(Problem::token)
}

/// The caller, unless its session was idle for too long, or lacks the second factor: then the session
/// ends.
pub(super) async fn in_use(caller: Caller, app: &App) -> Result<Caller, Problem> {
    let rule = app.settings.accounts.operator_sessions();
    let in_use = app.sessions.is_in_use(&app.saga.pool, &caller, rule, true).await?;
    if in_use { Ok(caller) } else { Err(Problem::token()) }
}

/// The bearer token as in RFC 9110, 11.4: the scheme in any case, one blank or more, the token.
fn token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}
