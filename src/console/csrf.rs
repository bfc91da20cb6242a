//! The token that every form of a session carries and that no page of another origin can know.

use crate::http::{App, keyed_hash::keyed_hash};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::Mac;
use uuid::Uuid;

/// Separates this use of the pepper from every other one.
const PURPOSE: &[u8] = b"the console's forms\n";

/// The token of a session's forms.
pub(super) fn csrf_token(app: &App, session: Uuid) -> String {
    let mac = keyed_hash(app, &[PURPOSE, session.as_bytes()]);
    mac.map_or_else(|_| String::new(), |mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// Whether this is the token of the session's forms, compared in constant time.
pub(super) fn verify_csrf(token: &str, app: &App, session: Uuid) -> bool {
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    let mac = keyed_hash(app, &[PURPOSE, session.as_bytes()]);
    mac.is_ok_and(|mac| mac.verify_slice(&bytes).is_ok())
}
