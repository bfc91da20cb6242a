//! The token that every form of a session carries and that no page of another origin can know.
//!
//! It names its session and account, so that a form that outlives its session is known to be its
//! account's own.

use crate::{
    accounts::{Caller, token_keys::Use},
    domain::RiderId,
    http::App,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

/// The session and the account.
const CLAIMS: usize = 16 + 16;

/// The token of a session's forms.
pub(crate) fn csrf_token(app: &App, caller: &Caller) -> String {
    let mut token = Vec::with_capacity(CLAIMS + 32);
    token.extend_from_slice(caller.session_id.as_bytes());
    token.extend_from_slice(caller.rider_id.0.as_bytes());
    let mac = app.sessions.keys().digest(Use::Forms, &[&token]);
    token.extend_from_slice(&mac);
    URL_SAFE_NO_PAD.encode(token)
}

/// Whether this is the token of the session's forms, by any accepted key. Compared in constant
/// time. Pages of version 0.2.0 hold a token without an account: they are taken, too.
pub(crate) fn verify_csrf(token: &str, app: &App, session: Uuid) -> bool {
    if let Some((of, _)) = claims(token, app) {
        return of == session;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    app.sessions.keys().verify(Use::Forms, &[session.as_bytes()], &bytes)
}

/// The account that a token was made for, in a session that may have ended.
pub(crate) fn owner(token: &str, app: &App) -> Option<RiderId> {
    claims(token, app).map(|(_, account)| account)
}

fn claims(token: &str, app: &App) -> Option<(Uuid, RiderId)> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (claims, mac) = bytes.split_at_checked(CLAIMS)?;
    let (session, account) = (Uuid::from_slice(&claims[..16]).ok()?, Uuid::from_slice(&claims[16..]).ok()?);
    app.sessions.keys().verify(Use::Forms, &[claims], mac).then_some((session, RiderId(account)))
}
