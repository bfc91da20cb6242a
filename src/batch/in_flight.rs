//! Seats that requests of this process want at this moment, so that a request can know whether another
//! wants the same. The registry decides nothing: other processes have their own, and the database judges.

use super::statement::ConflictKey;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many requests in flight want each seat. Clones share it. It holds no more than these requests' keys.
#[derive(Clone, Debug, Default)]
pub struct InFlightSeats(Arc<Mutex<HashMap<ConflictKey, usize>>>);

/// The entries of one request, removed when this is dropped.
#[derive(Debug)]
pub struct InFlightGuard {
    in_flight: InFlightSeats,
    keys: Vec<ConflictKey>,
    /// Whether another request had registered one of the keys before.
    pub is_contested: bool,
}

impl InFlightSeats {
    /// Registers the keys of one request until the guard is dropped.
    pub fn register(&self, keys: Vec<ConflictKey>) -> InFlightGuard {
        let mut requests = self.lock();
        let mut is_contested = false;
        for key in &keys {
            let others = requests.entry(key.clone()).or_default();
            is_contested |= *others > 0;
            *others += 1;
        }
        drop(requests);
        InFlightGuard { in_flight: self.clone(), keys, is_contested }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConflictKey, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let mut requests = self.in_flight.lock();
        for key in &self.keys {
            match requests.get_mut(key) {
                Some(others) if *others > 1 => *others -= 1,
                _ => drop(requests.remove(key)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_seat_is_contested_while_another_request_wants_it() {
        let in_flight = InFlightSeats::default();
        let seat = |label: i32| ConflictKey::Seat(Uuid::nil(), label.to_string());
        let first = in_flight.register(vec![seat(1), seat(2)]);
        let second = in_flight.register(vec![seat(2), seat(3)]);
        assert_eq!((first.is_contested, second.is_contested), (false, true));
        drop(first);
        assert!(in_flight.register(vec![seat(2)]).is_contested, "the second still wants it");
        assert!(!in_flight.register(vec![seat(1)]).is_contested);
        drop(second);
        assert!(in_flight.lock().is_empty());
    }
}
