//! What is owed, in this process's memory: all there is without Redis, and what is gone on with when Redis is lost.

use super::Key;
use crate::settings::quota::Rate;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// When each debt is paid. Two generations bound their number at no cost: a full young one becomes the old one, and what
/// the old one still held is forgotten, which is what was not seen since.
pub(crate) struct Memory {
    most: usize,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Key, Instant>,
    old: HashMap<Key, Instant>,
}

impl Memory {
    /// For at most `most` keys.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, generations: Mutex::default() }
    }

    /// What each owes at `now`, microseconds.
    pub(crate) fn debts(&self, whom: &[(Key, Rate)], now: Instant) -> Vec<u64> {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        whom.iter().map(|(key, _)| generations.debt(key, now)).collect()
    }

    /// Takes one request from each, or from none if it does not fit everywhere; whether it did, and what is owed then.
    pub(crate) fn take(&self, whom: &[(Key, Rate)], now: Instant) -> (bool, Vec<u64>) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let mut debts: Vec<u64> = whom.iter().map(|(key, _)| generations.debt(key, now)).collect();
        let fits = whom.iter().zip(&debts).all(|((_, rate), debt)| rate.fits(*debt));
        if fits {
            for ((key, rate), debt) in whom.iter().zip(&mut debts) {
                *debt += rate.interval();
                generations.owe(*key, now, *debt, self.most);
            }
        }
        (fits, debts)
    }

    /// Writes down what Redis says is owed at `now`.
    pub(crate) fn learn(&self, whom: &[(Key, Rate)], debts: &[u64], now: Instant) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        for ((key, _), debt) in whom.iter().zip(debts) {
            // An answer that was overtaken by a later one knows of less.
            if generations.debt(key, now) < *debt {
                generations.owe(*key, now, *debt, self.most);
            }
        }
    }
}

impl Generations {
    fn debt(&self, key: &Key, now: Instant) -> u64 {
        let paid = self.young.get(key).or_else(|| self.old.get(key));
        let debt = paid.map_or(Duration::ZERO, |paid| paid.saturating_duration_since(now));
        u64::try_from(debt.as_micros()).unwrap_or(u64::MAX)
    }

    fn owe(&mut self, key: Key, now: Instant, debt: u64, most: usize) {
        if self.young.len() >= most.div_ceil(2) && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, now + Duration::from_micros(debt));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{Act, Who};
    use std::net::{IpAddr, Ipv4Addr};

    fn key(n: u32) -> Key {
        Key { act: Act::SignIn, who: Who::Address(IpAddr::V4(Ipv4Addr::from(n))) }
    }

    #[test]
    fn a_request_that_is_refused_by_one_costs_the_other_nothing() {
        let (memory, now) = (Memory::new(10), Instant::now());
        let (narrow, wide) =
            ((key(1), Rate { quota: 1, window: 60 }), (key(2), Rate { quota: 9, window: 60 }));
        assert!(memory.take(&[narrow, wide], now).0);
        assert!(!memory.take(&[narrow, wide], now).0);
        assert_eq!(wide.1.left(memory.debts(&[wide], now)[0]), 8);
        assert!(memory.take(&[narrow, wide], now + Duration::from_secs(60)).0);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_latest_is_kept() {
        let (memory, now, rate) = (Memory::new(100), Instant::now(), Rate { quota: 1, window: 60 });
        for n in 0..1000 {
            assert!(memory.take(&[(key(n), rate)], now).0);
            assert!(n < 50 || !memory.take(&[(key(n - 49), rate)], now).0, "{n}");
        }
        let generations = memory.generations.lock().expect("no panic above");
        assert!(generations.young.len() + generations.old.len() <= 100);
    }
}
