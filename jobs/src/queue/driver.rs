//! The driver: one loop that writes down what ended, renews what is held, and claims what is due. It alone talks to
//! the database for the worker, and no error of the database ends it or touches a running attempt.

use super::{
    Delivery, Lease, WorkerConfig,
    ack::{self, Ack, Verdict, Written},
    claim::{self, Claimed},
    link::Link,
    listen::listen,
    policy::jittered,
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

/// The most acks, and the most claims, in one statement.
const BATCH_MAX: usize = 1_000;
/// The shortest wait between two looks that found nothing. It doubles while due jobs are there but locked.
const NAP_MIN: Duration = Duration::from_millis(1);
/// The wait before acks whose rows were locked are tried again.
const LOCKED_NAP: Duration = Duration::from_millis(50);
/// The wait after the first database error in a row; it doubles.
const TROUBLE_MIN: Duration = Duration::from_millis(100);
/// The longest wait after a database error.
const TROUBLE_MAX: Duration = Duration::from_secs(5);
/// Leases are renewed this often in their length.
const RENEWALS_PER_LEASE: u32 = 3;

/// A lease that is held.
struct Held {
    lease: Lease,
    renewed_at: Instant,
    warned: bool,
}

/// The loop's state.
pub(super) struct Driver {
    link: Link,
    options: PgConnectOptions,
    config: WorkerConfig,
    retry: Arc<Policies>,
    deliveries: mpsc::Sender<Delivery>,
    reports: mpsc::Receiver<Report>,
    phase: watch::Receiver<Phase>,
    /// Says that the worker claims no more and holds nothing.
    drained: watch::Sender<bool>,
    bell: Arc<Notify>,
    /// By token: what has been delivered and not reported, or reported and not written down.
    held: HashMap<Uuid, Held>,
    acks: Vec<Ack>,
    renew_at: Instant,
    nap: Duration,
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

    /// One round with the database. Returns how long nothing is to be done if nothing happens.
    async fn turn(&mut self) -> Result<Duration, sqlx::Error> {
        self.write_acks().await?;
        if Instant::now() >= self.renew_at {
            self.renew().await?;
        }
        let free = self.config.concurrency.saturating_sub(self.held.len()).min(BATCH_MAX);
        let nap = if *self.phase.borrow() == Phase::Working && free > 0 {
            self.claim(free).await?
        } else {
            self.config.poll
        };
        Ok(if self.acks.is_empty() { nap } else { nap.min(LOCKED_NAP) })
    }

    /// Writes down what ended. Acks of rows that are locked stay for the next round.
    async fn write_acks(&mut self) -> Result<(), sqlx::Error> {
        let mut batch = BATCH_MAX;
        let mut locked = Vec::new();
        while !self.acks.is_empty() {
            let acks = &self.acks[..self.acks.len().min(batch)];
            let answers = match self.link.run(async |conn| ack::write(conn, acks).await).await {
                Ok(answers) => answers.into_iter().collect(),
                // One of them is refused for what it says: find it, one by one, so that it harms only itself.
                Err(error) if refused(&error) && batch > 1 => {
                    batch = 1;
                    continue;
                }
                Err(error) if refused(&error) => {
                    tracing::error!(job_id = %acks[0].lease.job_id, %error, "ack refused; the lease will run out");
                    HashMap::new()
                }
                Err(error) => {
                    self.acks.append(&mut locked);
                    return Err(error);
                }
            };
            self.written(batch, &answers, &mut locked);
        }
        self.acks = locked;
        Ok(())
    }

    fn written(&mut self, batch: usize, answers: &HashMap<Uuid, Written>, locked: &mut Vec<Ack>) {
        for ack in self.acks.drain(..self.acks.len().min(batch)) {
            match answers.get(&ack.lease.token) {
                Some(Written::Locked) => {
                    locked.push(ack);
                    continue;
                }
                Some(Written::Lost) => lost(&ack.lease, &self.config.name),
                Some(Written::Yes) | None => {}
            }
            self.held.remove(&ack.lease.token);
        }
    }

    async fn renew(&mut self) -> Result<(), sqlx::Error> {
        let lease = self.config.lease;
        if !self.held.is_empty() {
            let (ids, tokens): (Vec<_>, Vec<_>) =
                self.held.values().map(|held| (held.lease.job_id, held.lease.token)).unzip();
            let begun = Instant::now();
            let renewed = self.link.run(async |conn| claim::renew(conn, &ids, &tokens, lease).await).await?;
            for token in renewed {
                if let Some(held) = self.held.get_mut(&token) {
                    held.renewed_at = begun;
                }
            }
            for held in
                self.held.values_mut().filter(|held| !held.warned && held.renewed_at.elapsed() > lease)
            {
                held.warned = true;
                lost(&held.lease, &self.config.name);
            }
        }
        self.renew_at = Instant::now() + lease / RENEWALS_PER_LEASE;
        Ok(())
    }

    async fn claim(&mut self, free: usize) -> Result<Duration, sqlx::Error> {
        // The tags take turns at being first, so that a busy one cannot starve the others.
        let turn = usize::from(self.config.tags.len() > 1);
        self.config.tags.rotate_left(turn);
        let WorkerConfig { tags, name, lease, poll, .. } = &self.config;
        let begun = Instant::now();
        let claimed = self.link.run(async |conn| claim::claim(conn, tags, free, name, *lease).await).await?;
        if claimed.len() == free {
            self.deliver(claimed, begun);
            self.nap = NAP_MIN;
            return Ok(if self.held.len() < self.config.concurrency {
                Duration::ZERO
            } else {
                self.config.poll
            });
        }
        let some = !claimed.is_empty();
        let poll = *poll;
        self.deliver(claimed, begun);
        let tags = &self.config.tags;
        let next = self.link.run(async |conn| claim::next_due(conn, tags).await).await?;
        if some || next.is_none_or(|next| next > Duration::ZERO) {
            self.nap = NAP_MIN;
            return Ok(next.unwrap_or(poll).clamp(NAP_MIN, poll));
        }
        Ok(self.longer_nap())
    }

    fn deliver(&mut self, claimed: Vec<Claimed>, begun: Instant) {
        for row in claimed {
            let crashed = row.crashed;
            let (lease, payload) = row.into_parts();
            if crashed {
                crash(&lease, &self.config.name);
                continue;
            }
            self.held.insert(lease.token, Held { lease: lease.clone(), renewed_at: begun, warned: false });
            match payload {
                // Never full (worker.rs); closed only when the worker is gone, and then the lease runs out.
                Ok(payload) => drop(self.deliveries.try_send(Delivery { lease, payload })),
                Err(why) => {
                    self.acks.push(Ack { lease, verdict: Verdict::Dead("undecodable", why.to_string()) });
                }
            }
        }
    }

    fn longer_nap(&mut self) -> Duration {
        let nap = self.nap;
        self.nap = (nap * 2).min(self.config.poll);
        nap
    }
}

fn lost(lease: &Lease, worker: &str) {
    let Lease { job_id, tag, key, attempt, .. } = lease;
    tracing::warn!(%job_id, %tag, %key, attempt, worker, "the lease ran out or the job is settled already");
}

fn crash(lease: &Lease, worker: &str) {
    let Lease { job_id, tag, key, attempt, .. } = lease;
    tracing::error!(%job_id, %tag, %key, attempt, worker, reason = "crashed", "dead letter: its last lease ran out");
}

/// Whether the database refuses what a statement says (a data or constraint error), as against being unable to run it.
fn refused(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}
