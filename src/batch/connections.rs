//! A cache of connections in front of the pool.
//!
//! A pool pings each connection that is returned: one more round trip for every statement. The
//! statements of the steps follow each other so closely that a few connections are never idle for
//! long. Those stay out of the pool; the last one released is acquired first, since the processor
//! still caches its plans. A connection whose statement failed goes back to the pool, which pings it.

use crate::storage::{predates_outage, waits_for_connection};
use sqlx::{PgConnection, PgPool, Postgres, pool::PoolConnection};
use std::{
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Share of the pool that may be cached: one connection in four. The others serve transactions.
const POOL_FRACTION: u32 = 4;
/// How long a connection stays out of the pool, which has its own limit of a connection's age.
const MAX_AGE: Duration = Duration::from_secs(60);

/// The pool, and the connections that are cached outside of it.
pub struct ConnectionCache {
    pool: PgPool,
    idle: Mutex<Vec<Acquired>>,
    capacity: usize,
}

/// A connection that was acquired from the pool.
struct Acquired {
    conn: PoolConnection<Postgres>,
    at: Instant,
}

/// A connection for one statement. Safe to drop, in a statement as well: the connection returns to
/// the pool, which reads what the server still sends, and pings, before it lends it again.
pub struct CachedConnection<'a> {
    acquired: Acquired,
    cache: &'a ConnectionCache,
}

impl ConnectionCache {
    /// An empty cache in front of this pool.
    pub fn new(pool: PgPool) -> Self {
        let capacity = usize::try_from(pool.options().get_max_connections() / POOL_FRACTION).unwrap_or(0);
        Self { pool, idle: Mutex::default(), capacity }
    }

    /// A cached connection, or one of the pool's.
    ///
    /// # Errors
    /// The pool's: no connection in time.
    pub async fn acquire(&self) -> Result<CachedConnection<'_>, sqlx::Error> {
        let last = self.lock().pop().filter(Acquired::is_usable);
        let acquired = match last {
            Some(acquired) => acquired,
            None => {
                let conn = waits_for_connection(self.pool.acquire()).await?;
                Acquired { conn, at: Instant::now() }
            }
        };
        Ok(CachedConnection { acquired, cache: self })
    }

    /// The pool itself, for a transaction: [`begin`](crate::storage::begin) needs a connection that
    /// only the transaction can drop.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Connections that are cached now.
    pub fn idle(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Acquired>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Acquired {
    fn is_usable(&self) -> bool {
        self.at.elapsed() < MAX_AGE && !predates_outage(self.at.elapsed())
    }
}

impl CachedConnection<'_> {
    /// Returns the connection to the cache after a statement that succeeded. Without this call it
    /// returns to the pool.
    pub fn release(self) {
        let mut idle = self.cache.lock();
        if idle.len() < self.cache.capacity {
            idle.push(self.acquired);
        }
    }
}

impl Deref for CachedConnection<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.acquired.conn
    }
}

impl DerefMut for CachedConnection<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.acquired.conn
    }
}
