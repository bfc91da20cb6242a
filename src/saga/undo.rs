//! What the handlers of jobs run with. An undo begins its transaction here and completes its job in it.

use super::{context::SagaContext, faults::Faults};
use crate::{
    batch::OverduePacer,
    settings::{Booking as BookingRules, Trips as TripRules},
    statements::{Batchers, announce_rollback},
    storage::begin_async_commit,
    traces,
};
use chrono::{DateTime, Utc};
use farebox_jobs::{
    MqTag,
    queue::{Delivery, JobError, Outcome},
};
use sqlx::{PgPool, Postgres, Transaction};
use std::sync::Arc;

/// What the handler of a job runs with.
#[derive(Clone)]
pub struct JobContext {
    pool: PgPool,
    batchers: Batchers,
    faults: Faults,
    booking: BookingRules,
    trips: TripRules,
    pacer: Arc<OverduePacer>,
}

impl JobContext {
    /// For the worker of this saga's database.
    pub fn new(saga: &SagaContext, pacer: OverduePacer) -> Self {
        let SagaContext { pool, batchers, faults, rules: booking, trips, .. } = saga.clone();
        Self { pool, batchers, faults, booking, trips, pacer: Arc::new(pacer) }
    }

    /// Limits the rate at which long overdue orders are closed.
    pub fn pacer(&self) -> &OverduePacer {
        &self.pacer
    }

    /// The faults armed for this process.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Hold time and cut-offs.
    pub fn booking(&self) -> &BookingRules {
        &self.booking
    }

    /// The zone and the horizon of the timetable.
    pub fn trips(&self) -> &TripRules {
        &self.trips
    }

    /// The database.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The statements that it shares with the other jobs of this worker.
    pub fn batchers(&self) -> &Batchers {
        &self.batchers
    }

    /// Begins an undo's transaction. Its commit does not wait for the disk: a crash that loses it loses
    /// the completion of the job with it.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        begin_async_commit(&self.pool).await
    }

    /// Completes the job in the undo's own transaction and commits both. A worker that has lost its
    /// lease gets an error instead, and its effect is rolled back. Safe to drop: the commit does both or
    /// neither. An attempt that is aborted in its commit, and did commit, finds its lease gone when its
    /// failure is recorded.
    ///
    /// # Errors
    /// The lease is lost; the database's.
    pub async fn complete(
        &self,
        mut tx: Transaction<'static, Postgres>,
        delivery: &Delivery,
        note: &str,
    ) -> Result<Outcome, JobError> {
        if is_rollback(&delivery.lease.tag) {
            announce_rollback(&mut tx, delivery, note).await?;
        }
        delivery.lease.complete(&mut tx, Some(note)).await?;
        tx.commit().await?;
        self.log_done(delivery, note);
        Ok(Outcome::Settled)
    }

    /// Logs that a job is done, once that is committed.
    pub fn log_done(&self, delivery: &Delivery, note: &str) {
        tracing::info!(tag = %delivery.lease.tag, key = %delivery.lease.key, note, "job done");
        if let Some(attempt) = traces::current() {
            attempt.set("farebox.note", note.to_owned());
        }
    }

    /// Snoozes the job until `at`, which costs no attempt.
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
        if let Some(attempt) = traces::current() {
            attempt.set("farebox.note", "snoozed");
        }
        Ok(Outcome::Settled)
    }
}

/// Whether the end of a job of this tag is the end of a rollback. The job of a refund carries the refund
/// on, also one that no failure interrupted; its end has an event of its own.
fn is_rollback(tag: &str) -> bool {
    MqTag::STEPS.into_iter().any(|step| step != MqTag::PayBack && step.wire() == tag)
}
