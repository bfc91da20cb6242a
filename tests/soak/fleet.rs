//! The processes under fire, and what they stand on: proxy, clock, Redis, PostgreSQL.

use super::riders::{Bases, Rider};
use crate::harness::{Clock, Process, Proxy, RedisServer};
use farebox::embedded;
use rand::{Rng, rngs::StdRng};
use std::{collections::HashMap, sync::Arc, time::Instant};

pub const APIS: usize = 2;
pub const WORKERS: usize = 3;
/// As [`HASTE`] says.
pub const MOST_HOLDS: i64 = 5;
/// What the processes run with: holds, undos and leases that end during the run.
pub const HASTE: [(&str, &str); 9] = [
    ("FAREBOX__DATABASE__MAX_CONNECTIONS", "8"),
    ("FAREBOX__BOOKING__MAX_OPEN_HOLDS", "5"),
    ("FAREBOX__BOOKING__HOLD_SECS", "3"),
    ("FAREBOX__BOOKING__UNDO_AFTER_MS", "1500"),
    ("FAREBOX__WORKER__LEASE_MS", "2000"),
    ("FAREBOX__WORKER__ATTEMPT_MS", "5000"),
    ("FAREBOX__DATABASE__ACQUIRE_TIMEOUT_MS", "1000"),
    ("FAREBOX__DATABASE__STATEMENT_TIMEOUT_MS", "4000"),
    ("FAREBOX__LOG__FILTER", "warn,farebox_api=info"),
];
/// Undos that take a while, so that a worker can be caught in the middle of one, and a step can overtake it.
pub const SLOW_UNDOS: &str =
    "undo.order_calc_money_cancle.before=sleep:400,undo.order_add_seats_cancle.before=sleep:250";
/// Lines of the processes' logs that are counted.
const MARKS: [&str; 4] = ["barrier_pkey", "lease was lost", "lease ran out", "deadlock"];

#[derive(Clone, Copy)]
pub enum Kind {
    Api,
    Worker,
}

/// The processes, and what they stand on.
pub struct Fleet {
    pub apis: Vec<Process>,
    pub workers: Vec<Process>,
    pub bases: Bases,
    pub asleep: Option<(Vec<usize>, Instant)>,
    /// By which the first API and the first worker go.
    pub clock: Clock,
    pub proxy: Proxy,
    pub redis: RedisServer,
    pub trips: Arc<Vec<String>>,
    /// A trip that only the accomplice books.
    pub quiet_trip: String,
    pub url: String,
    pub options: embedded::Options,
    pub server: Option<embedded::Server>,
    pub marks: HashMap<&'static str, u64>,
    /// A rider who clicks when the nemesis says so.
    pub accomplice: Option<Rider>,
    /// Another, who takes the accomplice's seat.
    pub rival: Option<Rider>,
}

impl Fleet {
    pub fn api(&self, at: usize) -> Process {
        let (redis, clock) = (self.redis.url(), self.clock.env());
        let mut env = [&HASTE[..], &[("FAREBOX__REDIS__URL", redis.as_str())]].concat();
        env.extend(clock.iter().filter(|_| at == 0).map(|(name, value)| (*name, value.as_str())));
        Process::api(&self.proxy.url, &env)
    }

    pub fn worker(&self, at: usize) -> Process {
        let clock = self.clock.env();
        let mut env = [&HASTE[..], &[("FAREBOX_FAULTS", SLOW_UNDOS)]].concat();
        env.extend(clock.iter().filter(|_| at == 0).map(|(name, value)| (*name, value.as_str())));
        Process::worker(&self.proxy.url, &env, &[])
    }

    /// Ends one, in this way, and starts another in its place.
    pub fn replace(&mut self, kind: Kind, random: &mut StdRng, end: fn(&mut Process)) {
        match kind {
            Kind::Api => {
                let at = random.random_range(0..self.apis.len());
                end(&mut self.apis[at]);
                self.renew_api(at);
            }
            Kind::Worker => {
                self.wake();
                let at = random.random_range(0..self.workers.len());
                end(&mut self.workers[at]);
                self.renew_worker(at);
            }
        }
    }

    pub fn renew_api(&mut self, at: usize) {
        let fresh = self.api(at);
        self.bases.write().unwrap()[at] = fresh.base();
        let old = std::mem::replace(&mut self.apis[at], fresh);
        self.count_marks(&old);
    }

    pub fn renew_worker(&mut self, at: usize) {
        let fresh = self.worker(at);
        let old = std::mem::replace(&mut self.workers[at], fresh);
        self.count_marks(&old);
    }

    pub fn count_marks(&mut self, process: &Process) {
        let log = process.log();
        for mark in MARKS {
            *self.marks.entry(mark).or_default() += log.matches(mark).count() as u64;
        }
    }

    /// How often the processes have said this so far.
    pub fn said(&self, mark: &str) -> u64 {
        let alive =
            self.apis.iter().chain(&self.workers).map(|process| process.log().matches(mark).count() as u64);
        self.marks.get(mark).copied().unwrap_or(0) + alive.sum::<u64>()
    }

    /// Starts again who died under a fault.
    pub fn restart_dead(&mut self) {
        self.wake_if_due();
        for at in 0..self.apis.len() {
            if !self.apis[at].is_alive() {
                self.renew_api(at);
            }
        }
        for at in 0..self.workers.len() {
            if !self.workers[at].is_alive() {
                self.renew_worker(at);
            }
        }
    }

    /// PostgreSQL ends at once, as in a power cut, and recovers.
    pub async fn restart_the_server(&mut self) {
        let folder = self.server.as_ref().unwrap().folder().to_owned();
        let file = std::fs::read_to_string(folder.join("pg/postmaster.pid")).unwrap();
        let pid = file.lines().next().unwrap().parse().unwrap();
        assert!(crate::harness::signal::send(pid, libc::SIGQUIT));
        self.server = None;
        self.server = Some(embedded::start(&self.options).await.unwrap());
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.wake();
        self.apis.clear();
        self.workers.clear();
        self.server = None;
        let _ = std::fs::remove_dir_all(&self.options.data);
    }
}
