//! What requests of this process want at this moment, so that one can tell whether another wants the same. It decides nothing:
//! other processes have their own, and the database judges.

use super::Shared;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Who wants what. Clones share it. It holds no more than the requests that are in flight.
#[derive(Clone, Debug, Default)]
pub struct Wanted(Arc<Mutex<HashMap<Shared, usize>>>);

/// One request's wishes, until it is dropped.
#[derive(Debug)]
pub struct Wishes {
    by: Wanted,
    wishes: Vec<Shared>,
    /// Somebody else wanted one of them already.
    pub contested: bool,
}

impl Wanted {
    /// From here on this request wants these.
    pub fn wish(&self, wishes: Vec<Shared>) -> Wishes {
        let mut wanted = self.lock();
        let mut contested = false;
        for wish in &wishes {
            let others = wanted.entry(wish.clone()).or_default();
            contested |= *others > 0;
            *others += 1;
        }
        drop(wanted);
        Wishes { by: self.clone(), wishes, contested }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Shared, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Wishes {
    fn drop(&mut self) {
        let mut wanted = self.by.lock();
        for wish in &self.wishes {
            match wanted.get_mut(wish) {
                Some(others) if *others > 1 => *others -= 1,
                _ => drop(wanted.remove(wish)),
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
        let (wanted, seat) = (Wanted::default(), |seat| Shared::Seat(Uuid::nil(), seat));
        let first = wanted.wish(vec![seat(1), seat(2)]);
        let second = wanted.wish(vec![seat(2), seat(3)]);
        assert_eq!((first.contested, second.contested), (false, true));
        drop(first);
        assert!(wanted.wish(vec![seat(2)]).contested, "the second still wants it");
        assert!(!wanted.wish(vec![seat(1)]).contested);
        drop(second);
        assert!(wanted.lock().is_empty());
    }
}
