//! One round of the driver with the database: write down what ended, renew what is held, claim what is due.

use super::{
    Delivery, Lease,
    ack::{self, Ack, Verdict, Written},
    claim::{self, Claimed, Round, Want},
    driver::{Driver, Fence, Held, RENEWALS_PER_LEASE, fence},
    worker::Phase,
};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

/// The most acks, and the most claims, in one statement.
const BATCH_MAX: usize = 1_000;
/// The shortest wait between two looks that found nothing. It doubles while due jobs are there but locked.
pub(super) const NAP_MIN: Duration = Duration::from_millis(1);
/// The wait before acks whose rows were locked are tried again.
const LOCKED_NAP: Duration = Duration::from_millis(50);

impl Driver {
    /// One round with the database. Returns how long nothing is to be done if nothing happens.
    pub(super) async fn turn(&mut self) -> Result<Duration, sqlx::Error> {
        self.write_acks().await?;
        if Instant::now() >= self.renew_at {
            self.renew().await?;
        }
        let nap = self.complete_and_claim().await?;
        Ok(if self.acks.is_empty() { nap } else { nap.min(LOCKED_NAP) })
    }

    /// Writes down what did not simply end well. Acks of rows that are locked stay for the next round.
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

    fn written(&mut self, batch: usize, answers: &HashMap<Fence, Written>, locked: &mut Vec<Ack>) {
        for ack in self.acks.drain(..self.acks.len().min(batch)) {
            match answers.get(&fence(&ack.lease)) {
                Some(Written::Locked) => {
                    locked.push(ack);
                    continue;
                }
                Some(Written::Lost) => lost(&ack.lease, &self.config.name),
                Some(Written::Yes) | None => {}
            }
            self.held.remove(&fence(&ack.lease));
        }
    }

    async fn renew(&mut self) -> Result<(), sqlx::Error> {
        let lease = self.config.lease;
        if !self.held.is_empty() {
            let (ids, tokens): (Vec<_>, Vec<_>) =
                self.held.values().map(|held| (held.lease.job_id, held.lease.token)).unzip();
            let begun = Instant::now();
            let renewed = self.link.run(async |conn| claim::renew(conn, &ids, &tokens, lease).await).await?;
            for fence in renewed {
                if let Some(held) = self.held.get_mut(&fence) {
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

    /// The usual round: what ended well makes room for what is due, in one statement.
    async fn complete_and_claim(&mut self) -> Result<Duration, sqlx::Error> {
        let done = &self.done[..self.done.len().min(BATCH_MAX)];
        let running = self.held.len() - done.len();
        let working = *self.phase.borrow() == Phase::Working;
        let slots = if working { self.config.concurrency.saturating_sub(running).min(BATCH_MAX) } else { 0 };
        if done.is_empty() && slots == 0 {
            return Ok(self.config.poll);
        }
        self.tags.take_turns();
        let (worker, lease, token) = (&*self.config.name, self.config.lease, Uuid::new_v4());
        let want = Want { tags: &self.tags, slots, worker, lease, token };
        let begun = Instant::now();
        match self.link.run(async |conn| claim::complete_and_claim(conn, done, &want).await).await {
            Ok(round) => self.conclude(round, slots, begun).await,
            // One of the completions cannot be made now: leave them all to the statement that sorts them out.
            Err(error) if !done.is_empty() && (refused(&error) || timed_out_on_lock(&error)) => {
                self.acks.append(&mut self.done);
                Ok(Duration::ZERO)
            }
            Err(error) => Err(error),
        }
    }

    async fn conclude(
        &mut self,
        round: Round,
        slots: usize,
        begun: Instant,
    ) -> Result<Duration, sqlx::Error> {
        self.completed(&round.completed);
        let (found, whole) = (round.claimed.len(), self.tags.whole());
        self.deliver(round.claimed, begun);
        if !self.done.is_empty() {
            return Ok(Duration::ZERO);
        }
        if slots == 0 {
            return Ok(self.config.poll);
        }
        if found == slots {
            self.nap = NAP_MIN;
            let full = self.held.len() >= self.config.concurrency;
            return Ok(if full { self.config.poll } else { Duration::ZERO });
        }
        self.tags.look_back();
        if !whole {
            return Ok(Duration::ZERO);
        }
        self.until_next(found > 0).await
    }

    /// How long until a job is due, when a claim left slots free.
    async fn until_next(&mut self, found: bool) -> Result<Duration, sqlx::Error> {
        let (tags, poll) = (&self.tags.names, self.config.poll);
        let next = self.link.run(async |conn| claim::next_due(conn, tags).await).await?;
        if found || next.is_none_or(|next| next > Duration::ZERO) {
            self.nap = NAP_MIN;
            return Ok(next.unwrap_or(poll).clamp(NAP_MIN, poll));
        }
        Ok(self.longer_nap())
    }

    /// Takes the batch off the list. The answer comes in no order; as a rule nothing is missing.
    fn completed(&mut self, completed: &[Uuid]) {
        let batch = self.done.len().min(BATCH_MAX);
        let all = completed.len() == batch;
        for ack in self.done.drain(..batch) {
            if !all && !completed.contains(&ack.lease.job_id) {
                lost(&ack.lease, &self.config.name);
            }
            self.held.remove(&fence(&ack.lease));
        }
    }

    fn deliver(&mut self, claimed: Vec<Claimed>, begun: Instant) {
        for Claimed { lease, payload, crashed } in claimed {
            self.tags.start_at(&lease);
            if crashed {
                crash(&lease, &self.config.name);
                continue;
            }
            self.held.insert(fence(&lease), Held { lease: lease.clone(), renewed_at: begun, warned: false });
            match serde_json::from_str(&payload) {
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

/// Whether the statement gave up waiting for somebody who holds one of its rows.
fn timed_out_on_lock(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "55P03")
}
