//! A stored password hash: the PHC string of Argon2, whose `keyid` says which pepper went into it.
//!
//! `$argon2id$v=19$m=19456,t=2,p=1,keyid=c29tZQ$SALT$OUTPUT`, with Base64 without padding. Hashes
//! of versions up to 0.2.0 have no `keyid`.

use crate::domain::BoxError;
use argon2::{Algorithm, Params, Version};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use std::fmt;

/// Longest salt and output, bytes: far more than is ever written.
const MAX_BYTES: usize = 64;
/// Most memory of a stored hash, KiB. Beyond it, a damaged row could use up a process's memory.
const MAX_MEMORY_KIB: u32 = 4 * 1024 * 1024;

/// A stored hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredHash {
    pub(super) algorithm: Algorithm,
    pub(super) version: Version,
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
    /// The id of the pepper, in Base64.
    pub(super) pepper: Option<String>,
    pub(super) salt: Vec<u8>,
    pub(super) output: Vec<u8>,
}

impl StoredHash {
    /// Reads a PHC string.
    ///
    /// # Errors
    /// Anything that [`fmt::Display`] does not write, but for the order of the parameters.
    pub(super) fn read(text: &str) -> Result<Self, BoxError> {
        let damaged = || BoxError::from("a stored password hash is damaged");
        let mut parts = text.strip_prefix('$').ok_or_else(damaged)?.split('$');
        let mut part = || parts.next().ok_or_else(damaged);
        let algorithm: Algorithm = part()?.parse().map_err(|_| damaged())?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| damaged());
        let version = number(part()?.strip_prefix("v=").ok_or_else(damaged)?)?;
        let version = Version::try_from(version).map_err(|_| damaged())?;
        let (mut memory_kib, mut passes, mut lanes, mut pepper) = (0, 0, 0, None);
        for parameter in part()?.split(',') {
            match parameter.split_once('=').ok_or_else(damaged)? {
                ("m", value) => memory_kib = number(value)?,
                ("t", value) => passes = number(value)?,
                ("p", value) => lanes = number(value)?,
                ("keyid", value) => pepper = Some(value.to_owned()),
                _ => return Err(damaged()),
            }
        }
        let bytes = |text: &str| STANDARD_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() <= MAX_BYTES);
        let salt = bytes(part()?).ok_or_else(damaged)?;
        let output = bytes(part()?).ok_or_else(damaged)?;
        if part().is_ok() || memory_kib > MAX_MEMORY_KIB {
            return Err(damaged());
        }
        Ok(Self { algorithm, version, memory_kib, passes, lanes, pepper, salt, output })
    }

    /// The parameters to hash with.
    ///
    /// # Errors
    /// Those that Argon2 refuses.
    pub(super) fn params(&self) -> Result<Params, BoxError> {
        Ok(Params::new(self.memory_kib, self.passes, self.lanes, Some(self.output.len()))?)
    }
}

impl fmt::Display for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { algorithm, version, memory_kib, passes, lanes, pepper, salt, output } = self;
        write!(f, "${algorithm}$v={}$m={memory_kib},t={passes},p={lanes}", u32::from(*version))?;
        if let Some(pepper) = pepper {
            write!(f, ",keyid={pepper}")?;
        }
        write!(f, "${}${}", STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let hash = "$argon2id$v=19$m=64,t=2,p=1,keyid=c29tZQ$YWJjZGVmZ2hpamtsbW5vcA$MTIzNDU2Nzg";
        let read = StoredHash::read(hash).expect("a hash");
        assert_eq!(read.to_string(), hash);
        assert_eq!(read.pepper.as_deref(), Some("c29tZQ"));
        let old = hash.replace(",keyid=c29tZQ", "");
        assert_eq!(StoredHash::read(&old).expect("without a pepper's id").to_string(), old);
        for wrong in [
            "",
            "argon2id",
            "$2b$12$abcdefghijklmnopqrstuv",
            "$argon2id$v=18$m=64,t=2,p=1$YWJj$MTIz",
            "$argon2id$v=19$m=64,t=2,p=x$YWJj$MTIz",
            "$argon2id$v=19$m=99999999,t=2,p=1$YWJj$MTIz",
            "$argon2id$v=19$m=64,t=2,p=1$YWJj",
            "$argon2id$v=19$m=64,t=2,p=1$YWJj$MTIz$more",
            "$argon2id$v=19$m=64,t=2,p=1$!$MTIz",
        ] {
            assert!(StoredHash::read(wrong).is_err(), "{wrong}");
        }
    }
}
