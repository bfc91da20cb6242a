//! Requests for the same at the same time share one reading.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Instant,
};

/// Readings by key. A request shares a reading that began after the request, so that it sees
/// everything that was committed before it. With many requests, one reading is on its way and all
/// others wait for the next. A reading is kept while a request waits for it, no longer.
#[derive(Debug)]
pub struct SingleFlight<V> {
    slots: Mutex<HashMap<String, Weak<Slot<V>>>>,
}

type Slot<V> = tokio::sync::Mutex<Option<Reading<V>>>;

#[derive(Debug)]
struct Reading<V> {
    began: Instant,
    /// `None` if it failed.
    value: Option<V>,
}

impl<V> Default for SingleFlight<V> {
    fn default() -> Self {
        Self { slots: Mutex::default() }
    }
}

impl<V: Clone> SingleFlight<V> {
    /// What `read` gives, or another request's reading. A failed reading is its own request's: the
    /// others then read for themselves, and do not queue up before a database that is away. A request
    /// may be dropped while it reads or waits: the next reads.
    ///
    /// # Errors
    /// Those of `read`.
    pub async fn share<E>(&self, key: String, read: impl AsyncFnOnce() -> Result<V, E>) -> Result<V, E> {
        let asked = Instant::now();
        let slot = self.slot(key);
        let mut last = slot.lock().await;
        if let Some(shared) = last.as_ref().filter(|last| last.began >= asked) {
            if let Some(value) = &shared.value {
                return Ok(value.clone());
            }
            drop(last);
            return read().await;
        }
        let began = Instant::now();
        let value = read().await;
        *last = Some(Reading { began, value: value.as_ref().ok().cloned() });
        value
    }

    fn slot(&self, key: String) -> Arc<Slot<V>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&key).and_then(Weak::upgrade) {
            return slot;
        }
        // There are never more than the requests that are on their way.
        slots.retain(|_, slot| slot.strong_count() > 0);
        let slot = Arc::default();
        slots.insert(key, Arc::downgrade(&slot));
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::Semaphore;

    /// Readings that wait for a permit each; every one gives its number, or fails if it is in `failing`.
    struct Source {
        in_flight: SingleFlight<u32>,
        begun: AtomicU32,
        gate: Semaphore,
        failing: u32,
    }

    impl Source {
        fn failing(failing: u32) -> Self {
            let (in_flight, begun) = (SingleFlight::default(), AtomicU32::new(0));
            Self { in_flight, begun, gate: Semaphore::new(0), failing }
        }

        async fn request(&self, key: &str) -> Result<u32, u32> {
            let read = async || {
                let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
                self.gate.acquire().await.expect("it is never closed").forget();
                if number == self.failing { Err(number) } else { Ok(number) }
            };
            self.in_flight.share(key.to_owned(), read).await
        }
    }

    #[tokio::test]
    async fn those_who_ask_during_a_reading_share_the_next() {
        let source = Source::failing(0);
        let ask = || source.request("a");
        // All are polled in turn before there is a permit: the first reads, the others wait.
        let permits = async { source.gate.add_permits(3) };
        let (a, b, c, d, other, ()) = tokio::join!(ask(), ask(), ask(), ask(), source.request("b"), permits);
        assert_eq!((a, other), (Ok(1), Ok(2)), "another key is read beside it");
        assert_eq!((b, c, d), (Ok(3), Ok(3), Ok(3)), "those who waited share one");
        assert!(
            source
                .in_flight
                .slots
                .lock()
                .expect("nobody panicked")
                .values()
                .all(|slot| slot.strong_count() == 0)
        );
        source.gate.add_permits(1);
        assert_eq!(ask().await, Ok(4), "nothing is kept");
        assert_eq!(source.in_flight.slots.lock().expect("nobody panicked").len(), 1);
    }

    #[tokio::test]
    async fn a_failure_is_one_requests() {
        let source = Source::failing(2);
        let ask = || source.request("a");
        let (a, b, c, d, ()) = tokio::join!(ask(), ask(), ask(), ask(), async { source.gate.add_permits(4) });
        assert_eq!((a, b), (Ok(1), Err(2)));
        assert_eq!((c, d), (Ok(3), Ok(4)), "they read for themselves");
    }
}
