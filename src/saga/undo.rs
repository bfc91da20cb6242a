//! Where undos are done: each begins its transaction here and settles its job in it.

use super::{Faults, SagaContext};
use crate::settings::Trips as TripRules;
use crate::{
    batch::{BatchContext, BatchStatement, Batchers, OverduePacer},
    storage::begin_async_commit,
};
use chrono::{DateTime, Utc};
use farebox_jobs::queue::{Delivery, JobError, Outcome};
use sqlx::{PgPool, Postgres, Transaction};
use std::sync::Arc;

/// What an undo works at: it begins its transaction here and settles its job in it.
#[derive(Clone)]
pub struct JobContext {
    pool: PgPool,
    batchers: Batchers,
    faults: Faults,
    trips: TripRules,
    backlog: Arc<OverduePacer>,
}

impl JobContext {
    /// For the worker of this flow's database.
    pub fn new(saga: &SagaContext, backlog: OverduePacer) -> Self {
        let SagaContext { pool, batchers, faults, trips, .. } = saga.clone();
        Self { pool, batchers, faults, trips, backlog: Arc::new(backlog) }
    }

    /// Turns of what is long overdue.
    pub fn backlog(&self) -> &OverduePacer {
        &self.backlog
    }

    /// The faults armed for this process.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The zone and the horizon of the timetable.
    pub fn trips(&self) -> &TripRules {
        &self.trips
    }

    /// The database.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Does this together with the other jobs of this worker that ask for the same.
    ///
    /// # Errors
    /// The database's.
    pub async fn ask<T: BatchStatement<BatchContext = BatchContext>>(
        &self,
        ask: T::Ask,
    ) -> Result<T::Answer, sqlx::Error> {
        self.batchers.ask::<T>(ask).await
    }

    /// Begins an undo's transaction. Its commit does not wait for the disk: what a crash takes of it, it takes with the
    /// completion of the job.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        begin_async_commit(&self.pool).await
    }

    /// Completes the job in the undo's own transaction and commits both. A worker that has lost its lease gets an
    /// error instead, and with it loses the effect. Safe to drop: in the commit, both happen or neither; an attempt that is
    /// aborted there and did commit finds its lease gone when its failure is written down.
    ///
    /// # Errors
    /// The lease is lost; the database's.
    pub async fn settle(
        &self,
        mut tx: Transaction<'static, Postgres>,
        delivery: &Delivery,
        note: &str,
    ) -> Result<Outcome, JobError> {
        delivery.lease.complete(&mut tx, Some(note)).await?;
        tx.commit().await?;
        self.tell(delivery, note);
        Ok(Outcome::Settled)
    }

    /// Logs that a job is done, once that is committed.
    pub fn tell(&self, delivery: &Delivery, note: &str) {
        tracing::info!(tag = %delivery.lease.tag, key = %delivery.lease.key, note, "job done");
    }

    /// Gives the job back until `at`, without costing the attempt.
    ///
    /// # Errors
    /// The lease is lost; the database's.
    pub async fn snooze(
        &self,
        mut tx: Transaction<'static, Postgres>,
        delivery: &Delivery,
        at: DateTime<Utc>,
    ) -> Result<Outcome, JobError> {
        delivery.lease.snooze(&mut tx, at).await?;
        tx.commit().await?;
        Ok(Outcome::Settled)
    }
}
