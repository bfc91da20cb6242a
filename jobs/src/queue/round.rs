//! One round of the driver with the database: write down what ended, renew what is held, claim what is due.

use super::{
    Delivery, Lease, WorkerConfig,
    ack::{self, Ack, Verdict, Written},
    claim::{self, Claimed},
    driver::{Driver, Held, RENEWALS_PER_LEASE},
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
