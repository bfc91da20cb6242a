//! What the driver writes besides its requests: completions of the careful kind, heartbeats,
//! roll-ups, its own end.

use super::{
    Driver,
    connection::{DriverConnection, is_refused},
    log::log_lease_lost,
};
use crate::{
    lease_id::{LeaseId, lease_id},
    outcome::CompletionResult,
    sql::{
        complete,
        heartbeat::{deregister, heartbeat},
        rollup,
    },
};
use std::collections::HashMap;
use tokio::time::Instant;

/// The most completions in one statement.
const MAX_COMPLETIONS: usize = 1_000;

impl Driver {
    /// Writes what is to be written now, if anything is, on a connection that no request uses.
    pub(super) async fn housekeeping(&mut self) -> Result<(), sqlx::Error> {
        self.outbox.retry_locked();
        if self.outbox.careful(1).is_empty() && !self.leases.is_renewal_due() {
            return Ok(());
        }
        let mut conn = self.idle_connection().await?;
        let result = self.housekeeping_on(&mut conn).await;
        self.connections.put_back(conn);
        result
    }

    async fn housekeeping_on(&mut self, conn: &mut DriverConnection) -> Result<(), sqlx::Error> {
        if !self.outbox.careful(1).is_empty() {
            self.write_completions(conn).await?;
            self.schedule.poll_soon(); // a job was released, or one ended whose concurrency key others need
        }
        if self.leases.is_renewal_due() { self.heartbeat(conn).await } else { Ok(()) }
    }

    /// Waits for a request to come back if no connection is idle.
    async fn idle_connection(&mut self) -> Result<DriverConnection, sqlx::Error> {
        loop {
            if let Some(conn) = self.connections.take_idle() {
                return Ok(conn);
            }
            if let Some(response) = self.connections.next().await {
                self.on_response(response)?;
            }
        }
    }

    /// Writes what did not simply end well. Completions of locked rows are tried again a little
    /// later.
    async fn write_completions(&mut self, conn: &mut DriverConnection) -> Result<(), sqlx::Error> {
        let mut batch = MAX_COMPLETIONS;
        loop {
            let completions = self.outbox.careful(batch);
            let Some(first) = completions.first() else { return Ok(()) };
            let results = match conn.run(async |conn| complete::complete_batch(conn, completions).await).await
            {
                Ok(results) => results.into_iter().collect(),
                // One is refused for its contents: found one by one, it harms only itself.
                Err(error) if is_refused(&error) && batch > 1 => {
                    batch = 1;
                    continue;
                }
                Err(error) if is_refused(&error) => {
                    let job_id = first.lease.job_id;
                    tracing::error!(%job_id, %error, "completion refused; the lease will run out");
                    HashMap::new()
                }
                Err(error) => return Err(error),
            };
            self.on_written(batch, &results);
        }
    }

    fn on_written(&mut self, batch: usize, results: &HashMap<LeaseId, CompletionResult>) {
        for completion in self.outbox.take_careful(batch) {
            match results.get(&lease_id(&completion.lease)) {
                Some(CompletionResult::Locked) => {
                    self.outbox.set_aside(completion);
                    continue;
                }
                Some(CompletionResult::LeaseLost) => {
                    log_lease_lost(&completion.lease, &self.config.id);
                    self.recorder.lost(&completion.lease);
                }
                Some(CompletionResult::Written) | None => {}
            }
            self.leases.remove(&completion.lease);
        }
    }

    /// Renews the leases, learns which jobs are to be cancelled, and writes the roll-ups.
    async fn heartbeat(&mut self, conn: &mut DriverConnection) -> Result<(), sqlx::Error> {
        let (ids, begun, draining) = (self.leases.ids(), Instant::now(), !self.is_working());
        let config = &self.config;
        let renewed = conn.run(async |conn| heartbeat(conn, &ids, config, draining).await).await?;
        self.leases.on_renewed(renewed, begun, config.lease, &config.id);
        self.recorder.metrics().holds(self.leases.len());
        self.write_rollups(conn).await
    }

    /// A sum that may or may not have been added is not added again: roll-ups are approximate.
    async fn write_rollups(&mut self, conn: &mut DriverConnection) -> Result<(), sqlx::Error> {
        let sums = self.recorder.take();
        if sums.is_empty() {
            return Ok(());
        }
        conn.run(async |conn| rollup::add(conn, &sums).await).await
    }

    /// Removes the worker from the registry. If that fails, the registry shows it as missing.
    pub(super) async fn deregister(&mut self) {
        if let Err(error) = self.write_last().await {
            tracing::warn!(worker = %self.config.id, %error, "not deregistered");
        }
    }

    async fn write_last(&mut self) -> Result<(), sqlx::Error> {
        let mut conn = self.idle_connection().await?;
        let id = &self.config.id;
        conn.run(async |conn| deregister(conn, id).await).await?;
        self.write_rollups(&mut conn).await?;
        self.connections.put_back(conn);
        Ok(())
    }
}
