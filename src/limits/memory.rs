//! The theoretical arrival times in this process's memory: used without Redis, and while Redis is
//! away.

use super::Key;
use crate::settings::quota::Rate;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The theoretical arrival time (TAT) of each key. Two generations bound the number of keys without
/// bookkeeping: a full young generation becomes the old one, and the previous old one, which was
/// not used since, is dropped.
pub(crate) struct Memory {
    max_keys: usize,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Key, Instant>,
    old: HashMap<Key, Instant>,
}

impl Memory {
    /// For at most `max_keys` keys.
    pub(crate) fn new(max_keys: usize) -> Self {
        Self { max_keys, generations: Mutex::default() }
    }

    /// How far each subject's TAT lies ahead of `now`, microseconds.
    pub(crate) fn leads(&self, subjects: &[(Key, Rate)], now: Instant) -> Vec<u64> {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        subjects.iter().map(|(key, _)| generations.lead(key, now)).collect()
    }

    /// Counts this many for each subject, or for none if they do not fit everywhere. Returns whether
    /// they fit, and the leads after them.
    pub(crate) fn take(&self, subjects: &[(Key, Rate)], units: u64, now: Instant) -> (bool, Vec<u64>) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let mut leads: Vec<u64> = subjects.iter().map(|(key, _)| generations.lead(key, now)).collect();
        let fits = subjects.iter().zip(&leads).all(|((_, rate), lead)| rate.fits(*lead, units));
        if fits {
            for ((key, rate), lead) in subjects.iter().zip(&mut leads) {
                *lead += rate.interval() * units;
                generations.set(*key, now, *lead, self.max_keys);
            }
        }
        (fits, leads)
    }

    /// Takes back what was counted for each subject.
    pub(crate) fn give_back(&self, subjects: &[(Key, Rate)], units: u64, now: Instant) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, rate) in subjects {
            let lead = generations.lead(key, now).saturating_sub(rate.interval() * units);
            generations.set(*key, now, lead, self.max_keys);
        }
    }

    /// Adopts the leads that Redis returned, as of `now`.
    pub(crate) fn merge(&self, subjects: &[(Key, Rate)], leads: &[u64], now: Instant) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        for ((key, _), lead) in subjects.iter().zip(leads) {
            // A reply that a later one has overtaken counts fewer requests.
            if generations.lead(key, now) < *lead {
                generations.set(*key, now, *lead, self.max_keys);
            }
        }
    }
}

impl Generations {
    fn lead(&self, key: &Key, now: Instant) -> u64 {
        let theoretical_arrival = self.young.get(key).or_else(|| self.old.get(key));
        let lead = theoretical_arrival.map_or(Duration::ZERO, |tat| tat.saturating_duration_since(now));
        u64::try_from(lead.as_micros()).unwrap_or(u64::MAX)
    }

    fn set(&mut self, key: Key, now: Instant, lead: u64, max_keys: usize) {
        if self.young.len() >= max_keys.div_ceil(2) && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, now + Duration::from_micros(lead));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{Counted, RequestClass, Subject, networks};
    use std::net::{IpAddr, Ipv4Addr};

    fn key(n: u32) -> Key {
        let address = networks(IpAddr::V4(Ipv4Addr::from(n))).next().expect("an address is one");
        Key { counted: Counted::Requests(RequestClass::SignIn), subject: Subject::Network(address) }
    }

    #[test]
    fn a_request_that_is_refused_by_one_costs_the_other_nothing() {
        let (memory, now) = (Memory::new(10), Instant::now());
        let (narrow, wide) =
            ((key(1), Rate { requests: 1, window: 60 }), (key(2), Rate { requests: 9, window: 60 }));
        assert!(memory.take(&[narrow, wide], 1, now).0);
        assert!(!memory.take(&[narrow, wide], 1, now).0);
        assert_eq!(wide.1.left(memory.leads(&[wide], now)[0]), 8);
        assert!(memory.take(&[narrow, wide], 1, now + Duration::from_secs(60)).0);
        memory.give_back(&[narrow], 1, now + Duration::from_secs(60));
        assert!(!memory.take(&[narrow], 2, now + Duration::from_secs(60)).0);
        assert!(memory.take(&[narrow], 1, now + Duration::from_secs(60)).0);
    }

    #[test]
    fn the_number_of_keys_is_bounded_and_the_latest_are_kept() {
        let (memory, now, rate) = (Memory::new(100), Instant::now(), Rate { requests: 1, window: 60 });
        for n in 0..1000 {
            assert!(memory.take(&[(key(n), rate)], 1, now).0);
            assert!(n < 50 || !memory.take(&[(key(n - 49), rate)], 1, now).0, "{n}");
        }
        let generations = memory.generations.lock().expect("no panic above");
        assert!(generations.young.len() + generations.old.len() <= 100);
    }
}
