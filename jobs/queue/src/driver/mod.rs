//! The driver: one loop that writes what ended, renews the leases that are held, and claims what is
//! due. It alone talks to the database for the worker, and no database error ends it or touches a
//! running attempt.
//!
//! It has two connections. While the server works on one request (completing a batch, claiming the
//! next), the results of another become jobs and the next batch ends, and a job that was just
//! enqueued waits for neither.

mod connection;
mod connections;
mod decide;
mod estimator;
mod fetch;
mod housekeeping;
mod leases;
mod log;
mod outbox;
mod recorder;
mod request;
mod schedule;

use crate::{
    WorkerConfig,
    notify::listener::{WakeSignal, listen},
    outcome::{AttemptReport, Completion, Disposition},
    prefetch::PrefetchBuffer,
    retry_policy::RetryPolicies,
    sql::cursor::ClaimCursor,
    state::WorkerState,
};
use connections::Connections;
use decide::{decide, event_of};
use estimator::CompletionEstimator;
use leases::Leases;
use outbox::Outbox;
use recorder::Recorder;
use schedule::Schedule;
use sqlx::postgres::PgConnectOptions;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinSet, yield_now},
    time::{Instant, sleep, sleep_until},
};

/// How long after one report the driver waits for the next, so that both share a statement.
const REPORT_WINDOW: Duration = Duration::from_micros(50);

/// What a driver is made of.
pub(crate) struct DriverParts {
    pub(crate) options: PgConnectOptions,
    pub(crate) config: WorkerConfig,
    pub(crate) retry: Arc<RetryPolicies>,
    pub(crate) prefetch: Arc<PrefetchBuffer>,
    pub(crate) reports: mpsc::Receiver<AttemptReport>,
    pub(crate) state: watch::Receiver<WorkerState>,
    /// Becomes true once the worker claims no more and holds nothing.
    pub(crate) drained: watch::Sender<bool>,
}

/// The loop's state.
pub(crate) struct Driver {
    options: PgConnectOptions,
    config: WorkerConfig,
    retry: Arc<RetryPolicies>,
    prefetch: Arc<PrefetchBuffer>,
    reports: mpsc::Receiver<AttemptReport>,
    state: watch::Receiver<WorkerState>,
    drained: watch::Sender<bool>,
    signal: Arc<WakeSignal>,
    cursor: ClaimCursor,
    recorder: Recorder,
    estimator: CompletionEstimator,
    connections: Connections,
    schedule: Schedule,
    leases: Leases,
    outbox: Outbox,
}

impl Driver {
    pub(crate) fn new(parts: DriverParts) -> Self {
        let DriverParts { options, config, retry, prefetch, reports, state, drained } = parts;
        Self {
            connections: Connections::new(&options, config.pooled, &config.queue),
            schedule: Schedule::new(),
            leases: Leases::new(),
            outbox: Outbox::new(),
            cursor: ClaimCursor::new(&config.tags),
            recorder: Recorder::new(config.metrics.clone(), &config.tags),
            estimator: CompletionEstimator::new(),
            signal: Arc::default(),
            options,
            config,
            retry,
            prefetch,
            reports,
            state,
            drained,
        }
    }

    /// Runs until the state is `Closing` and all is written.
    pub(crate) async fn run(mut self) {
        let mut listener = JoinSet::new();
        if self.config.listen && !self.config.pooled {
            let WorkerConfig { queue, id, metrics, .. } = self.config.clone();
            let signal = Arc::clone(&self.signal);
            listener.spawn(listen(self.options.clone(), signal, (queue, id, metrics)));
        }
        tracing::info!(worker = %self.config.id, tags = ?self.config.tags, "working");
        while !self.has_ended() {
            self.take_reports();
            let turn = match self.turn().await {
                Ok(()) => self.wait().await,
                Err(error) => Err(error),
            };
            if let Err(error) = turn {
                self.back_off(&error).await;
            }
        }
        self.deregister().await;
        self.connections.close().await;
        tracing::info!(worker = %self.config.id, "stopped");
    }

    fn is_working(&self) -> bool {
        *self.state.borrow() == WorkerState::Working
    }

    fn has_ended(&self) -> bool {
        let state = *self.state.borrow();
        if state != WorkerState::Working && self.leases.is_empty() && self.connections.are_quiet() {
            self.drained.send_replace(true);
        }
        state == WorkerState::Closing
            && self.connections.are_quiet()
            && self.outbox.is_empty()
            && self.reports.is_empty()
    }

    async fn back_off(&mut self, error: &sqlx::Error) {
        let wait = self.schedule.back_off();
        self.recorder.metrics().error();
        self.recorder.metrics().reconnect("driver");
        tracing::warn!(worker = %self.config.id, %error, held = self.leases.len(), ?wait, "database error");
        sleep(wait).await;
    }

    /// Does what can be done now without waiting for anything but the database.
    async fn turn(&mut self) -> Result<(), sqlx::Error> {
        self.release_overdue();
        self.housekeeping().await?;
        self.start_requests();
        Ok(())
    }

    /// Waits until a request is back, an attempt ended, a job was enqueued or cancelled, the worker
    /// is to stop, or a time has come: to poll, to renew a lease, to try a locked row again, to
    /// release a job that has waited too long for a slot. What did not come first is dropped, and
    /// has taken nothing: requests run on tasks of their own, reports stay in their channel.
    async fn wait(&mut self) -> Result<(), sqlx::Error> {
        let wake_at = self.wake_at();
        let mut report = None;
        tokio::select! {
            Some(response) = self.connections.next() => self.on_response(response)?,
            ended = self.reports.recv() => report = ended,
            () = self.signal.notified.notified() => self.schedule.on_notification(),
            _ = self.state.changed() => {}
            () = sleep_until(wake_at) => {}
        }
        if self.signal.cancel.swap(false, Ordering::Relaxed) && !self.leases.is_empty() {
            self.leases.renew_soon();
        }
        if let Some(report) = report {
            self.on_report(report);
            if self.connections.has_idle() {
                self.collect_reports().await;
            }
        }
        Ok(())
    }

    fn wake_at(&self) -> Instant {
        let polls = self.connections.slots_requested() == 0
            && self.connections.has_idle()
            && self.slots_to_claim() > 0;
        [
            polls.then_some(self.schedule.next_poll_at()),
            self.outbox.locked_until(),
            self.prefetch.overdue_at(),
        ]
        .into_iter()
        .flatten()
        .fold(self.leases.renew_at(), Instant::min)
    }

    /// Attempts that began together end one after the other: lets them share a statement. The
    /// window is far shorter than a statement, and than a timer can measure.
    async fn collect_reports(&mut self) {
        let mut last = Instant::now();
        while self.unwritten() < self.leases.len() && last.elapsed() < REPORT_WINDOW {
            yield_now().await;
            let before = self.unwritten() + self.leases.len();
            self.take_reports();
            if before != self.unwritten() + self.leases.len() {
                last = Instant::now();
            }
        }
    }

    /// Jobs that have ended and are held only until that is written.
    fn unwritten(&self) -> usize {
        self.outbox.len() + self.connections.completing()
    }

    fn take_reports(&mut self) {
        while let Ok(report) = self.reports.try_recv() {
            self.on_report(report);
        }
    }

    fn on_report(&mut self, report: AttemptReport) {
        let disposition = decide(&report, &self.config.id, &*self.retry);
        self.record(&report, disposition.as_ref());
        match disposition {
            Some(disposition) => self.outbox.push(Completion { lease: report.lease, disposition }),
            None => {
                self.schedule.poll_soon();
                self.leases.remove(&report.lease);
            }
        }
    }

    fn record(&mut self, report: &AttemptReport, disposition: Option<&Disposition>) {
        let lease = &report.lease;
        if let Some((began, took)) = report.ran {
            let waited = lease.waited + began.duration_since(lease.claimed);
            self.recorder.began(lease, waited);
            self.recorder.ran(lease, took);
            self.estimator.record_attempt(took);
        }
        match event_of(report, disposition) {
            Some(event) => self.recorder.ended(lease, event),
            None => self.recorder.lost(lease),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.prefetch.close();
    }
}
