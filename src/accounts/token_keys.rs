//! The keys that are derived from the token keys, one for each use (HKDF of RFC 5869), and the form
//! of what they sign.
//!
//! Every token says which key signed it, so that keys can be changed without signing anybody out:
//! what an accepted key signed stays valid. A key's id is derived from it, so two processes with
//! the same key agree without naming it.

use crate::{
    security::keys::{derive, keyed},
    settings::Ring,
};
use hmac::{Hmac, Mac};
use secrecy::ExposeSecret;
use sha2::Sha256;
use std::sync::Arc;

/// The layout that names its key: layout, key id, claims, MAC.
const WITH_KEY_ID: u8 = 2;
/// The layout of version 0.2.0, whose MAC is made with the token key itself: layout, claims, MAC.
/// Its tokens expire within twelve hours of the upgrade.
const WITHOUT_KEY_ID: u8 = 1;
/// Bytes of a key's id.
const ID_BYTES: usize = 4;
/// Bytes of a MAC.
const MAC_BYTES: usize = 32;
/// Bytes of a fingerprint.
const FINGERPRINT_BYTES: usize = 16;

/// What a derived key is for. Each label is part of the derivation and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Session tokens.
    Tokens,
    /// The console's form tokens.
    Forms,
    /// The console's notices.
    Notices,
    /// Digests of requests under idempotency keys.
    Requests,
    /// The console's sign-in, between its steps.
    Tickets,
    /// The console's forms that wait while their operator signs in.
    KeptForms,
    /// The codes on riders' tickets.
    RiderTickets,
}

impl Use {
    const ALL: [Self; 7] = [
        Self::Tokens,
        Self::Forms,
        Self::Notices,
        Self::Requests,
        Self::Tickets,
        Self::KeptForms,
        Self::RiderTickets,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Tokens => "farebox session tokens",
            Self::Forms => "farebox console forms",
            Self::Notices => "farebox console notices",
            Self::Requests => "farebox request digests",
            Self::Tickets => "farebox console sign-in steps",
            Self::KeptForms => "farebox console forms that wait",
            Self::RiderTickets => "farebox tickets of riders",
        }
    }
}

/// A fingerprint of a secret, which tells two secrets apart and reveals neither.
pub(crate) fn fingerprint(secret: &[u8]) -> [u8; FINGERPRINT_BYTES] {
    derive(secret, "farebox fingerprint")
}

/// The keys: the first signs, all are accepted.
#[derive(Clone)]
pub struct TokenKeys(Arc<[TokenKey]>);

/// One token key: its id, and an HMAC for each use, so that no request derives a key.
struct TokenKey {
    id: [u8; ID_BYTES],
    uses: [Hmac<Sha256>; Use::ALL.len()],
    itself: Hmac<Sha256>,
}

impl TokenKey {
    fn new(secret: &[u8]) -> Self {
        let uses = Use::ALL.map(|one| keyed(&derive::<MAC_BYTES>(secret, one.label())));
        Self { id: derive(secret, "farebox key id"), uses, itself: keyed(secret) }
    }

    fn mac(&self, one: Use, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.uses[one as usize].clone();
        parts.iter().for_each(|part| mac.update(part));
        mac
    }
}

impl From<&Ring> for TokenKeys {
    fn from(ring: &Ring) -> Self {
        Self(ring.all().map(|secret| TokenKey::new(secret.expose_secret().as_bytes())).collect())
    }
}

impl From<&[u8]> for TokenKeys {
    fn from(secret: &[u8]) -> Self {
        Self(Arc::new([TokenKey::new(secret)]))
    }
}

impl<const N: usize> From<&[u8; N]> for TokenKeys {
    fn from(secret: &[u8; N]) -> Self {
        Self::from(secret.as_slice())
    }
}

impl TokenKeys {
    /// The claims as a token's bytes, signed with the first key.
    pub(crate) fn seal(&self, claims: &[u8]) -> Vec<u8> {
        let mut token = Vec::with_capacity(1 + ID_BYTES + claims.len() + MAC_BYTES);
        token.push(WITH_KEY_ID);
        if let Some(key) = self.0.first() {
            token.extend_from_slice(&key.id);
            token.extend_from_slice(claims);
            let mac = key.mac(Use::Tokens, &[&token]).finalize().into_bytes();
            token.extend_from_slice(&mac);
        }
        token
    }

    /// The claims of a token's bytes; `None` if no accepted key signed them.
    pub(crate) fn open<'a>(&self, token: &'a [u8]) -> Option<&'a [u8]> {
        let (signed, mac) = token.split_at_checked(token.len().checked_sub(MAC_BYTES)?)?;
        match *signed.first()? {
            WITH_KEY_ID => {
                let (id, claims) = signed.get(1..)?.split_at_checked(ID_BYTES)?;
                // Two secrets with the same id are unlikely, and no error.
                let mut keys = self.0.iter().filter(|key| key.id == id);
                keys.find(|key| key.mac(Use::Tokens, &[signed]).verify_slice(mac).is_ok())?;
                Some(claims)
            }
            WITHOUT_KEY_ID => {
                let signs =
                    |key: &&TokenKey| key.itself.clone().chain_update(signed).verify_slice(mac).is_ok();
                self.0.iter().find(signs)?;
                signed.get(1..)
            }
            _ => None,
        }
    }

    /// A digest of the parts by the first key's derived key.
    pub(crate) fn digest(&self, one: Use, parts: &[&[u8]]) -> Vec<u8> {
        let key = self.0.first();
        key.map(|key| key.mac(one, parts).finalize().into_bytes().to_vec()).unwrap_or_default()
    }

    /// The digests of the parts by the other accepted keys.
    pub(crate) fn other_digests(&self, one: Use, parts: &[&[u8]]) -> impl Iterator<Item = Vec<u8>> {
        self.0.iter().skip(1).map(move |key| key.mac(one, parts).finalize().into_bytes().to_vec())
    }

    /// Whether an accepted key made this digest of the parts, compared in constant time.
    pub(crate) fn verify(&self, one: Use, parts: &[&[u8]], digest: &[u8]) -> bool {
        self.0.iter().any(|key| key.mac(one, parts).verify_slice(digest).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIMS: &[u8] = b"claims of some length";

    #[test]
    fn what_an_accepted_key_signed_is_valid_and_nothing_else() {
        let (old, new) = (TokenKeys::from(b"the old key"), TokenKeys::from(b"the new key"));
        let ring = Ring { old: vec!["the old key".into()], ..Ring::alone("the new key") };
        let rotated = TokenKeys::from(&ring);
        let token = old.seal(CLAIMS);
        assert_eq!(rotated.open(&token), Some(CLAIMS), "an old token");
        assert_eq!(new.open(&rotated.seal(CLAIMS)), Some(CLAIMS), "the first key signs");
        assert!(new.open(&token).is_none() && old.open(&rotated.seal(CLAIMS)).is_none());
        for at in 0..token.len() {
            let mut forged = token.clone();
            forged[at] ^= 1;
            assert!(rotated.open(&forged).is_none(), "byte {at}");
        }
        for length in 0..token.len() {
            assert!(rotated.open(&token[..length]).is_none(), "{length} bytes");
        }
    }

    #[test]
    fn tokens_of_the_layout_before_are_read() {
        let mut token = [&[WITHOUT_KEY_ID], CLAIMS].concat();
        token.extend_from_slice(&keyed(b"the old key").chain_update(&token).finalize().into_bytes());
        assert_eq!(TokenKeys::from(b"the old key").open(&token), Some(CLAIMS));
        assert!(TokenKeys::from(b"another key").open(&token).is_none());
    }

    #[test]
    fn each_use_has_a_key_of_its_own() {
        let keys = TokenKeys::from(b"a key");
        let digests: Vec<Vec<u8>> = Use::ALL.map(|one| keys.digest(one, &[CLAIMS])).into();
        for (at, digest) in digests.iter().enumerate() {
            let own = Use::ALL.map(|one| keys.verify(one, &[CLAIMS], digest));
            assert_eq!(own.iter().filter(|is_own| **is_own).count(), 1);
            assert!(own[at]);
        }
        assert_ne!(fingerprint(b"a key"), fingerprint(b"another key"));
    }
}
