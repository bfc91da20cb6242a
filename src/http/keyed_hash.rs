//! The keyed digests of requests. A plain digest does not do: bodies hold passwords, and all six
//! digits of a pay password are quickly tried against the table of stored responses.

use super::App;
use crate::accounts::token_keys::Use;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use sha2::Sha256;

/// The digest under which a request's response is stored.
pub(super) fn request_digest(app: &App, parts: &[&[u8]]) -> Vec<u8> {
    app.sessions.keys().digest(Use::Requests, parts)
}

/// The other digests under which the response to the same request may be stored: those of the other
/// accepted keys, and those by the pepper of the versions up to 0.2.0, over the request as it was
/// understood and as it was sent. Those by the pepper can go when no key from before that upgrade
/// is left (`idempotency.retention_hours`).
pub(super) fn other_request_digests(app: &App, understood: &[&[u8]], sent: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut digests: Vec<_> = app.sessions.keys().other_digests(Use::Requests, understood).collect();
    let peppers = app.settings.secrets.peppers();
    let pepper = peppers.old.first().unwrap_or(&peppers.current).expose_secret().as_bytes();
    if let Ok(mac) = Hmac::<Sha256>::new_from_slice(pepper) {
        for parts in [understood, sent] {
            let mut mac = mac.clone();
            parts.iter().for_each(|part| mac.update(part));
            digests.push(mac.finalize().into_bytes().to_vec());
        }
    }
    digests
}
