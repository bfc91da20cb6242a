//! What pages show each second, read less often.

use super::{History, Pause, Range, history, pauses};
use sqlx::PgPool;
use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// What was read last, and when.
type Cached<T> = Mutex<Option<(Instant, Arc<T>)>>;

/// A history that is this many times as old as it may be is not shown any more.
const OUTDATED: u32 = 5;

/// The histories of the ranges, each read at most as often as its bars change: charts are rendered
/// each second for every operator who has them open. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct CachedHistory(Arc<[Kept; 3]>);

/// The history of one range.
#[derive(Debug, Default)]
struct Kept {
    last: std::sync::Mutex<Option<(Instant, Arc<History>)>>,
    /// One reading at a time.
    turn: Mutex<()>,
}

impl Kept {
    /// What was read last, unless it is older than this.
    fn last(&self, max_age: Duration) -> Option<Arc<History>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(at, _)| at.elapsed() < max_age).map(|(_, history)| Arc::clone(history))
    }

    async fn read(&self, pool: &PgPool, range: Range) -> Result<Arc<History>, sqlx::Error> {
        let at = Instant::now();
        let history = Arc::new(history(pool, range).await?);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((at, Arc::clone(&history)));
        Ok(history)
    }
}

impl CachedHistory {
    /// A range. What is a little too old is shown once more, while a task reads it again; it reads one
    /// history at a time, and ends with it. Otherwise concurrent callers wait for one reading.
    ///
    /// # Errors
    /// The database's; nothing is cached then.
    pub async fn read(&self, pool: &PgPool, range: Range) -> Result<Arc<History>, sqlx::Error> {
        let kept = &self.0[range as usize];
        if let Some(history) = kept.last(range.max_age()) {
            return Ok(history);
        }
        if let Some(history) = kept.last(range.max_age() * OUTDATED) {
            let (all, pool) = (Arc::clone(&self.0), pool.clone());
            tokio::spawn(async move {
                let kept = &all[range as usize];
                let Ok(_turn) = kept.turn.try_lock() else { return };
                if kept.last(range.max_age()).is_none() {
                    // The next reader tries again, and has the error once this one is outdated.
                    drop(kept.read(&pool, range).await);
                }
            });
            return Ok(history);
        }
        let _turn = kept.turn.lock().await;
        match kept.last(range.max_age()) {
            Some(history) => Ok(history),
            None => kept.read(pool, range).await,
        }
    }
}

/// The pauses, read at most once a second: every page shows them. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct CachedPauses(Arc<Cached<Vec<Pause>>>);

impl CachedPauses {
    /// The pauses, at most a second old. Concurrent callers wait for one reading.
    ///
    /// # Errors
    /// The database's; nothing is cached then.
    pub async fn read(&self, pool: &PgPool) -> Result<Arc<Vec<Pause>>, sqlx::Error> {
        let mut last = self.0.lock().await;
        if let Some((_, pauses)) = last.as_ref().filter(|(at, _)| at.elapsed() < Duration::from_secs(1)) {
            return Ok(Arc::clone(pauses));
        }
        let at = Instant::now();
        let pauses = Arc::new(pauses(pool).await?);
        *last = Some((at, Arc::clone(&pauses)));
        Ok(pauses)
    }

    /// Has them read again: after a change of them, the next page shows it. Safe to drop.
    pub async fn forget(&self) {
        *self.0.lock().await = None;
    }
}
