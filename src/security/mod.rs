//! Security events: one log line of the target `farebox::security` for each, and one count.
//!
//! Accounts and networks are in the lines as keyed digests. A reader of the log can tell that two
//! events are of one account, but not whose it is; an operator with the token key can compute the digest of
//! a name and search for it.

pub(crate) mod keys;

use crate::domain::{self, RiderId};
use hmac::Mac;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use std::{
    net::IpAddr,
    sync::{LazyLock, OnceLock},
};
use uuid::Uuid;

/// Hexadecimal digits of a digest in the log.
const DIGITS: usize = 16;

/// The key of the digests, the same on every replica.
static KEY: OnceLock<[u8; 32]> = OnceLock::new();
/// Used before a key is set: digests of such a process match nobody else's, and nobody can compute
/// them.
static NO_KEY: LazyLock<[u8; 32]> = LazyLock::new(|| {
    let mut key = [0; 32];
    let (low, high) = key.split_at_mut(16);
    low.copy_from_slice(Uuid::new_v4().as_bytes());
    high.copy_from_slice(Uuid::new_v4().as_bytes());
    key
});

/// The label of [`EVENTS`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfEvent {
    event: &'static str,
}

/// The events of this process, counted.
///
/// Each is there from the start: `increase` of a series that begins with its first event is 0.
pub static EVENTS: LazyLock<Family<OfEvent, Counter>> = LazyLock::new(|| {
    let events = Family::<OfEvent, Counter>::default();
    for event in Event::ALL {
        drop(events.get_or_create(&OfEvent { event: event.as_str() }));
    }
    events
});

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A user name or a password was wrong.
    SignInFailed,
    /// A sign-in was refused because of the wrong ones before.
    SignInBarred,
    /// A rider has signed in.
    SignedIn,
    /// An account of the operations side has signed in.
    OperatorSignIn,
    /// An account has signed out.
    SignedOut,
    /// A pay password was wrong.
    PayPasswordWrong,
    /// A pay password is locked, because of the wrong ones before.
    PayPasswordLocked,
    /// A pay password was set or changed.
    PayPasswordChanged,
    /// A sign-in password was changed by its owner.
    PasswordChanged,
    /// An operator had a one-time code for a new password made.
    PasswordReset,
    /// A one-time code was wrong.
    ResetCodeWrong,
    /// An account has set up its second factor.
    SecondFactorEnrolled,
    /// A code of the second factor was wrong.
    SecondFactorWrong,
    /// An operator removed the second factor of an account.
    SecondFactorRemoved,
    /// An account was switched off.
    AccountDisabled,
    /// An account was switched on.
    AccountEnabled,
    /// An operator ended the sessions of an account.
    SessionsEnded,
    /// A form came from another origin, or without its token.
    FormForged,
    /// An account got a role of the operations side.
    RoleGiven,
    /// An account of the operations side became a rider's.
    RoleTaken,
    /// An account asked for what its role may not do.
    AccessDenied,
    /// An operator read personal data.
    PersonalDataRead,
    /// An operator tried to change the own wallet, or to approve the own request.
    OwnMoney,
    /// An account was forgotten.
    AccountForgotten,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::SignInFailed,
        Self::SignInBarred,
        Self::SignedIn,
        Self::OperatorSignIn,
        Self::SignedOut,
        Self::PayPasswordWrong,
        Self::PayPasswordLocked,
        Self::PayPasswordChanged,
        Self::PasswordChanged,
        Self::PasswordReset,
        Self::ResetCodeWrong,
        Self::SecondFactorEnrolled,
        Self::SecondFactorWrong,
        Self::SecondFactorRemoved,
        Self::AccountDisabled,
        Self::AccountEnabled,
        Self::SessionsEnded,
        Self::FormForged,
        Self::RoleGiven,
        Self::RoleTaken,
        Self::AccessDenied,
        Self::PersonalDataRead,
        Self::OwnMoney,
        Self::AccountForgotten,
    ];

    /// The word for it in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignInFailed => "sign_in_failed",
            Self::SignInBarred => "sign_in_barred",
            Self::SignedIn => "signed_in",
            Self::OperatorSignIn => "operator_sign_in",
            Self::SignedOut => "signed_out",
            Self::PayPasswordWrong => "pay_password_wrong",
            Self::PayPasswordLocked => "pay_password_locked",
            Self::PayPasswordChanged => "pay_password_changed",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::ResetCodeWrong => "reset_code_wrong",
            Self::SecondFactorEnrolled => "second_factor_enrolled",
            Self::SecondFactorWrong => "second_factor_wrong",
            Self::SecondFactorRemoved => "second_factor_removed",
            Self::AccountDisabled => "account_disabled",
            Self::AccountEnabled => "account_enabled",
            Self::SessionsEnded => "sessions_ended",
            Self::FormForged => "form_forged",
            Self::RoleGiven => "role_given",
            Self::RoleTaken => "role_taken",
            Self::AccessDenied => "access_denied",
            Self::PersonalDataRead => "personal_data_read",
            Self::OwnMoney => "own_money",
            Self::AccountForgotten => "account_forgotten",
        }
    }

    /// The event of this word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == word)
    }

    /// Logs and counts it: `account` is [`account`] or [`name`], `network` is [`network`].
    pub fn record(self, account: Option<&str>, network: Option<&str>) {
        let event = self.as_str();
        EVENTS.get_or_create(&OfEvent { event }).inc();
        tracing::info!(target: "farebox::security", event, account, network, "security event");
    }
}

/// The key of the digests, derived from the token key.
pub fn digest_key(token_key: &[u8]) -> [u8; 32] {
    keys::derive(token_key, "farebox digests of accounts and networks")
}

/// Sets the key of this process's digests; only the first call counts.
pub fn set_key(key: [u8; 32]) {
    // A second key would make two digests of one account.
    let _ = KEY.set(key);
}

/// A keyed digest of a text, for a purpose.
pub fn digest(purpose: &str, text: &str) -> [u8; 32] {
    let key = KEY.get().unwrap_or_else(|| &NO_KEY);
    mac(key, &[purpose.as_bytes(), b"\n", text.as_bytes()])
}

/// The digest of an account, for [`Event::record`].
pub fn account(rider: RiderId) -> String {
    hex("account", &rider.to_string())
}

/// The digest of a user name that was typed, which may be nobody's.
pub fn name(folded: &str) -> String {
    hex("name", folded)
}

/// [`account`] and [`name`] with another key, for lines that were logged before the token key was changed.
pub fn digests_of(key: &[u8; 32], rider: RiderId, folded: &str) -> [String; 2] {
    [("account", rider.to_string()), ("name", folded.to_owned())]
        .map(|(purpose, text)| digits(&mac(key, &[purpose.as_bytes(), b"\n", text.as_bytes()])))
}

/// The network of an address, 24 bits of IPv4 or 64 of IPv6: its addresses mostly belong to one
/// customer.
pub fn network_of(address: IpAddr) -> IpAddr {
    domain::network(address, 24, 64)
}

/// The digest of an address's network.
pub fn network(address: IpAddr) -> String {
    hex("network", &network_of(address).to_string())
}

fn hex(purpose: &str, text: &str) -> String {
    digits(&digest(purpose, text))
}

fn digits(digest: &[u8; 32]) -> String {
    digest.iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keys::keyed(key);
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_of_a_network_a_purpose_and_a_key() {
        let of = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(of("198.51.100.7"), of("198.51.100.99"));
        assert_ne!(of("198.51.100.7"), of("198.51.101.7"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(name("mei"), hex("account", "mei"));
        assert_eq!(name("mei").len(), DIGITS);
        let rider = RiderId(Uuid::nil());
        let key = KEY.get().unwrap_or_else(|| &NO_KEY);
        assert_eq!(digests_of(key, rider, "mei"), [account(rider), name("mei")]);
        assert_ne!(digest_key(b"one key"), digest_key(b"another key"));
        assert_ne!(digest_key(b"one key").as_slice(), mac(b"one key", &[]).as_slice());
    }
}
