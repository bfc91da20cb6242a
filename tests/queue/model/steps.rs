//! The steps of an interleaving, and how they are drawn.

use super::{CONCURRENCY_KEYS, Hours, KEYS, LEASE, TAGS, WORKERS};
use farebox_jobs::queue::Priority;
use proptest::{collection::vec, prelude::*};

/// A step. In `Claim` the driver completes what ended well as well, and one that hesitates takes
/// the concurrency keys at its next step only. In `Write` the driver writes down the rest; in
/// `Complete` and `Snooze` a handler settles the job in its own transaction. In `Crash` a worker's
/// process ends without a word, and starts anew.
#[derive(Clone, Debug)]
pub enum Op {
    Enqueue { job: Spec, delay: Hours },
    Claim { worker: usize, done: Vec<Pick>, slots: usize, hesitates: bool },
    Write { worker: usize, endings: Vec<(Pick, Ending)> },
    Complete { worker: usize, lease: Pick },
    Snooze { worker: usize, lease: Pick, wait: Hours },
    Renew { worker: usize },
    Crash { worker: usize },
    CancelId { job: Pick },
    CancelKey { tag: &'static str, key: &'static str },
    Pause { tag: &'static str },
    Resume { tag: &'static str },
    Retry { job: Pick },
    Redrive,
    Jump { hours: Hours },
}

#[derive(Clone, Debug)]
pub struct Spec {
    pub tag: &'static str,
    pub key: &'static str,
    pub priority: Priority,
    pub concurrency_key: Option<&'static str>,
    pub max_attempts: i32,
}

/// How an attempt ended, for the driver.
#[derive(Clone, Debug)]
pub enum Ending {
    Done,
    Failed { wait: Hours },
    Fatal,
    Cancelled,
    Unstarted,
}

/// One of a list, counted from its end. Of leases, the list holds all that a worker ever had: those
/// that are lost or settled as well, for a late worker does not know.
pub type Pick = usize;

pub fn picked<T>(all: &[T], pick: Pick) -> Option<&T> {
    all.iter().rev().nth(pick % all.len().max(1))
}

pub fn op() -> impl Strategy<Value = Op> {
    let worker = || 0..WORKERS;
    let lease = || 0..5_usize;
    let job = || 0..8_usize;
    let tag = || prop::sample::select(&TAGS[..]);
    let wait = || 0..=3_i64;
    prop_oneof![
        6 => (spec(), prop_oneof![3 => Just(0), 1 => wait()]).prop_map(|(job, delay)| Op::Enqueue { job, delay }),
        8 => (worker(), vec(lease(), 0..3), 0..=4_usize, prop::bool::weighted(0.3))
            .prop_map(|(worker, done, slots, hesitates)| Op::Claim { worker, done, slots, hesitates }),
        4 => (worker(), vec((lease(), ending()), 1..4)).prop_map(|(worker, endings)| Op::Write { worker, endings }),
        2 => (worker(), lease()).prop_map(|(worker, lease)| Op::Complete { worker, lease }),
        1 => (worker(), lease(), wait()).prop_map(|(worker, lease, wait)| Op::Snooze { worker, lease, wait }),
        2 => worker().prop_map(|worker| Op::Renew { worker }),
        1 => worker().prop_map(|worker| Op::Crash { worker }),
        1 => job().prop_map(|job| Op::CancelId { job }),
        1 => (tag(), prop::sample::select(&KEYS[..])).prop_map(|(tag, key)| Op::CancelKey { tag, key }),
        1 => tag().prop_map(|tag| Op::Pause { tag }),
        2 => tag().prop_map(|tag| Op::Resume { tag }),
        1 => job().prop_map(|job| Op::Retry { job }),
        1 => Just(Op::Redrive),
        4 => prop_oneof![1 => Just(1), 3 => Just(LEASE), 1 => Just(5), 1 => Just(-1)]
            .prop_map(|hours| Op::Jump { hours }),
    ]
}

fn spec() -> impl Strategy<Value = Spec> {
    let concurrency_key = prop::option::of(prop::sample::select(&CONCURRENCY_KEYS[..]));
    let (tag, key) = (prop::sample::select(&TAGS[..]), prop::sample::select(&KEYS[..]));
    (tag, key, prop::sample::select(&Priority::ALL[..]), concurrency_key, 1..=3).prop_map(
        |(tag, key, priority, concurrency_key, max_attempts)| Spec {
            tag,
            key,
            priority,
            concurrency_key,
            max_attempts,
        },
    )
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        2 => Just(Ending::Done),
        3 => (0..=3_i64).prop_map(|wait| Ending::Failed { wait }),
        1 => Just(Ending::Fatal),
        1 => Just(Ending::Cancelled),
        1 => Just(Ending::Unstarted),
    ]
}
