//! The driver: one loop that writes down what ended, renews what is held, and claims what is due. It alone talks to
//! the database for the worker, and no error of the database ends it or touches a running attempt.

use super::{
    Delivery, Lease, WorkerConfig,
    ack::{Ack, Verdict},
    link::Link,
    listen::listen,
    policy::jittered,
    round::NAP_MIN,
    supervise::Report,
    tags::Tags,
    verdict::{Policies, verdict},
    worker::Phase,
};
use sqlx::postgres::PgConnectOptions;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::{JoinSet, yield_now},
    time::{Instant, sleep, sleep_until},
};
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
pub(super) type Fence = (Uuid, Uuid);

/// A lease that is held.
pub(super) struct Held {
    pub(super) lease: Lease,
    pub(super) renewed_at: Instant,
    pub(super) warned: bool,
}

/// The loop's state.
pub(super) struct Driver {
    pub(super) link: Link,
    options: PgConnectOptions,
    pub(super) config: WorkerConfig,
    retry: Arc<Policies>,
    pub(super) deliveries: mpsc::Sender<Delivery>,
    reports: mpsc::Receiver<Report>,
    pub(super) phase: watch::Receiver<Phase>,
    /// Says that the worker claims no more and holds nothing.
    drained: watch::Sender<bool>,
    bell: Arc<Notify>,
    pub(super) tags: Tags,
    /// What has been delivered and not reported, or reported and not written down.
    pub(super) held: HashMap<Fence, Held>,
    /// What ended well and is to be completed; all of it are [`Verdict::Done`].
    pub(super) done: Vec<Ack>,
    /// What else is to be written down.
    pub(super) acks: Vec<Ack>,
    pub(super) renew_at: Instant,
    pub(super) nap: Duration,
    trouble: Duration,
}

impl Driver {
    pub(super) fn new(
        options: PgConnectOptions,
        config: WorkerConfig,
        retry: Arc<Policies>,
        deliveries: mpsc::Sender<Delivery>,
        reports: mpsc::Receiver<Report>,
        phase: watch::Receiver<Phase>,
        drained: watch::Sender<bool>,
    ) -> Self {
        Self {
            link: Link::new(options.clone()),
            renew_at: Instant::now() + config.lease / RENEWALS_PER_LEASE,
            tags: Tags::new(config.tags.clone()),
            options,
            config,
            retry,
            deliveries,
            reports,
            phase,
            drained,
            bell: Arc::new(Notify::new()),
            held: HashMap::new(),
            done: Vec::new(),
            acks: Vec::new(),
            nap: NAP_MIN,
            trouble: TROUBLE_MIN,
        }
    }

    /// Runs until the phase is `Closing` and all is written down.
    pub(super) async fn run(mut self) {
        let mut listener = JoinSet::new();
        if self.config.listen {
            listener.spawn(listen(self.options.clone(), Arc::clone(&self.bell), self.config.name.clone()));
        }
        tracing::info!(worker = %self.config.name, tags = ?self.config.tags, "working");
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
            self.wait(nap).await;
        }
        self.link.close().await;
        tracing::info!(worker = %self.config.name, "stopped");
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
        tracing::warn!(worker = %self.config.name, %error, held = self.held.len(), ?wait, "database trouble");
        self.trouble = (self.trouble * 2).min(TROUBLE_MAX);
        sleep(wait).await;
    }

    /// Until something ended, somebody enqueued, the worker is to stop, a lease is to be renewed, or `nap` is over.
    async fn wait(&mut self, nap: Duration) {
        let wake_at = (Instant::now() + nap).min(self.renew_at);
        let report = tokio::select! {
            report = self.reports.recv() => report,
            () = self.bell.notified() => None,
            _ = self.phase.changed() => None,
            () = sleep_until(wake_at) => None,
        };
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

    fn take(&mut self, report: Report) {
        match verdict(&report, &self.config.name, &*self.retry) {
            Some(verdict @ Verdict::Done(_)) => self.done.push(Ack { lease: report.lease, verdict }),
            Some(verdict) => self.acks.push(Ack { lease: report.lease, verdict }),
            None => {
                self.held.remove(&fence(&report.lease));
            }
        }
    }
}

pub(super) fn fence(lease: &Lease) -> Fence {
    (lease.job_id, lease.token)
}
