//! What requests of this process want at this moment, so that one can tell whether another wants the same. It decides nothing:
//! other processes have their own, and the database judges.

use super::ConflictKey;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Who wants what. Clones share it. It holds no more than the requests that are in flight.
#[derive(Clone, Debug, Default)]
pub struct InFlightSeats(Arc<Mutex<HashMap<ConflictKey, usize>>>);

/// One request's wishes, until it is dropped.
#[derive(Debug)]
pub struct InFlightGuard {
    by: InFlightSeats,
    wishes: Vec<ConflictKey>,
    /// Somebody else wanted one of them already.
    pub contested: bool,
}

impl InFlightSeats {
    /// From here on this request wants these.
    pub fn wish(&self, wishes: Vec<ConflictKey>) -> InFlightGuard {
        let mut in_flight = self.lock();
        let mut contested = false;
        for wish in &wishes {
            let others = in_flight.entry(wish.clone()).or_default();
            contested |= *others > 0;
            *others += 1;
        }
        drop(in_flight);
        InFlightGuard { by: self.clone(), wishes, contested }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConflictKey, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let mut in_flight = self.by.lock();
        for wish in &self.wishes {
            match in_flight.get_mut(wish) {
                Some(others) if *others > 1 => *others -= 1,
                _ => drop(in_flight.remove(wish)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_wish_is_contested_while_another_has_it() {
        let (in_flight, seat) = (InFlightSeats::default(), |seat| ConflictKey::Seat(Uuid::nil(), seat));
        let first = in_flight.wish(vec![seat(1), seat(2)]);
        let second = in_flight.wish(vec![seat(2), seat(3)]);
        assert_eq!((first.contested, second.contested), (false, true));
        drop(first);
        assert!(in_flight.wish(vec![seat(2)]).contested, "the second still wants it");
        assert!(!in_flight.wish(vec![seat(1)]).contested);
        drop(second);
        assert!(in_flight.lock().is_empty());
    }
}
