//! Argon2id with a server-side pepper, on a bounded number of blocking threads. Hashing takes time
//! and memory on purpose, and must never run inside a transaction or on a request's thread. The
//! order of waiting hashes is in `hash_queue.rs`.
//!
//! A password is prepared as in RFC 8265 (`OpaqueString`): in NFC, and with blanks of other scripts
//! as U+0020. Keyboards encode é differently, and the password must be the same on each.
//!
//! The memory of a hash is reused by the next one. Returned to the allocator, it would stay with
//! the thread that had it, and blocking threads are many.

pub use super::hash_queue::{Busy, HashPlace, HashQueue};
pub use crate::settings::Cost;

use super::hash_queue::HashTurns;
use crate::domain::BoxError;
use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{Output, ParamsString, PasswordHash, Salt, SaltString, rand_core::OsRng},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::{
    borrow::Cow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::task::JoinSet;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Hashes and verifies passwords, in one of the queues.
#[derive(Clone)]
pub struct Passwords(Arc<Inner>, HashQueue);

struct Inner {
    pepper: Vec<u8>,
    params: Params,
    turns: Arc<HashTurns>,
    /// Memory that is not in use, at most one list for each hash that may run.
    memory: Mutex<Vec<Vec<Block>>>,
}

impl Passwords {
    /// With the pepper (never printed, never stored with the hashes) and the cost of one hash.
    ///
    /// # Errors
    /// A cost that Argon2 refuses.
    pub fn new(pepper: &[u8], cost: Cost) -> Result<Self, BoxError> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(|e| e.to_string())?;
        let turns = HashTurns::new(cost.parallel);
        let inner = Inner { pepper: pepper.to_vec(), params, turns, memory: Mutex::default() };
        Ok(Self(Arc::new(inner), HashQueue::default()))
    }

    /// The same, but its hashes wait in this queue.
    #[must_use]
    pub fn in_queue(&self, queue: HashQueue) -> Self {
        Self(Arc::clone(&self.0), queue)
    }

    /// Takes a place in the queue before work is done for a request, held until its hash is done.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn enter(&self) -> Result<HashPlace, Busy> {
        self.0.turns.enter(self.1)
    }

    /// A hash in PHC form with a fresh salt.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn hash(&self, password: &str) -> Result<String, BoxError> {
        self.run_bounded(&prepared(password), |inner, memory, password| {
            let salt = SaltString::generate(&mut OsRng);
            let argon2 = inner.argon2(Algorithm::Argon2id, Version::V0x13, inner.params.clone())?;
            let output = output(&argon2, memory, password, salt.as_salt(), Params::DEFAULT_OUTPUT_LEN)?;
            let hash = PasswordHash {
                algorithm: Algorithm::Argon2id.ident(),
                version: Some(Version::V0x13.into()),
                params: ParamsString::try_from(&inner.params).map_err(text)?,
                salt: Some(salt.as_salt()),
                hash: Some(output),
            };
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether the password matches the hash. Hashes from before passwords were prepared match the
    /// password as typed; for an ASCII password that is the same and costs nothing.
    ///
    /// # Errors
    /// [`Busy`], or a stored hash that does not parse.
    pub async fn verify(&self, password: &str, hash: &str) -> Result<bool, BoxError> {
        let prepared = prepared(password);
        Ok(self.is_hashed(&prepared, hash).await?
            || prepared != password && self.is_hashed(password, hash).await?)
    }

    /// Does as much work as [`Self::verify`] for a wrong password, for an unknown name.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn verify_dummy(&self, password: &str) -> Result<(), BoxError> {
        self.hash(password).await?;
        if prepared(password) != password {
            self.hash(password).await?;
        }
        Ok(())
    }

    /// A keyed digest (32 bytes) of secrets: a plain digest of six digits could be found by trying.
    /// The parts are separated by their lengths, and `purpose` keeps the digests of different
    /// purposes apart.
    ///
    /// # Errors
    /// None in practice: HMAC takes a key of any length.
    pub fn digest(&self, purpose: &str, parts: &[&str]) -> Result<Vec<u8>, BoxError> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0.pepper)?;
        for part in [purpose].iter().chain(parts) {
            mac.update(&u64::try_from(part.len())?.to_be_bytes());
            mac.update(part.as_bytes());
        }
        Ok(mac.finalize().into_bytes().to_vec())
    }

    async fn is_hashed(&self, password: &str, hash: &str) -> Result<bool, BoxError> {
        let hash = hash.to_owned();
        self.run_bounded(password, move |inner, memory, password| {
            let stored = PasswordHash::new(&hash).map_err(text)?;
            let (Some(salt), Some(expected)) = (stored.salt, stored.hash) else { return Ok(false) };
            let algorithm = Algorithm::try_from(stored.algorithm).map_err(text)?;
            let version = stored.version.map(Version::try_from).transpose().map_err(|e| e.to_string())?;
            let params = Params::try_from(&stored).map_err(text)?;
            let argon2 = inner.argon2(algorithm, version.unwrap_or_default(), params)?;
            // Outputs are compared in constant time.
            Ok(output(&argon2, memory, password, salt, expected.len())? == expected)
        })
        .await
    }

    /// Measures for `time` how many passwords `clients` concurrent clients hash in a second, and
    /// their median wait.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn measure(&self, clients: usize, time: Duration) -> Result<(f64, Duration), BoxError> {
        let begun = Instant::now();
        let mut hashing = JoinSet::new();
        for _ in 0..clients {
            let passwords = self.clone();
            hashing.spawn(async move {
                let mut waits = Vec::new();
                while begun.elapsed() < time {
                    let started = Instant::now();
                    passwords.hash("a password of some length").await?;
                    waits.push(started.elapsed());
                }
                Ok::<_, BoxError>(waits)
            });
        }
        let mut waits = Vec::new();
        while let Some(client) = hashing.join_next().await {
            waits.append(&mut client??);
        }
        waits.sort_unstable();
        let median = waits.get(waits.len() / 2).copied().unwrap_or_default();
        Ok((waits.len() as f64 / begun.elapsed().as_secs_f64(), median))
    }

    async fn run_bounded<T: Send + 'static>(
        &self,
        password: &str,
        work: impl FnOnce(&Inner, &mut Vec<Block>, &[u8]) -> Result<T, BoxError> + Send + 'static,
    ) -> Result<T, BoxError> {
        let turn = self.0.turns.take(self.1).await?;
        let (inner, password) = (Arc::clone(&self.0), password.as_bytes().to_vec());
        tokio::task::spawn_blocking(move || {
            let mut memory = inner.memory().pop().unwrap_or_default();
            let done = work(&inner, &mut memory, &password);
            inner.memory().push(memory);
            // The caller may have been dropped: the turn ends here.
            drop(turn);
            done
        })
        .await?
    }
}

impl Inner {
    fn memory(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn argon2(&self, algorithm: Algorithm, version: Version, params: Params) -> Result<Argon2<'_>, BoxError> {
        Argon2::new_with_secret(&self.pepper, algorithm, version, params).map_err(|e| e.to_string().into())
    }
}

/// The password as it is hashed: in NFC, each blank of another script as U+0020.
fn prepared(password: &str) -> Cow<'_, str> {
    let is_blank =
        |c: char| c.is_whitespace() && !c.is_control() && !matches!(c, ' ' | '\u{2028}' | '\u{2029}');
    if password.is_ascii() || is_nfc(password) && !password.contains(is_blank) {
        return Cow::Borrowed(password);
    }
    Cow::Owned(password.chars().map(|c| if is_blank(c) { ' ' } else { c }).nfc().collect())
}

/// The first `len` bytes of Argon2's output. The crate's own function allocates new memory each
/// time.
fn output(
    argon2: &Argon2<'_>,
    memory: &mut Vec<Block>,
    password: &[u8],
    salt: Salt<'_>,
    len: usize,
) -> Result<Output, BoxError> {
    let mut salt_bytes = [0; Salt::MAX_LENGTH];
    let salt = salt.decode_b64(&mut salt_bytes).map_err(text)?;
    memory.resize(argon2.params().block_count(), Block::default());
    Output::init_with(len, |out| Ok(argon2.hash_password_into_with_memory(password, salt, out, memory)?))
        .map_err(text)
}

/// The crate's errors do not implement `Error` in this build of it.
fn text(error: argon2::password_hash::Error) -> BoxError {
    error.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 64, passes: 2, parallel: 1 };

    #[test]
    fn a_password_is_the_same_however_its_letters_are_put_together() {
        assert_eq!(prepared("cafe\u{301} au\u{3000}lait"), "caf\u{e9} au lait");
        for same in ["correct horse", "caf\u{e9}", "\u{ff21}bc", "PASS\u{df}", "a\tb"] {
            assert_eq!(prepared(same), same, "no case, no width, nothing else is folded");
        }
    }

    #[tokio::test]
    async fn a_password_that_was_hashed_as_typed_is_still_known() -> Result<(), BoxError> {
        let passwords = Passwords::new(b"pepper", CHEAP)?;
        let typed = "cafe\u{301} noir";
        let old = passwords
            .run_bounded(typed, |inner, memory, password| {
                let argon2 = inner.argon2(Algorithm::Argon2id, Version::V0x13, inner.params.clone())?;
                let salt = SaltString::generate(&mut OsRng);
                let output = output(&argon2, memory, password, salt.as_salt(), Params::DEFAULT_OUTPUT_LEN)?;
                Ok(format!("$argon2id$v=19$m=64,t=2,p=1${salt}${output}"))
            })
            .await?;
        assert!(passwords.verify(typed, &old).await?);
        assert!(!passwords.verify("cafe noir", &old).await?);
        let new = passwords.hash(typed).await?;
        assert!(passwords.verify("caf\u{e9} noir", &new).await? && passwords.verify(typed, &new).await?);
        Ok(())
    }

    #[tokio::test]
    async fn memory_that_was_used_before_changes_no_hash() -> Result<(), BoxError> {
        let (first, other) = (Passwords::new(b"pepper", CHEAP)?, Passwords::new(b"pepper", CHEAP)?);
        let hash = first.hash("correct horse").await?;
        for password in ["correct horse", "another", "correct horse"] {
            assert_eq!(first.verify(password, &hash).await?, password == "correct horse");
        }
        assert!(other.verify("correct horse", &hash).await?, "and in memory that was not");
        let dearer = Passwords::new(b"pepper", Cost { memory_kib: 128, ..CHEAP })?;
        let dear = dearer.hash("correct horse").await?;
        assert!(first.verify("correct horse", &dear).await?, "whatever it cost");
        assert!(first.verify("correct horse", &hash).await?);
        assert!(!Passwords::new(b"salt", CHEAP)?.verify("correct horse", &hash).await?);
        assert_eq!(first.0.memory().len(), CHEAP.parallel);
        Ok(())
    }
}
