//! The peppers: the one in force goes into new hashes, and each hash says which one it has.

use crate::security::keys::derive;
use crate::settings::Ring;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

/// Bytes of a pepper's id: eight characters of Base64.
const ID_BYTES: usize = 6;

/// A pepper with its id.
pub(super) struct Pepper {
    /// Derived from it, in Base64.
    pub(super) id: String,
    secret: SecretSlice<u8>,
    digests: [u8; 32],
}

impl Pepper {
    fn new(secret: &[u8]) -> Self {
        Self {
            id: STANDARD_NO_PAD.encode(derive::<ID_BYTES>(secret, "farebox pepper id")),
            digests: derive(secret, "farebox digests of pay passwords"),
            secret: secret.to_vec().into(),
        }
    }

    pub(super) fn secret(&self) -> &[u8] {
        self.secret.expose_secret()
    }
}

/// All peppers, the one in force first.
pub struct Peppers {
    all: Vec<Pepper>,
    /// Where in the list the old ones begin, the oldest first.
    first_old: usize,
}

impl From<&Ring> for Peppers {
    fn from(ring: &Ring) -> Self {
        let all = ring.all().map(|secret| Pepper::new(secret.expose_secret().as_bytes())).collect();
        Self { all, first_old: 1 + usize::from(ring.next.is_some()) }
    }
}

impl<const N: usize> From<&[u8; N]> for Peppers {
    fn from(secret: &[u8; N]) -> Self {
        Self { all: vec![Pepper::new(secret)], first_old: 1 }
    }
}

impl Peppers {
    /// The one for new hashes.
    pub(super) fn current(&self) -> &Pepper {
        &self.all[0]
    }

    /// The one of a hash; `None` if this process does not have it.
    pub(super) fn of(&self, id: Option<&str>) -> Option<&Pepper> {
        match id {
            Some(id) => self.all.iter().find(|pepper| pepper.id == id),
            None => Some(self.unnamed()),
        }
    }

    /// Whether the pepper of a hash is to be replaced. The next one is not: another process has it
    /// in force already.
    pub(super) fn is_old(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.all.iter().skip(self.first_old).any(|pepper| pepper.id == id))
    }

    /// The one of hashes that do not name theirs: those of versions up to 0.2.0, so the oldest.
    fn unnamed(&self) -> &Pepper {
        self.all.get(self.first_old).unwrap_or_else(|| self.current())
    }

    /// The digests of the parts, by the pepper in force first, then by the others, then as versions
    /// up to 0.2.0 made them, with the pepper itself as the key.
    pub(super) fn digests(&self, parts: &[&[u8]]) -> Vec<Vec<u8>> {
        let derived = self.all.iter().map(|pepper| pepper.digests.as_slice());
        let itself = std::iter::once(self.unnamed().secret());
        let keys = derived.chain(itself).filter_map(|key| Hmac::<Sha256>::new_from_slice(key).ok());
        keys.map(|mut mac| {
            parts.iter().for_each(|part| mac.update(part));
            mac.finalize().into_bytes().to_vec()
        })
        .collect()
    }
}
