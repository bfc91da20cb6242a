//! Keys that are derived from a secret, one for each use (HKDF of RFC 5869).

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit};
use sha2::Sha256;

/// Bytes that are derived from a secret for the use that the label names.
pub(crate) fn derive<const N: usize>(secret: &[u8], label: &str) -> [u8; N] {
    let mut derived = [0; N];
    // The only error is a length beyond 255 hashes.
    if Hkdf::<Sha256>::new(None, secret).expand(label.as_bytes(), &mut derived).is_err() {
        unreachable!("{N} bytes are fewer than HKDF can derive");
    }
    derived
}

/// An HMAC with this key.
pub(crate) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes a key of any length"),
    }
}
