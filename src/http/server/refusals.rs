//! What is said of connections: a metric of each refusal, a log line at most once a minute, and how
//! many are open.

use crate::telemetry::metrics::{Metrics, OpenConnection};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The shortest time between two log lines: a flood of connections must not become one of lines.
const QUIET: Duration = Duration::from_secs(60);

/// Tells of refused connections. Used by the loop that accepts them, and by nobody else.
pub(super) struct Refusals {
    metrics: Metrics,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    at: Option<Instant>,
    /// Refusals since the last line.
    unlogged: u64,
}

impl Refusals {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics, said: Mutex::default() }
    }

    /// Counts a connection that was refused (`connections`) or has to wait (`connections_full`).
    pub(super) fn note(&self, why: &'static str) {
        self.metrics.refused(why);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.unlogged += 1;
        if said.at.is_some_and(|at| at.elapsed() < QUIET) {
            return;
        }
        said.at = Some(Instant::now());
        let times = std::mem::take(&mut said.unlogged);
        drop(said);
        tracing::warn!(why, times, "connections are refused or wait");
    }

    /// Counts an open connection until it is dropped.
    pub(super) fn opened(&self) -> OpenConnection {
        self.metrics.opened()
    }
}
