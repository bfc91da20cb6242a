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

use super::{hash_queue::HashTurns, peppers::Peppers, phc::StoredHash};
use crate::domain::BoxError;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use rand::{TryRngCore, rngs::OsRng};
use std::{
    borrow::Cow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::task::JoinSet;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Bytes of a salt.
const SALT_BYTES: usize = 16;

/// Hashes and verifies passwords, in one of the queues.
#[derive(Clone)]
pub struct Passwords(Arc<Inner>, HashQueue);

struct Inner {
    peppers: Peppers,
    params: Params,
    turns: Arc<HashTurns>,
    /// Memory that is not in use, at most one list for each hash that may run.
    memory: Mutex<Vec<Vec<Block>>>,
}

impl Passwords {
    /// With the peppers (never printed, never stored with the hashes) and the cost of one hash.
    ///
    /// # Errors
    /// A cost that Argon2 refuses.
    pub fn new(peppers: impl Into<Peppers>, cost: Cost) -> Result<Self, BoxError> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(|e| e.to_string())?;
        let turns = HashTurns::new(cost.parallel);
        let inner = Inner { peppers: peppers.into(), params, turns, memory: Mutex::default() };
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

    /// A hash in PHC form with a fresh salt and the pepper in force.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn hash(&self, password: &str) -> Result<String, BoxError> {
        self.run_bounded(&prepared(password), |inner, memory, password| {
            let mut salt = vec![0; SALT_BYTES];
            OsRng.try_fill_bytes(&mut salt)?;
            let (params, pepper) = (&inner.params, inner.peppers.current());
            let mut hash = StoredHash {
                algorithm: Algorithm::Argon2id,
                version: Version::V0x13,
                memory_kib: params.m_cost(),
                passes: params.t_cost(),
                lanes: params.p_cost(),
                pepper: Some(pepper.id.clone()),
                salt,
                output: vec![0; Params::DEFAULT_OUTPUT_LEN],
            };
            hash.output = output(&hash, pepper.secret(), memory, password)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether a hash is to be renewed when its password is known again: it has an old pepper, or
    /// cost less than a hash costs now.
    pub fn is_outdated(&self, hash: &str) -> bool {
        let Self(inner, _) = self;
        StoredHash::read(hash).is_ok_and(|stored| {
            inner.peppers.is_old(stored.pepper.as_deref())
                || stored.memory_kib < inner.params.m_cost()
                || stored.passes < inner.params.t_cost()
        })
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

    /// Keyed digests (32 bytes each) of secrets: a plain digest of six digits could be found by
    /// trying. The first is the one to store; a stored one may be any of them, as peppers change.
    /// The parts are separated by their lengths, and `purpose` keeps the digests of different
    /// purposes apart.
    pub fn digests(&self, purpose: &str, parts: &[&str]) -> Vec<Vec<u8>> {
        let parts: Vec<&str> = std::iter::once(purpose).chain(parts.iter().copied()).collect();
        let lengths: Vec<[u8; 8]> = parts.iter().map(|part| (part.len() as u64).to_be_bytes()).collect();
        let pairs = lengths.iter().zip(&parts);
        let bytes: Vec<&[u8]> =
            pairs.flat_map(|(length, part)| [length.as_slice(), part.as_bytes()]).collect();
        self.0.peppers.digests(&bytes)
    }

    /// The digests of [`Self::digests`] by keys that were derived from the peppers alone: for what no version
    /// up to 0.2.0 has made.
    pub fn derived(&self, purpose: &str, parts: &[&str]) -> Vec<Vec<u8>> {
        let mut digests = self.digests(purpose, parts);
        digests.pop();
        digests
    }

    async fn is_hashed(&self, password: &str, hash: &str) -> Result<bool, BoxError> {
        let stored = StoredHash::read(hash)?;
        self.run_bounded(password, move |inner, memory, password| {
            let Some(pepper) = inner.peppers.of(stored.pepper.as_deref()) else {
                tracing::warn!(pepper = stored.pepper, "a password hash has a pepper that is not set here");
                // As much work as for any other wrong password.
                output(&stored, inner.peppers.current().secret(), memory, password)?;
                return Ok(false);
            };
            let found = output(&stored, pepper.secret(), memory, password)?;
            // Compared in constant time.
            let differences = found.iter().zip(&stored.output).fold(0, |all, (a, b)| all | (a ^ b));
            Ok(differences == 0)
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

/// Argon2's output, as long as the hash's. The crate's own function allocates new memory each time.
fn output(
    hash: &StoredHash,
    pepper: &[u8],
    memory: &mut Vec<Block>,
    password: &[u8],
) -> Result<Vec<u8>, BoxError> {
    let argon2 = Argon2::new_with_secret(pepper, hash.algorithm, hash.version, hash.params()?)?;
    memory.resize(argon2.params().block_count(), Block::default());
    let mut output = vec![0; hash.output.len()];
    argon2.hash_password_into_with_memory(password, &hash.salt, &mut output, memory)?;
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Ring;

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
        // As versions before passwords were prepared wrote it, without the id of its pepper.
        let mut old = StoredHash::read("$argon2id$v=19$m=64,t=2,p=1$YWJjZGVmZ2hpamtsbW5vcA$MTIzNDU2Nzg")?;
        old.output = vec![0; Params::DEFAULT_OUTPUT_LEN];
        old.output = output(&old, b"pepper", &mut Vec::new(), typed.as_bytes())?;
        let old = old.to_string();
        assert!(passwords.is_outdated(&old), "it does not say which pepper it has");
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

    #[tokio::test]
    async fn a_hash_keeps_its_pepper_until_it_is_renewed() -> Result<(), BoxError> {
        let (first, second) = (Ring::alone("the first pepper"), Ring::alone("the second pepper"));
        let before = Passwords::new(&first, CHEAP)?;
        let coming = Passwords::new(&Ring { next: Some(second.current.clone()), ..first.clone() }, CHEAP)?;
        let rotated = Passwords::new(&Ring { old: vec![first.current.clone()], ..second.clone() }, CHEAP)?;
        let after = Passwords::new(&second, CHEAP)?;
        let (old, new) = (before.hash("correct horse").await?, rotated.hash("correct horse").await?);
        for passwords in [&before, &coming, &rotated] {
            assert!(passwords.verify("correct horse", &old).await?);
        }
        for passwords in [&coming, &rotated, &after] {
            assert!(passwords.verify("correct horse", &new).await?);
            assert!(!passwords.verify("another horse", &new).await?);
        }
        assert!(!after.verify("correct horse", &old).await? && !before.verify("correct horse", &new).await?);
        assert!(rotated.is_outdated(&old) && !rotated.is_outdated(&new));
        assert!(!coming.is_outdated(&old) && !coming.is_outdated(&new), "it is in force elsewhere");
        let dearer = Passwords::new(&first, Cost { passes: 3, ..CHEAP })?;
        assert!(dearer.is_outdated(&old) && !before.is_outdated(&dearer.hash("correct horse").await?));
        // A hash without an id has the oldest pepper.
        let unnamed = StoredHash { pepper: None, ..StoredHash::read(&old)? }.to_string();
        assert!(rotated.verify("correct horse", &unnamed).await?);
        let (stored, parts) = (before.digests("purpose", &["a", "b"]), ["a", "b"]);
        assert!(rotated.digests("purpose", &parts).contains(&stored[0]), "a digest outlives the change");
        assert_ne!(before.digests("purpose", &["ab"])[0], stored[0]);
        Ok(())
    }
}
