//! The token that every form of a session carries and that no page of another origin can know.

use crate::{accounts::token_keys::Use, http::App};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

/// The token of a session's forms.
pub(super) fn csrf_token(app: &App, session: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(app.sessions.keys().digest(Use::Forms, &[session.as_bytes()]))
}

/// Whether this is the token of the session's forms, by any accepted key. Compared in constant
/// time.
pub(super) fn verify_csrf(token: &str, app: &App, session: Uuid) -> bool {
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    app.sessions.keys().verify(Use::Forms, &[session.as_bytes()], &bytes)
}
