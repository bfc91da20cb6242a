//! One round of the driver with the database: write down what ended, give a sign of life, claim what is due.

use super::{
    Delivery, Lease,
    ack::{self, Ack, Verdict, Written},
    beat::{beat, sign_off},
    claim::{self, Claimed, How, Round, Want},
    driver::{Driver, Fence, Held, RENEWALS_PER_LEASE, fence},
    metrics::Counted,
    shelf::SHELF_LIMIT,
    supervise::Report,
    upkeep,
    worker::Phase,
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The most acks of the careful kind in one statement.
const ACKS_MAX: usize = 1_000;
/// The shortest wait between two looks that found nothing.
const NAP_MIN: Duration = Duration::from_millis(1);
/// The wait before acks whose rows were locked are tried again.
const LOCKED_NAP: Duration = Duration::from_millis(50);

impl Driver {
    /// One round with the database. Returns how long nothing is to be done if nothing happens.
    pub(super) async fn turn(&mut self) -> Result<Duration, sqlx::Error> {
        self.clear_shelf();
        self.write_acks().await?;
        if Instant::now() >= self.renew_at {
            self.beat().await?;
        }
        let nap = self.complete_and_claim().await?;
        Ok(if self.acks.is_empty() { nap } else { nap.min(LOCKED_NAP) })
    }

    /// Gives back what has waited too long for a slot, or all once the worker is to stop.
    fn clear_shelf(&mut self) {
        let working = *self.phase.borrow() == Phase::Working;
        let then = working.then(|| Instant::now().checked_sub(SHELF_LIMIT)).flatten();
        if working && then.is_none() {
            return;
        }
        for job in self.shelf.take_back(then) {
            self.take(Report::unstarted(job.lease));
        }
    }

    /// Writes down what did not simply end well. Acks of rows that are locked stay for the next round.
    async fn write_acks(&mut self) -> Result<(), sqlx::Error> {
        let mut batch = ACKS_MAX;
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

    fn written(&mut self, batch: usize, answers: &HashMap<Fence, Written>, locked: &mut Vec<Ack>) {
        for ack in self.acks.drain(..self.acks.len().min(batch)) {
            match answers.get(&fence(&ack.lease)) {
                Some(Written::Locked) => {
                    locked.push(ack);
                    continue;
                }
                Some(Written::Lost) => {
                    lost(&ack.lease, &self.config.id);
                    self.meter.lost(&ack.lease.tag);
                }
                Some(Written::Yes) | None => {}
            }
            self.held.remove(&fence(&ack.lease));
        }
    }

    /// Renews the leases, hears of wishes to cancel, and writes the roll-ups.
    async fn beat(&mut self) -> Result<(), sqlx::Error> {
        let fences: Vec<Fence> = self.held.keys().copied().collect();
        let (config, begun) = (&self.config, Instant::now());
        let draining = *self.phase.borrow() != Phase::Working;
        let renewed = self.link.run(async |conn| beat(conn, &fences, config, draining).await).await?;
        for renewed in renewed {
            if let Some(held) = self.held.get_mut(&renewed.fence) {
                held.renewed_at = begun;
                if renewed.cancel_asked {
                    held.cancelled.cancel();
                }
            }
        }
        for held in
            self.held.values_mut().filter(|held| !held.warned && held.renewed_at.elapsed() > config.lease)
        {
            held.warned = true;
            lost(&held.lease, &config.id);
        }
        self.renew_at = begun + config.lease / RENEWALS_PER_LEASE;
        self.meter.metrics().holds(self.held.len());
        self.write_tally().await
    }

    /// A sum that may or may not have been added is not added again: roll-ups are for people.
    async fn write_tally(&mut self) -> Result<(), sqlx::Error> {
        let sums = self.meter.take();
        if sums.is_empty() {
            return Ok(());
        }
        self.link.run(async |conn| upkeep::tally(conn, &sums).await).await
    }

    /// The last words. If the database does not hear them, the registry shows a worker that went missing.
    pub(super) async fn sign_off(&mut self) {
        let id = &self.config.id;
        let said = self.link.run(async |conn| sign_off(conn, id).await).await;
        let said = match said {
            Ok(()) => self.write_tally().await,
            Err(error) => Err(error),
        };
        if let Err(error) = said {
            tracing::warn!(worker = %self.config.id, %error, "not signed off");
        }
    }

    /// How many jobs to claim: for the slots that are free, and those that will be when the answer is here.
    fn room(&self) -> usize {
        if *self.phase.borrow() != Phase::Working {
            return 0;
        }
        let slots = self.config.concurrency;
        let ahead = self.pace.ends_meanwhile(slots).min(self.config.batch);
        let open = self.held.len() - self.done.len().min(self.held.len());
        (slots + ahead).saturating_sub(open).min(self.config.batch)
    }

    /// The usual round: what ended well makes room for what is due, in one statement.
    async fn complete_and_claim(&mut self) -> Result<Duration, sqlx::Error> {
        let slots = self.room();
        let done = &self.done[..self.done.len().min(self.config.batch)];
        if done.is_empty() && slots == 0 {
            return Ok(self.config.poll);
        }
        self.tags.take_turns();
        let (worker, lease, token) = (&*self.config.id, self.config.lease, Uuid::new_v4());
        let want = Want { tags: &self.tags, slots, worker, lease, token };
        let begun = Instant::now();
        match self.link.run(async |conn| claim::complete_and_claim(conn, done, &want).await).await {
            Ok(mut round) => {
                self.pace.asked(begun.elapsed());
                let before = self.acks.len();
                self.take_serials(&mut round.claimed, token, begun).await;
                let nap = self.conclude(round, slots, begun);
                // What the claim brought to write down is written at once.
                Ok(if self.acks.len() > before { Duration::ZERO } else { nap })
            }
            // One of the completions cannot be made now: leave them all to the statement that sorts them out.
            Err(error) if !done.is_empty() && (refused(&error) || timed_out_on_lock(&error)) => {
                self.acks.append(&mut self.done);
                Ok(Duration::ZERO)
            }
            Err(error) => Err(error),
        }
    }

    /// Of the claimed jobs with a serial key, those that do not get it are given back. They are not claimed again before
    /// whoever has it lets go.
    async fn take_serials(&mut self, claimed: &mut Vec<Claimed>, token: Uuid, begun: Instant) {
        let key = |job: &Claimed| job.lease.serial.clone().map(|key| (job.lease.job_id, key));
        let wanted: Vec<(Uuid, String)> = claimed.iter().filter_map(key).collect();
        if wanted.is_empty() {
            return;
        }
        let taken = self.link.run(async |conn| claim::take_serials(conn, &wanted, token).await).await;
        let taken = taken.unwrap_or_else(|error| {
            tracing::warn!(worker = %self.config.id, %error, "serial keys not taken");
            Vec::new()
        });
        let has_its_key = |job: &mut Claimed| job.lease.serial.is_none() || taken.contains(&job.lease.job_id);
        for job in claimed.extract_if(.., |job| !has_its_key(job)) {
            let lease = Arc::new(job.lease);
            self.held.insert(fence(&lease), Held::new(&lease, begun, CancellationToken::new()));
            self.acks.push(Ack { lease, verdict: Verdict::Release });
        }
    }

    fn conclude(&mut self, round: Round, slots: usize, begun: Instant) -> Duration {
        self.completed(round.completed.as_deref());
        let whole = self.tags.whole();
        self.shelve(round.claimed, begun);
        if !self.done.is_empty() {
            return Duration::ZERO;
        }
        if slots == 0 {
            return self.config.poll;
        }
        if round.full {
            return if self.room() == 0 { self.config.poll } else { Duration::ZERO };
        }
        self.tags.look_back();
        if !whole {
            return Duration::ZERO;
        }
        round.next.unwrap_or(self.config.poll).clamp(NAP_MIN, self.config.poll)
    }

    /// Takes the batch off the list. As a rule nothing is missing.
    fn completed(&mut self, completed: Option<&[Uuid]>) {
        let batch = self.done.len().min(self.config.batch);
        for ack in self.done.drain(..batch) {
            if completed.is_some_and(|completed| !completed.contains(&ack.lease.job_id)) {
                lost(&ack.lease, &self.config.id);
                self.meter.lost(&ack.lease.tag);
            }
            self.held.remove(&fence(&ack.lease));
        }
    }

    fn shelve(&mut self, claimed: Vec<Claimed>, begun: Instant) {
        let mut jobs = Vec::with_capacity(claimed.len());
        for Claimed { lease, payload, priority, how } in claimed {
            self.tags.start_at(&lease, priority);
            let job = Delivery::new(lease, &payload);
            self.held.insert(fence(&job.lease), Held::new(&job.lease, begun, job.cancelled.clone()));
            if matches!(how, How::Rescued | How::Crashed) {
                self.meter.rescued(&job.lease.tag);
            }
            match how {
                How::Fresh | How::Rescued => jobs.push(job),
                How::CalledOff => self.acks.push(Ack { lease: job.lease, verdict: Verdict::Cancelled(None) }),
                How::Crashed => {
                    crash(&job.lease, &self.config.id);
                    self.meter.ended(&job.lease.tag, Counted::Dead);
                    self.acks.push(Ack { lease: job.lease, verdict: Verdict::Crashed });
                }
            }
        }
        self.shelf.put(jobs.into_iter());
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

/// Whether the statement gave up waiting for somebody who holds one of its rows.
fn timed_out_on_lock(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "55P03")
}
