//! Secrets: how they are read, and which are refused.

use super::{Environment, SettingsError};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de};
use std::{collections::BTreeSet, fmt};

/// Shortest secret in development and test, characters.
const MIN_CHARS: usize = 16;
/// Shortest secret in production, characters: 32 hexadecimal digits are 128 bits.
const MIN_CHARS_IN_PRODUCTION: usize = 32;
/// Fewest different characters of a secret in production. A random text of 32 digits has more.
const MIN_DIFFERENT: usize = 8;

/// Keys without a default; `farebox dev` makes its own.
///
/// A secret is changed in three steps, so that processes with the old and the new settings accept
/// each other's work: named as `next_…`, then in force with its predecessor among the `old_…`,
/// then alone.
#[derive(Clone, Deserialize)]
pub struct Secrets {
    /// Signs session tokens; the keys of forms and of stored requests are derived from it.
    #[serde(deserialize_with = "secret")]
    pub token_key: SecretString,
    /// The key that signs after this one; accepted already. Empty for none.
    #[serde(deserialize_with = "secret")]
    pub next_token_key: SecretString,
    /// Keys that signed before and are accepted still, one on each line.
    #[serde(deserialize_with = "secret")]
    pub old_token_keys: SecretString,
    /// Goes into every new password hash.
    #[serde(deserialize_with = "secret")]
    pub pepper: SecretString,
    /// The pepper after this one; known already. Empty for none.
    #[serde(deserialize_with = "secret")]
    pub next_pepper: SecretString,
    /// Peppers of hashes that were not renewed yet, the oldest first, one on each line.
    #[serde(deserialize_with = "secret")]
    pub old_peppers: SecretString,
}

/// The settings that hold secrets, each of which may come from a file: `FAREBOX__…_FILE` names it.
pub(super) const FROM_FILES: [&str; 9] = [
    "secrets.token_key",
    "secrets.next_token_key",
    "secrets.old_token_keys",
    "secrets.pepper",
    "secrets.next_pepper",
    "secrets.old_peppers",
    "redis.url",
    "database.replica_url",
    "otel.headers",
];

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// A secret with those that are accepted beside it.
#[derive(Clone)]
pub struct Ring {
    /// In force.
    pub current: SecretString,
    /// In force later.
    pub next: Option<SecretString>,
    /// In force before, the oldest first.
    pub old: Vec<SecretString>,
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ring(..)")
    }
}

impl Ring {
    /// A secret alone.
    pub fn alone(secret: &str) -> Self {
        Self { current: secret.into(), next: None, old: Vec::new() }
    }

    fn new(current: &SecretString, next: &SecretString, old: &SecretString) -> Self {
        let lines = old.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty());
        Self {
            current: current.clone(),
            next: Some(next.clone()).filter(|next| !next.expose_secret().is_empty()),
            old: lines.map(SecretString::from).collect(),
        }
    }

    /// All of them, the one in force first.
    pub fn all(&self) -> impl Iterator<Item = &SecretString> {
        std::iter::once(&self.current).chain(&self.next).chain(&self.old)
    }
}

impl Secrets {
    /// The keys of tokens.
    pub fn token_keys(&self) -> Ring {
        Ring::new(&self.token_key, &self.next_token_key, &self.old_token_keys)
    }

    /// The peppers.
    pub fn peppers(&self) -> Ring {
        Ring::new(&self.pepper, &self.next_pepper, &self.old_peppers)
    }

    /// Whether neither the token key nor the pepper is set.
    pub fn are_unset(&self) -> bool {
        self.token_key.expose_secret().is_empty() && self.pepper.expose_secret().is_empty()
    }

    /// Refuses missing and short secrets, and in production weak and equal ones.
    ///
    /// # Errors
    /// Names the setting and the rule, and never the secret.
    pub(super) fn check(&self, environment: Environment) -> Result<(), SettingsError> {
        let all = [("TOKEN_KEY", self.token_keys()), ("PEPPER", self.peppers())];
        let names = |what: &str| {
            let old = format!("FAREBOX__SECRETS__OLD_{what}S");
            (format!("FAREBOX__SECRETS__{what}"), format!("FAREBOX__SECRETS__NEXT_{what}"), old)
        };
        let mut seen = BTreeSet::new();
        for (what, ring) in &all {
            let (current, next, old) = names(what);
            let named = std::iter::once((&current, &ring.current))
                .chain(ring.next.as_ref().map(|secret| (&next, secret)))
                .chain(ring.old.iter().map(|secret| (&old, secret)));
            for (name, secret) in named {
                let secret = secret.expose_secret();
                // Without the old pepper, however weak, its hashes match no password. An old token
                // key signs as well as one in force.
                let rule = weakness(secret, environment).filter(|_| *name != old || *what != "PEPPER");
                if let Some(rule) = rule {
                    return Err(SettingsError::Refused(format!("{name} {rule}")));
                }
                if !seen.insert(secret.to_owned()) && environment.is_production() {
                    return Err(SettingsError::Refused(format!("{name} must differ from all other secrets")));
                }
            }
        }
        Ok(())
    }
}

/// What is wrong with a secret.
fn weakness(secret: &str, environment: Environment) -> Option<String> {
    let least = if environment.is_production() { MIN_CHARS_IN_PRODUCTION } else { MIN_CHARS };
    if secret.chars().count() < least {
        return Some(format!("must be set to at least {least} characters"));
    }
    if !environment.is_production() {
        return None;
    }
    let different = secret.chars().collect::<BTreeSet<_>>().len();
    let weak = different < MIN_DIFFERENT || period(secret.as_bytes()) < MIN_CHARS;
    weak.then(|| "must be random, and not a few characters repeated: openssl rand -hex 32".to_owned())
}

/// The length of the shortest text whose repetition begins with this one.
fn period(text: &[u8]) -> usize {
    let repeats = |length: &usize| text.iter().zip(text.iter().skip(*length)).all(|(a, b)| a == b);
    (1..text.len()).find(repeats).unwrap_or(text.len())
}

/// Reads a secret, which must be a text: a number has lost digits before it is read.
pub(super) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    struct Text;

    impl de::Visitor<'_> for Text {
        type Value = SecretString;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a secret as a text, in quotes")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretString, E> {
            Ok(text.into())
        }

        fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretString, E> {
            Err(E::custom("a secret is a text: put it into quotes"))
        }

        fn visit_u64<E: de::Error>(self, _: u64) -> Result<SecretString, E> {
            self.visit_i64(0)
        }

        fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretString, E> {
            self.visit_i64(0)
        }

        fn visit_bool<E: de::Error>(self, _: bool) -> Result<SecretString, E> {
            self.visit_i64(0)
        }
    }

    deserializer.deserialize_any(Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(token_key: &str, pepper: &str) -> Secrets {
        let none = || SecretString::from("");
        Secrets {
            token_key: token_key.into(),
            next_token_key: none(),
            old_token_keys: none(),
            pepper: pepper.into(),
            next_pepper: none(),
            old_peppers: none(),
        }
    }

    #[test]
    fn weak_and_equal_secrets_are_refused_in_production() {
        let (good, other) = ("3f9c1d0b7a5e48262f6b8d0c9e7a1b43", "a0b1c2d3e4f5061728394a5b6c7d8e9f");
        let check = |key: &str, pepper: &str| {
            secrets(key, pepper).check(Environment::Production).map_err(|error| error.to_string())
        };
        check(good, other).expect("two good ones");
        check("31415926535897932384626433832795", good).expect("digits alone");
        for (weak, part) in [
            ("", "at least 32"),
            (&good[..31], "at least 32"),
            (&"a".repeat(64), "random"),
            (&"0123456789ab".repeat(4), "random"),
            (&"abcdefg".repeat(8), "random"),
            (good, "differ"),
        ] {
            let said = check(good, weak).expect_err(weak);
            assert!(said.contains("FAREBOX__SECRETS__PEPPER") && said.contains(part), "{said}");
            assert!(weak.is_empty() || !said.contains(weak), "{said}");
        }
        assert!(check(&"a".repeat(64), good).expect_err("the key").contains("TOKEN_KEY"));
        let mut rotating = secrets(good, other);
        rotating.old_peppers = "a weak old pepper\n".into();
        rotating.check(Environment::Production).expect("an old pepper is needed, however weak it is");
        rotating.old_token_keys = format!("{}\n{good}\n", "x".repeat(40)).into();
        assert!(
            rotating.check(Environment::Production).expect_err("an old key").to_string().contains("OLD_")
        );
        secrets(&"a".repeat(16), &"a".repeat(16)).check(Environment::Development).expect("development");
    }
}
