//! Connections that stay at hand from one statement to the next.
//!
//! A pool's connection is asked for a sign of life whenever it is given back: one more round trip for every statement, and
//! for the server one more message. The steps' statements follow each other so closely that a few connections are never
//! idle for long; those are kept out of the pool, the last used first, whose plans the processor still has near. A statement
//! that fails gives its connection back to the pool, which looks whether it still lives.

use crate::storage::predates_outage;
use sqlx::{PgConnection, PgPool, Postgres, pool::PoolConnection};
use std::{
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Of the pool's connections, one of so many may be kept.
const SHARE: u32 = 4;
/// How long a connection is kept out of the pool, which has its own rules for when one has lived long enough.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// The pool, and the connections that are kept out of it.
pub struct AtHand {
    pool: PgPool,
    kept: Mutex<Vec<Kept>>,
    most: usize,
}

/// A connection that was taken out of the pool.
struct Kept {
    conn: PoolConnection<Postgres>,
    since: Instant,
}

/// A connection for one statement. Safe to drop, in a statement as well: the hand is dropped with it, and the pool
/// reads what the server still answers, and pings, before it lends the connection again.
pub struct Hand<'a> {
    kept: Kept,
    of: &'a AtHand,
}

impl AtHand {
    /// Of this pool.
    pub fn new(pool: PgPool) -> Self {
        let most = usize::try_from(pool.options().get_max_connections() / SHARE).unwrap_or(0);
        Self { pool, kept: Mutex::default(), most }
    }

    /// One that is at hand, or one of the pool's.
    ///
    /// # Errors
    /// The pool's.
    pub async fn take(&self) -> Result<Hand<'_>, sqlx::Error> {
        let last = self.lock().pop().filter(Kept::is_good);
        let kept = match last {
            Some(kept) => kept,
            None => Kept { conn: self.pool.acquire().await?, since: Instant::now() },
        };
        Ok(Hand { kept, of: self })
    }

    /// The pool itself, for a transaction: [`begin`](crate::storage::begin) needs a connection that nobody else can drop.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn is_good(&self) -> bool {
        self.since.elapsed() < KEPT_FOR && !predates_outage(self.since.elapsed())
    }
}

impl Hand<'_> {
    /// The statement went well: the next may have this connection. Without this it goes back to the pool.
    pub fn keep(self) {
        let mut kept = self.of.lock();
        if kept.len() < self.of.most {
            kept.push(self.kept);
        }
    }
}

impl Deref for Hand<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.kept.conn
    }
}

impl DerefMut for Hand<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.kept.conn
    }
}
