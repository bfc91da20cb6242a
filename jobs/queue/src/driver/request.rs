//! One request to the database on a spare connection, and its result: what ended well is completed
//! and what is due is claimed, in one statement.

use super::connection::DriverConnection;
use crate::{
    outcome::Completion,
    sql::{
        claim::{self, ClaimKind, ClaimRequest, ClaimResult, Claimed},
        cursor::ClaimCursor,
    },
};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// What is asked of the database.
pub(super) struct DbRequest {
    pub(super) done: Vec<Completion>,
    pub(super) cursor: ClaimCursor,
    /// How many jobs to claim.
    pub(super) slots: usize,
    pub(super) worker: String,
    pub(super) lease: Duration,
    pub(super) token: Uuid,
    pub(super) begun: Instant,
}

/// A request that has come back, and the connection that it ran on.
pub(super) struct DbResponse {
    pub(super) conn: DriverConnection,
    pub(super) request: DbRequest,
    pub(super) result: Result<Fetched, sqlx::Error>,
    pub(super) took: Duration,
}

/// What a request brought.
pub(super) struct Fetched {
    pub(super) claim: ClaimResult,
    /// Claimed, but another job holds their concurrency key.
    pub(super) blocked: Vec<Claimed>,
}

impl DbRequest {
    /// Safe to drop, as at a runtime's end: the connection closes with it; leases that it claimed
    /// run out, and what it completed is completed or not.
    pub(super) async fn run(self, mut conn: DriverConnection) -> DbResponse {
        let result = self.execute(&mut conn).await;
        DbResponse { conn, took: self.begun.elapsed(), request: self, result }
    }

    async fn execute(&self, conn: &mut DriverConnection) -> Result<Fetched, sqlx::Error> {
        let Self { done, cursor, slots, worker, lease, token, .. } = self;
        let claim = ClaimRequest { cursor, slots: *slots, worker, lease: *lease, token: *token };
        let mut result = conn.run(async |conn| claim::complete_and_claim(conn, done, &claim).await).await?;
        let blocked = self.take_concurrency_keys(&mut result.claimed, conn).await;
        Ok(Fetched { claim: result, blocked })
    }

    /// Takes the concurrency keys of the jobs that are to run. Returns the jobs whose keys are
    /// taken.
    async fn take_concurrency_keys(
        &self,
        claimed: &mut Vec<Claimed>,
        conn: &mut DriverConnection,
    ) -> Vec<Claimed> {
        let runs = |job: &Claimed| matches!(job.kind, ClaimKind::Fresh | ClaimKind::Rescued);
        let key = |job: &Claimed| job.lease.concurrency_key.clone().map(|key| (job.lease.job_id, key));
        let wanted: Vec<(Uuid, String)> = claimed.iter().filter(|job| runs(job)).filter_map(key).collect();
        if wanted.is_empty() {
            return Vec::new();
        }
        let taken =
            conn.run(async |conn| claim::take_concurrency_keys(conn, &wanted, self.token).await).await;
        let taken = taken.unwrap_or_else(|error| {
            tracing::warn!(worker = self.worker, %error, "concurrency keys not taken");
            Vec::new()
        });
        let is_blocked = |job: &mut Claimed| {
            runs(job) && job.lease.concurrency_key.is_some() && !taken.contains(&job.lease.job_id)
        };
        claimed.extract_if(.., is_blocked).collect()
    }
}
