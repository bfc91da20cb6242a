//! Argon2id with a server-side pepper, on a bounded number of blocking threads: hashing is bought with memory and
//! time, and must never be done inside a transaction or on a request thread.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString, rand_core::OsRng},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::JoinSet};

/// Any error, boxed.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long a hash may wait for its turn before the request is given up.
const LONGEST_QUEUE: Duration = Duration::from_secs(5);

/// What one hash costs.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Hashes at once.
    pub parallel: usize,
}

/// So many passwords wait to be checked that this one did not get its turn in time.
#[derive(Debug, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct Busy;

/// Hashes and verifies passwords.
#[derive(Clone)]
pub struct Passwords(Arc<Inner>);

struct Inner {
    pepper: Vec<u8>,
    params: Params,
    turns: Semaphore,
}

impl Passwords {
    /// With the pepper (never printed, never stored with the hashes) and the cost of one hash.
    ///
    /// # Errors
    /// A cost outside what Argon2 allows.
    pub fn new(pepper: &[u8], cost: Cost) -> Result<Self, BoxError> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(|e| e.to_string())?;
        let turns = Semaphore::new(cost.parallel.max(1));
        Ok(Self(Arc::new(Inner { pepper: pepper.to_vec(), params, turns })))
    }

    /// A hash in PHC form with a fresh salt.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn hash(&self, password: &str) -> Result<String, BoxError> {
        self.in_turn(password, |inner, password| {
            let salt = SaltString::generate(&mut OsRng);
            inner.argon2()?.hash_password(password, &salt).map(|hash| hash.to_string()).map_err(text)
        })
        .await
    }

    /// Whether the password is the one hashed.
    ///
    /// # Errors
    /// [`Busy`], or a stored hash that does not parse.
    pub async fn verify(&self, password: &str, hash: &str) -> Result<bool, BoxError> {
        let hash = hash.to_owned();
        self.in_turn(password, move |inner, password| {
            let parsed = PasswordHash::new(&hash).map_err(text)?;
            match inner.argon2()?.verify_password(password, &parsed) {
                Ok(()) => Ok(true),
                Err(argon2::password_hash::Error::Password) => Ok(false),
                Err(error) => Err(text(error)),
            }
        })
        .await
    }

    /// How many passwords are hashed a second with `clients` at it all the time, and how long one waits for its answer, the
    /// median: measured for `time`.
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
                    let asked = Instant::now();
                    passwords.hash("a password of some length").await?;
                    waits.push(asked.elapsed());
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

    async fn in_turn<T: Send + 'static>(
        &self,
        password: &str,
        work: impl FnOnce(&Inner, &[u8]) -> Result<T, BoxError> + Send + 'static,
    ) -> Result<T, BoxError> {
        let turn = tokio::time::timeout(LONGEST_QUEUE, self.0.turns.acquire()).await;
        let _turn = turn.map_err(|_| Busy)??;
        let (inner, password) = (Arc::clone(&self.0), password.as_bytes().to_vec());
        tokio::task::spawn_blocking(move || work(&inner, &password)).await?
    }
}

impl Inner {
    fn argon2(&self) -> Result<Argon2<'_>, BoxError> {
        Argon2::new_with_secret(&self.pepper, Algorithm::Argon2id, Version::V0x13, self.params.clone())
            .map_err(|e| e.to_string().into())
    }
}

/// The crate's errors do not implement `Error` in this build of it.
fn text(error: argon2::password_hash::Error) -> BoxError {
    error.to_string().into()
}
