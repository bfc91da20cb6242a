//! The driver: one loop that writes down what ended, renews what is held, and claims what is due. It alone talks to
//! the database for the worker, and no error of the database ends it or touches a running attempt.

use super::{
    Delivery, Lease, WorkerConfig,
    ack::Ack,
    link::Link,
    listen::listen,
    policy::jittered,
    round::NAP_MIN,
    supervise::Report,
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
/// Leases are renewed this often in their length.
pub(super) const RENEWALS_PER_LEASE: u32 = 3;

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
    /// By token: what has been delivered and not reported, or reported and not written down.
    pub(super) held: HashMap<Uuid, Held>,
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
            options,
            config,
            retry,
            deliveries,
            reports,
            phase,
            drained,
            bell: Arc::new(Notify::new()),
            held: HashMap::new(),
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
        phase == Phase::Closing && self.acks.is_empty() && self.reports.is_empty()
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
            // Attempts that ended together report one after the other: let them share a statement.
            yield_now().await;
        }
    }

    fn take_reports(&mut self) {
        while let Ok(report) = self.reports.try_recv() {
            self.take(report);
        }
    }

    fn take(&mut self, report: Report) {
        match verdict(&report, &self.config.name, &*self.retry) {
            Some(verdict) => self.acks.push(Ack { lease: report.lease, verdict }),
            None => {
                self.held.remove(&report.lease.token);
            }
        }
    }
}
