//! Counts jobs as they are handled, by any contender.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Instant, SystemTime},
};
use tokio::sync::Notify;

/// The jobs of one measurement. Peers' handlers take no state, so there is one, for the process.
pub struct Counter {
    goal: AtomicUsize,
    seen: AtomicUsize,
    span: Mutex<Option<(Instant, Instant)>>,
    reached: Notify,
    timing: AtomicBool,
    /// By job number: when it was about to be committed, when that was done, and when its handler
    /// began; nanoseconds since the epoch.
    times: Mutex<Vec<[u64; 3]>>,
}

pub static COUNTER: Counter = Counter {
    goal: AtomicUsize::new(0),
    seen: AtomicUsize::new(0),
    span: Mutex::new(None),
    reached: Notify::const_new(),
    timing: AtomicBool::new(false),
    times: Mutex::new(Vec::new()),
};

pub fn clock() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_nanos()).expect("before 2554")
}

impl Counter {
    pub fn begin(&self, goal: usize, timing: bool) {
        *self.span.lock().expect("unpoisoned") = None;
        *self.times.lock().expect("unpoisoned") = if timing { vec![[0; 3]; goal] } else { Vec::new() };
        self.timing.store(timing, Ordering::SeqCst);
        self.goal.store(goal, Ordering::SeqCst);
        self.seen.store(0, Ordering::SeqCst);
    }

    pub fn sent(&self, n: usize) {
        self.times.lock().expect("unpoisoned")[n][0] = clock();
    }

    pub fn committed(&self, n: usize) {
        self.times.lock().expect("unpoisoned")[n][1] = clock();
    }

    pub fn sent_at(&self, n: usize, at: SystemTime) {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        self.times.lock().expect("unpoisoned")[n][0] = u64::try_from(since.as_nanos()).expect("before 2554");
    }

    pub fn timed(&self) -> bool {
        self.timing.load(Ordering::SeqCst)
    }

    /// A handler begins with job `n`.
    pub fn handled(&self, n: usize) {
        if self.timing.load(Ordering::Relaxed) {
            self.times.lock().expect("unpoisoned")[n][2] = clock();
        }
        let seen = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        if seen == 1 || seen == self.goal.load(Ordering::Relaxed) {
            let now = Instant::now();
            let mut span = self.span.lock().expect("unpoisoned");
            *span = Some((span.map_or(now, |(first, _)| first), now));
            drop(span);
            if seen > 1 {
                self.reached.notify_one();
            }
        }
    }

    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Jobs a second between the first and the last.
    pub fn rate(&self) -> f64 {
        let (first, last) = self.span.lock().expect("unpoisoned").expect("something was handled");
        (self.goal.load(Ordering::SeqCst) - 1) as f64 / (last - first).as_secs_f64()
    }

    /// From the commit's beginning to the handler's, in milliseconds, sorted.
    pub fn waits(&self) -> Vec<f64> {
        self.between(0, 2)
    }

    /// How long the commits took.
    pub fn commits(&self) -> Vec<f64> {
        self.between(0, 1)
    }

    /// From the commit's end to the handler's beginning; a handler may begin before the commit is
    /// reported as done.
    pub fn after_commits(&self) -> Vec<f64> {
        self.between(1, 2)
    }

    fn between(&self, from: usize, to: usize) -> Vec<f64> {
        let times = self.times.lock().expect("unpoisoned");
        let mut waits: Vec<f64> =
            times.iter().map(|times| (times[to] as f64 - times[from] as f64) / 1e6).collect();
        waits.sort_by(f64::total_cmp);
        waits
    }
}
