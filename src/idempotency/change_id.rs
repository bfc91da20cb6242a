//! The name of an acknowledged change in the log, by which a restored database shows whether it has the
//! change.
//!
//! The log outlives the database, and holds neither ids nor what clients send. So a change is named by a
//! digest: of its idempotency key, or of its effect. Accounts and orders have random ids, so a digest
//! needs no key of its own, and stays the same when the secrets change.

use super::IdempotencyKey;
use crate::domain::RiderId;
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Bytes of a digest: too many for two changes to have the same.
const BYTES: usize = 16;

/// What a change without a key, or one that happens once to its subject, is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The order of this id was booked.
    Booked,
    /// The payment of this id was made.
    Paid,
    /// The order of this id was cancelled by its rider.
    Cancelled,
    /// The refund of the order of this id was begun by its rider.
    Refunded,
}

impl Effect {
    fn as_str(self) -> &'static str {
        match self {
            Self::Booked => "booked",
            Self::Paid => "paid",
            Self::Cancelled => "cancelled",
            Self::Refunded => "refunded",
        }
    }
}

/// The digest: the first 16 bytes of SHA-256, in hexadecimal where it is a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChangeId([u8; BYTES]);

impl ChangeId {
    /// Of what was done under a key of this account.
    pub fn of_key(actor: RiderId, key: &str) -> Self {
        Self::of("key", &actor.to_string(), key)
    }

    /// Of an effect on the order or payment of this id.
    pub fn of_effect(effect: Effect, subject: Uuid) -> Self {
        Self::of(effect.as_str(), &subject.to_string(), "")
    }

    fn of(kind: &str, subject: &str, key: &str) -> Self {
        let text = format!("farebox change\n{kind}\n{subject}\n{key}\n");
        let digest: [u8; 32] = Sha256::digest(text).into();
        let mut first = [0; BYTES];
        first.iter_mut().zip(digest).for_each(|(byte, of_digest)| *byte = of_digest);
        Self(first)
    }
}

impl From<&IdempotencyKey> for ChangeId {
    fn from(key: &IdempotencyKey) -> Self {
        Self::of_key(key.actor, &key.key)
    }
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ChangeId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 2 * BYTES);
        number.map(|number| Self(number.to_be_bytes())).ok_or_else(|| format!("{text:?} names no change"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_one_name_and_no_other_has_it() {
        let (rider, order) = (RiderId::new(), Uuid::now_v7());
        let names = [
            ChangeId::of_key(rider, "a"),
            ChangeId::of_key(rider, "b"),
            ChangeId::of_key(RiderId::new(), "a"),
            ChangeId::of_effect(Effect::Booked, order),
            ChangeId::of_effect(Effect::Refunded, order),
        ];
        for (nr, name) in names.iter().enumerate() {
            assert_eq!(name.to_string().parse(), Ok(*name));
            assert!(names.iter().skip(nr + 1).all(|other| other != name));
        }
        assert_eq!(ChangeId::of_key(rider, "a"), names[0]);
        assert!("".parse::<ChangeId>().is_err() && "+1".parse::<ChangeId>().is_err());
    }

    /// Operators compute it in a shell: docs/operators/backup-and-failover.md.
    #[test]
    fn the_digest_is_over_a_text_that_a_shell_can_write() {
        let rider = RiderId(Uuid::nil());
        assert_eq!(ChangeId::of_key(rider, "k-1").to_string(), "206732e44f36d6ac2424f0ec0ba1241a");
    }
}
