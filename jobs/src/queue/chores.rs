//! What the driver writes besides its rounds: verdicts of the careful kind, signs of life, roll-ups, the last words.

use super::{
    Lease,
    ack::{self, Written},
    beat::{beat, sign_off},
    driver::{Driver, Fence, RENEWALS_PER_LEASE, fence},
    link::{Link, refused},
    upkeep,
    worker::Phase,
};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// The most acks of the careful kind in one statement.
const ACKS_MAX: usize = 1_000;
/// The wait before acks whose rows were locked are tried again.
const LOCKED_NAP: Duration = Duration::from_millis(50);

impl Driver {
    /// What is to be written now, if anything is, on a connection that no round has.
    pub(super) async fn chores(&mut self) -> Result<(), sqlx::Error> {
        if Instant::now() >= self.locked_until {
            self.acks.append(&mut self.locked);
        }
        if self.acks.is_empty() && Instant::now() < self.renew_at {
            return Ok(());
        }
        let mut link = self.idle_link().await?;
        let done = self.chores_over(&mut link).await;
        self.links.push(link);
        done
    }

    async fn chores_over(&mut self, link: &mut Link) -> Result<(), sqlx::Error> {
        if !self.acks.is_empty() {
            self.write_acks(link).await?;
            self.stirred = true; // a job was given back, or one ended that another waited for
        }
        if Instant::now() >= self.renew_at { self.beat(link).await } else { Ok(()) }
    }

    /// Waits for a round to be back if all connections are under way.
    async fn idle_link(&mut self) -> Result<Link, sqlx::Error> {
        loop {
            if let Some(link) = self.links.pop() {
                return Ok(link);
            }
            let flight = self.flights.join_next().await;
            flight.map_or(Ok(()), |flight| self.land(flight))?;
        }
    }

    /// Writes down what did not simply end well. Acks of rows that are locked are tried again a little later.
    async fn write_acks(&mut self, link: &mut Link) -> Result<(), sqlx::Error> {
        let mut batch = ACKS_MAX;
        while !self.acks.is_empty() {
            let acks = &self.acks[..self.acks.len().min(batch)];
            let answers = match link.run(async |conn| ack::write(conn, acks).await).await {
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
                Err(error) => return Err(error),
            };
            self.written(batch, &answers);
        }
        Ok(())
    }

    fn written(&mut self, batch: usize, answers: &HashMap<Fence, Written>) {
        for ack in self.acks.drain(..self.acks.len().min(batch)) {
            match answers.get(&fence(&ack.lease)) {
                Some(Written::Locked) => {
                    self.locked.push(ack);
                    self.locked_until = Instant::now() + LOCKED_NAP;
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
    async fn beat(&mut self, link: &mut Link) -> Result<(), sqlx::Error> {
        let fences: Vec<Fence> = self.held.keys().copied().collect();
        let (config, begun) = (&self.config, Instant::now());
        let draining = *self.phase.borrow() != Phase::Working;
        let renewed = link.run(async |conn| beat(conn, &fences, config, draining).await).await?;
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
        self.write_tally(link).await
    }

    /// A sum that may or may not have been added is not added again: roll-ups are for people.
    async fn write_tally(&mut self, link: &mut Link) -> Result<(), sqlx::Error> {
        let sums = self.meter.take();
        if sums.is_empty() {
            return Ok(());
        }
        link.run(async |conn| upkeep::tally(conn, &sums).await).await
    }

    /// The last words. If the database does not hear them, the registry shows a worker that went missing.
    pub(super) async fn sign_off(&mut self) {
        if let Err(error) = self.say_goodbye().await {
            tracing::warn!(worker = %self.config.id, %error, "not signed off");
        }
    }

    async fn say_goodbye(&mut self) -> Result<(), sqlx::Error> {
        let mut link = self.idle_link().await?;
        let id = &self.config.id;
        link.run(async |conn| sign_off(conn, id).await).await?;
        self.write_tally(&mut link).await?;
        self.links.push(link);
        Ok(())
    }
}

/// Says that an attempt's end was not written down, because it was no longer its job.
pub(super) fn lost(lease: &Lease, worker: &str) {
    let Lease { job_id, tag, key, attempt, .. } = lease;
    tracing::warn!(%job_id, %tag, %key, attempt, worker, "the lease ran out or the job is settled already");
}
