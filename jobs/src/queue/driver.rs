//! The driver: one loop that writes down what ended, renews what is held, and claims what is due. It alone talks to
//! the database for the worker, and no error of the database ends it or touches a running attempt.
//!
//! It has two connections, so that while the server is at one round (completing a batch, claiming the next) the results
//! of another are made into jobs and the next batch ends, and a job that was just enqueued waits for neither. Each is
//! made when it is first needed: at low load, one.

use super::{
    Lease, WorkerConfig,
    ack::{Ack, Verdict},
    link::Link,
    listen::{Bell, listen},
    metrics::Meter,
    pace::Pace,
    policy::jittered,
    round::Flight,
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
/// Rounds that may be under way at once.
const LINKS: usize = 2;
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
    /// Connections that are idle.
    pub(super) links: Vec<Link>,
    /// Rounds that are under way, with their connections.
    pub(super) flights: JoinSet<Flight>,
    /// Completions that are on their way with them.
    pub(super) flying_done: usize,
    /// Slots that they are to fill.
    pub(super) flying_slots: usize,
    /// Something may be due now: somebody enqueued, a claim came back full, a job was given back.
    pub(super) stirred: bool,
    /// Somebody enqueued: that job is not to wait for the commit of a batch that is being completed.
    pub(super) rung: bool,
    /// If nothing stirs: when to look for due jobs again.
    pub(super) look_at: Instant,
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
    /// Of these, those whose rows somebody else holds.
    pub(super) locked: Vec<Ack>,
    /// Until then they rest.
    pub(super) locked_until: Instant,
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
            links: (0..LINKS).map(|_| Link::new(options.clone(), config.pooled)).collect(),
            flights: JoinSet::new(),
            flying_done: 0,
            flying_slots: 0,
            stirred: true,
            rung: false,
            look_at: Instant::now(),
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
            locked: Vec::new(),
            locked_until: Instant::now(),
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
        while !self.ended() {
            self.take_reports();
            let went = match self.turn().await {
                Ok(()) => self.wait().await,
                Err(error) => Err(error),
            };
            if let Err(error) = went {
                self.sit_out(&error).await;
            }
        }
        self.sign_off().await;
        for link in &mut self.links {
            link.close().await;
        }
        tracing::info!(worker = %self.config.id, "stopped");
    }

    fn ended(&self) -> bool {
        let phase = *self.phase.borrow();
        if phase != Phase::Working && self.held.is_empty() && self.flights.is_empty() {
            self.drained.send_replace(true);
        }
        phase == Phase::Closing
            && self.flights.is_empty()
            && self.done.is_empty()
            && self.acks.is_empty()
            && self.locked.is_empty()
            && self.reports.is_empty()
    }

    async fn sit_out(&mut self, error: &sqlx::Error) {
        let wait = jittered(self.trouble);
        self.meter.metrics().error();
        self.meter.metrics().reconnect("driver");
        tracing::warn!(worker = %self.config.id, %error, held = self.held.len(), ?wait, "database trouble");
        self.trouble = (self.trouble * 2).min(TROUBLE_MAX);
        sleep(wait).await;
    }

    /// The database answers.
    pub(super) fn calm(&mut self) {
        self.trouble = TROUBLE_MIN;
    }

    /// Until a round is back, something ended, somebody enqueued or cancelled, the worker is to stop, or it is time: to
    /// look, to renew a lease, to try a locked row again, to give back a job that has waited too long for a slot. What did not
    /// come first is dropped, and has taken nothing: rounds run on tasks of their own, reports stay in their channel.
    async fn wait(&mut self) -> Result<(), sqlx::Error> {
        let wake_at = self.wake_at();
        let mut report = None;
        tokio::select! {
            Some(flight) = self.flights.join_next() => self.land(flight)?,
            ended = self.reports.recv() => report = ended,
            () = self.bell.rung.notified() => (self.stirred, self.rung) = (true, true),
            _ = self.phase.changed() => {}
            () = sleep_until(wake_at) => {}
        }
        if self.bell.cancel.swap(false, Ordering::Relaxed) && !self.held.is_empty() {
            self.renew_at = Instant::now();
        }
        if let Some(report) = report {
            self.take(report);
            if !self.links.is_empty() {
                self.gather().await;
            }
        }
        Ok(())
    }

    fn wake_at(&self) -> Instant {
        let looks = self.flying_slots == 0 && !self.links.is_empty() && self.room() > 0;
        let tries_again = !self.locked.is_empty();
        [looks.then_some(self.look_at), tries_again.then_some(self.locked_until), self.shelf.overdue_at()]
            .into_iter()
            .flatten()
            .fold(self.renew_at, Instant::min)
    }

    /// Attempts that were begun together end one after the other: lets them share a statement. Far shorter than the
    /// statement takes, and than a timer can tell.
    async fn gather(&mut self) {
        let mut last = Instant::now();
        while self.unwritten() < self.held.len() && last.elapsed() < GATHER {
            yield_now().await;
            let before = self.unwritten() + self.held.len();
            self.take_reports();
            if before != self.unwritten() + self.held.len() {
                last = Instant::now();
            }
        }
    }

    /// Jobs that have ended and are held only until that is written down.
    fn unwritten(&self) -> usize {
        self.done.len() + self.acks.len() + self.locked.len() + self.flying_done
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
                self.stirred = true;
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
