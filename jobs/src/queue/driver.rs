//! The driver: one loop that writes down what ended, renews what is held, and claims what is due. It alone talks to
//! the database for the worker, and no error of the database ends it or touches a running attempt.

use super::{
    Lease, WorkerConfig,
    ack::{Ack, Verdict},
    link::Link,
    listen::{Bell, listen},
    metrics::Meter,
    pace::Pace,
    policy::jittered,
    shelf::Shelf,
    supervise::Report,
    tags::Tags,
    verdict::{Policies, counted, verdict},
    worker::Phase,
};
use sqlx::postgres::PgConnectOptions;
use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinSet, yield_now},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The wait after the first database error in a row; it doubles.
const TROUBLE_MIN: Duration = Duration::from_millis(100);
/// The longest wait after a database error.
const TROUBLE_MAX: Duration = Duration::from_secs(5);
/// How long after one report the next is waited for before both are written down.
const GATHER: Duration = Duration::from_micros(50);
/// Leases are renewed this often in their length.
pub(super) const RENEWALS_PER_LEASE: u32 = 3;

/// A job and the token of one attempt at it.
pub type Fence = (Uuid, Uuid);

/// A lease that is held.
pub(super) struct Held {
    pub(super) lease: Arc<Lease>,
    pub(super) renewed_at: Instant,
    pub(super) warned: bool,
    pub(super) cancelled: CancellationToken,
}

impl Held {
    pub(super) fn new(lease: &Arc<Lease>, renewed_at: Instant, cancelled: CancellationToken) -> Self {
        Self { lease: Arc::clone(lease), renewed_at, warned: false, cancelled }
    }
}

/// The loop's state.
pub(super) struct Driver {
    pub(super) link: Link,
    options: PgConnectOptions,
    pub(super) config: WorkerConfig,
    retry: Arc<Policies>,
    pub(super) shelf: Arc<Shelf>,
    reports: mpsc::Receiver<Report>,
    pub(super) phase: watch::Receiver<Phase>,
    /// Says that the worker claims no more and holds nothing.
    drained: watch::Sender<bool>,
    bell: Arc<Bell>,
    pub(super) tags: Tags,
    pub(super) meter: Meter,
    pub(super) pace: Pace,
    /// What has been claimed and not reported, or reported and not written down.
    pub(super) held: HashMap<Fence, Held>,
    /// What ended well and is to be completed with the next claim; all of it are [`Verdict::Done`] without a serial key.
    pub(super) done: Vec<Ack>,
    /// What else is to be written down.
    pub(super) acks: Vec<Ack>,
    pub(super) renew_at: Instant,
    trouble: Duration,
}

impl Driver {
    pub(super) fn new(
        options: PgConnectOptions,
        config: WorkerConfig,
        retry: Arc<Policies>,
        shelf: Arc<Shelf>,
        reports: mpsc::Receiver<Report>,
        phase: watch::Receiver<Phase>,
        drained: watch::Sender<bool>,
    ) -> Self {
        Self {
            link: Link::new(options.clone(), config.pooled),
            renew_at: Instant::now(), // the first sign of life at once
            tags: Tags::new(&config.tags),
            meter: Meter::new(config.metrics.clone(), &config.tags),
            pace: Pace::new(),
            options,
            config,
            retry,
            shelf,
            reports,
            phase,
            drained,
            bell: Arc::default(),
            held: HashMap::new(),
            done: Vec::new(),
            acks: Vec::new(),
            trouble: TROUBLE_MIN,
        }
    }

    /// Runs until the phase is `Closing` and all is written down.
    pub(super) async fn run(mut self) {
        let mut listener = JoinSet::new();
        if self.config.listen && !self.config.pooled {
            let (bell, id, metrics) =
                (Arc::clone(&self.bell), self.config.id.clone(), self.config.metrics.clone());
            listener.spawn(listen(self.options.clone(), bell, id, metrics));
        }
        tracing::info!(worker = %self.config.id, tags = ?self.config.tags, "working");
        loop {
            self.take_reports();
            let nap = match self.turn().await {
                Ok(nap) => {
                    self.trouble = TROUBLE_MIN;
                    nap
                }
                Err(error) => {
                    self.sit_out(&error).await;
                    continue;
                }
            };
            if self.ended() {
                break;
            }
            if nap > Duration::ZERO {
                self.wait(nap).await;
            }
        }
        self.sign_off().await;
        self.link.close().await;
        tracing::info!(worker = %self.config.id, "stopped");
    }

    fn ended(&self) -> bool {
        let phase = *self.phase.borrow();
        if phase != Phase::Working && self.held.is_empty() {
            self.drained.send_replace(true);
        }
        phase == Phase::Closing && self.done.is_empty() && self.acks.is_empty() && self.reports.is_empty()
    }

    async fn sit_out(&mut self, error: &sqlx::Error) {
        let wait = jittered(self.trouble);
        self.meter.metrics().error();
        self.meter.metrics().reconnect("driver");
        tracing::warn!(worker = %self.config.id, %error, held = self.held.len(), ?wait, "database trouble");
        self.trouble = (self.trouble * 2).min(TROUBLE_MAX);
        sleep(wait).await;
    }

    /// Until something ended, somebody enqueued or cancelled, the worker is to stop, a lease is to be renewed, a claimed
    /// job has waited too long for a slot, or `nap` is over.
    async fn wait(&mut self, nap: Duration) {
        let wake_at = (Instant::now() + nap).min(self.renew_at);
        let wake_at = self.shelf.overdue_at().map_or(wake_at, |overdue| overdue.min(wake_at));
        let report = tokio::select! {
            report = self.reports.recv() => report,
            () = self.bell.rung.notified() => None,
            _ = self.phase.changed() => None,
            () = sleep_until(wake_at) => None,
        };
        if self.bell.cancel.swap(false, Ordering::Relaxed) && !self.held.is_empty() {
            self.renew_at = Instant::now();
        }
        if let Some(report) = report {
            self.take(report);
            self.gather().await;
        }
    }

    /// Attempts that were begun together end one after the other: lets them share a statement. Far shorter than the
    /// statement takes, and than a timer can tell.
    async fn gather(&mut self) {
        let mut last = Instant::now();
        while self.done.len() + self.acks.len() < self.held.len() && last.elapsed() < GATHER {
            yield_now().await;
            let before = self.done.len() + self.acks.len() + self.held.len();
            self.take_reports();
            if before != self.done.len() + self.acks.len() + self.held.len() {
                last = Instant::now();
            }
        }
    }

    fn take_reports(&mut self) {
        while let Ok(report) = self.reports.try_recv() {
            self.take(report);
        }
    }

    pub(super) fn take(&mut self, report: Report) {
        let verdict = verdict(&report, &self.config.id, &*self.retry);
        self.count(&report, verdict.as_ref());
        match verdict {
            Some(verdict @ Verdict::Done(_)) if report.lease.serial.is_none() => {
                self.done.push(Ack { lease: report.lease, verdict });
            }
            Some(verdict) => self.acks.push(Ack { lease: report.lease, verdict }),
            None => {
                self.held.remove(&fence(&report.lease));
            }
        }
    }

    fn count(&mut self, report: &Report, verdict: Option<&Verdict>) {
        let tag = &report.lease.tag;
        if let Some((began, took)) = report.ran {
            let waited = report.lease.waited + began.duration_since(report.lease.claimed);
            self.meter.began(tag, waited, report.lease.delayed);
            self.meter.ran(tag, took);
            self.pace.ran(took);
        }
        match counted(report, verdict) {
            Some(how) => self.meter.ended(tag, how),
            None => self.meter.lost(tag),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shelf.close();
    }
}

pub(super) fn fence(lease: &Lease) -> Fence {
    (lease.job_id, lease.token)
}
