//! Tokens that no server accepts.

use crate::harness::TOKEN_KEY;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use farebox::accounts::Role;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A token of this rider that ended a second ago, signed as a real one.
pub fn expired(like: &str) -> String {
    const CLAIMS: usize = 42;
    let mut token = URL_SAFE_NO_PAD.decode(like).unwrap();
    token.truncate(CLAIMS);
    let past = chrono::Utc::now().timestamp() - 1;
    token[CLAIMS - 8..].copy_from_slice(&past.to_be_bytes());
    sign(token, TOKEN_KEY)
}

/// The rider's token with an operator's role in it, signed with a key that is not the server's.
pub fn forged(like: &str) -> String {
    const CLAIMS: usize = 42;
    let mut token = URL_SAFE_NO_PAD.decode(like).unwrap();
    token.truncate(CLAIMS);
    token[33] = Role::Operator as u8;
    sign(token, "not the server's key")
}

fn sign(mut claims: Vec<u8>, key: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(&claims);
    claims.extend_from_slice(&mac.finalize().into_bytes());
    URL_SAFE_NO_PAD.encode(claims)
}
