//! Counts that take longer than a page may. They are made in the background, one at a time in a process,
//! and are shown with the time at which they were made.

use chrono::{DateTime, Utc};
use sqlx::Error;
use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout},
};

/// Counts that a process keeps. The one that was read longest ago makes room.
const MAX_KEPT: usize = 32;
/// A count is made again when it is this many times as old as it took: one is made a twentieth of the
/// time.
const AGE_FACTOR: u32 = 19;
/// The youngest count that is made again.
const MIN_AGE: Duration = Duration::from_secs(2);
/// The oldest count that is shown as it is.
const MAX_AGE: Duration = Duration::from_secs(60);
/// How long a page waits for a count that was never made.
const PATIENCE: Duration = Duration::from_millis(20);
/// A count that nobody has read for so long is given up.
const ABANDONED_AFTER: Duration = Duration::from_secs(30);

/// A count, as far as it is.
#[derive(Clone, Debug)]
pub struct Counted<T> {
    /// The last whole count. While the first one is made: what it has counted so far.
    pub value: T,
    /// Whether it is whole.
    pub is_whole: bool,
    /// When it was begun, if it was made in the background.
    pub at: Option<DateTime<Utc>>,
    /// For how long it is shown.
    pub max_age: Duration,
}

impl<T> Counted<T> {
    /// A count of this moment.
    pub fn now(value: T) -> Self {
        Self { value, is_whole: true, at: None, max_age: Duration::ZERO }
    }
}

/// A whole count.
#[derive(Clone)]
struct Whole<T> {
    value: T,
    at: DateTime<Utc>,
    begun: Instant,
    max_age: Duration,
}

/// What is known of one count.
struct State<T> {
    so_far: T,
    whole: Option<Whole<T>>,
    /// What the last one failed with, for the next reader.
    error: Option<Error>,
    is_running: bool,
    read: Instant,
}

type Entry<T> = Arc<watch::Sender<State<T>>>;

/// The counts of one kind, by what they count. Clones share them.
pub(super) struct Counts<T>(Arc<Kept<T>>);

struct Kept<T> {
    entries: Mutex<Vec<(String, Entry<T>)>>,
    turn: Semaphore,
}

impl<T> Clone for Counts<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Counts<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counts")
    }
}

impl<T> Default for Counts<T> {
    fn default() -> Self {
        Self(Arc::new(Kept { entries: Mutex::default(), turn: Semaphore::new(1) }))
    }
}

/// Where a count says how far it is.
pub(super) struct Progress<T>(Entry<T>);

impl<T> Progress<T> {
    /// Shows what is counted so far; returns whether anybody still wants to know.
    pub(super) fn show(&self, so_far: T) -> bool {
        self.0.send_modify(|state| state.so_far = so_far);
        self.0.borrow().read.elapsed() < ABANDONED_AFTER
    }
}

/// Marks a count as ended, however it ends.
struct Running<T>(Entry<T>);

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.send_modify(|state| state.is_running = false);
    }
}

impl<T: Clone + Default + Send + Sync + 'static> Counts<T> {
    /// The count of this key. One that is missing or too old is made by `count`, on a task of its own.
    /// `count` returns nothing if it gave up because nobody wants to know. Safe to drop: the task goes on.
    ///
    /// # Errors
    /// What the last count failed with, once.
    pub(super) async fn read<F>(
        &self,
        key: &str,
        count: impl FnOnce(Progress<T>) -> F,
    ) -> Result<Counted<T>, Error>
    where
        F: Future<Output = Result<Option<T>, Error>> + Send + 'static,
    {
        let entry = self.entry(key);
        let (mut begins, mut error) = (false, None);
        entry.send_modify(|state| {
            state.read = Instant::now();
            error = state.error.take();
            begins = error.is_none() && !state.is_running && state.is_old();
            state.is_running |= begins;
        });
        if let Some(error) = error {
            return Err(error);
        }
        if begins {
            self.begin(Arc::clone(&entry), count(Progress(Arc::clone(&entry))));
        }
        let is_known = |state: &State<T>| state.whole.is_some() || !state.is_running;
        // Whether the time was enough is seen below.
        drop(timeout(PATIENCE, entry.subscribe().wait_for(is_known)).await);
        entry.send_modify(|state| error = state.error.take());
        match error {
            Some(error) => Err(error),
            None => Ok(entry.borrow().shown()),
        }
    }

    fn begin(&self, entry: Entry<T>, count: impl Future<Output = Result<Option<T>, Error>> + Send + 'static) {
        let kept = Arc::clone(&self.0);
        let running = Running(Arc::clone(&entry));
        tokio::spawn(async move {
            // Owned by the task, so that a panic ends the count, too.
            let _running = running;
            let Ok(_turn) = kept.turn.acquire().await else { return };
            let (at, begun) = (Utc::now(), Instant::now());
            let counted = count.await;
            let max_age = (begun.elapsed() * AGE_FACTOR).clamp(MIN_AGE, MAX_AGE);
            entry.send_modify(|state| match counted {
                Ok(Some(value)) => state.whole = Some(Whole { value, at, begun, max_age }),
                Ok(None) => {}
                Err(error) => state.error = Some(error),
            });
        });
    }

    /// What is known of this key, moved to the end: the first one makes room.
    fn entry(&self, key: &str) -> Entry<T> {
        let mut entries = self.0.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let known = entries.iter().position(|(known, _)| known == key).map(|at| entries.remove(at));
        let fresh = || (key.to_owned(), Arc::new(watch::Sender::new(State::new())));
        let entry = known.unwrap_or_else(fresh);
        if entries.len() >= MAX_KEPT {
            entries.remove(0);
        }
        let state = Arc::clone(&entry.1);
        entries.push(entry);
        state
    }
}

impl<T: Clone + Default> State<T> {
    fn new() -> Self {
        Self { so_far: T::default(), whole: None, error: None, is_running: false, read: Instant::now() }
    }

    fn is_old(&self) -> bool {
        self.whole.as_ref().is_none_or(|whole| whole.begun.elapsed() > whole.max_age)
    }

    fn shown(&self) -> Counted<T> {
        match self.whole.clone() {
            Some(Whole { value, at, max_age, .. }) => {
                Counted { value, is_whole: true, at: Some(at), max_age }
            }
            None => {
                Counted { value: self.so_far.clone(), is_whole: false, at: None, max_age: Duration::ZERO }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Notify;

    #[tokio::test]
    async fn a_count_shows_how_far_it_is_and_is_made_once() {
        let (counts, go) = (Counts::<u32>::default(), Arc::new(Notify::new()));
        let make = || {
            let go = Arc::clone(&go);
            counts.read("all", move |progress| async move {
                assert!(progress.show(1), "somebody reads it");
                go.notified().await;
                Ok(Some(2))
            })
        };
        let begun = make().await.expect("begun");
        assert_eq!((begun.value, begun.is_whole), (1, false));
        let still = counts.read("all", |_| async { panic!("it is being made") }).await.expect("still");
        assert_eq!((still.value, still.is_whole), (1, false));
        go.notify_one();
        let whole = loop {
            let counted = counts.read("all", |_| async { panic!("it was made") }).await.expect("counted");
            if counted.is_whole {
                break counted;
            }
        };
        assert_eq!(whole.value, 2);
        assert!(whole.at.is_some() && whole.max_age >= MIN_AGE);
    }

    #[tokio::test]
    async fn a_failure_is_said_once_and_the_next_reader_counts_again() {
        let counts = Counts::<u32>::default();
        let failed = loop {
            match counts.read("all", |_| async { Err(Error::PoolTimedOut) }).await {
                Ok(counted) => assert!(!counted.is_whole),
                Err(error) => break error,
            }
        };
        assert!(matches!(failed, Error::PoolTimedOut));
        let counted = counts.read("all", |_| async { Ok(Some(7)) }).await.expect("counted");
        assert_eq!((counted.value, counted.is_whole), (7, true));
    }

    #[tokio::test]
    async fn few_counts_are_kept() {
        let counts = Counts::<usize>::default();
        for key in 0..=MAX_KEPT {
            counts.read(&key.to_string(), |_| async move { Ok(Some(key)) }).await.expect("counted");
        }
        assert_eq!(counts.0.entries.lock().expect("kept").len(), MAX_KEPT);
    }
}
