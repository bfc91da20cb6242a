//! The lease: the right of one attempt to change its job. Its token is a fencing token: an attempt
//! whose token the job's row does not carry changes nothing.

use crate::{JobError, QueueConfig};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// One attempt's hold on its job.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The job.
    pub job_id: Uuid,
    /// Its tag.
    pub tag: String,
    /// Its key.
    pub key: String,
    /// The fencing token of this attempt.
    pub token: Uuid,
    /// Which attempt this is, from 1.
    pub attempt: i32,
    /// After how many attempts the job is given up.
    pub max_attempts: i32,
    /// When the job was due.
    pub run_at: DateTime<Utc>,
    /// The trace id it was enqueued under.
    pub trace: Option<String>,
    /// The span it was enqueued in, as a W3C `traceparent`; none where no spans were recorded. The
    /// queue does not read it: it is of whatever enqueued the job.
    pub traceparent: Option<String>,
    /// Its concurrency key, which this attempt has.
    pub(crate) concurrency_key: Option<String>,
    /// How long it had been due when it was claimed, by the database's clock.
    pub(crate) waited: Duration,
    /// Whether it was enqueued for later than at once.
    pub(crate) delayed: bool,
    /// The queue that holds the job.
    pub(crate) queue: QueueConfig,
    /// When this process had the claim's answer.
    pub(crate) claimed: Instant,
}

/// Why a job could not be settled. The caller rolls its transaction back.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The job has ended, or another attempt holds it.
    #[error("the lease is lost")]
    LeaseLost,
    /// The database's error.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<SettleError> for JobError {
    fn from(error: SettleError) -> Self {
        match error {
            SettleError::LeaseLost => Self::LeaseLost,
            SettleError::Database(error) => error.into(),
        }
    }
}

impl Lease {
    /// How long the job had been due when it was claimed, by the database's clock.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// The time by the database's clock, less the way of the claim's answer.
    pub(crate) fn database_now(&self) -> DateTime<Utc> {
        self.run_at + self.waited + self.claimed.elapsed()
    }

    /// A first attempt that is claimed now.
    #[cfg(test)]
    pub(crate) fn of_test(tag: &str, run_at: DateTime<Utc>) -> Self {
        Self {
            job_id: Uuid::nil(),
            tag: tag.to_owned(),
            key: "ann".to_owned(),
            token: Uuid::nil(),
            attempt: 1,
            max_attempts: 3,
            run_at,
            trace: None,
            traceparent: None,
            concurrency_key: None,
            waited: Duration::ZERO,
            delayed: false,
            queue: QueueConfig::default(),
            claimed: Instant::now(),
        }
    }

    /// Ends the job as done, in the caller's transaction: effect and completion commit together.
    ///
    /// # Errors
    /// [`SettleError::LeaseLost`]: the caller must roll back; the database's.
    pub async fn complete(&self, conn: &mut PgConnection, note: Option<&str>) -> Result<(), SettleError> {
        let ended = Self::complete_all(conn, &[self], note).await?;
        if ended.len() == 1 { Ok(()) } else { Err(SettleError::LeaseLost) }
    }

    /// Ends many jobs of one queue as done, in the caller's transaction. Returns those that were:
    /// the others' leases are lost, and their effects must not commit.
    pub async fn complete_all(
        conn: &mut PgConnection,
        leases: &[&Self],
        note: Option<&str>,
    ) -> Result<Vec<Uuid>, sqlx::Error> {
        let Some(Self { queue, .. }) = leases.first() else { return Ok(Vec::new()) };
        sqlx::query_scalar!(
            r#"select id as "id!" from queue.complete($1, $2, $3) as c (id)"#,
            &leases.iter().map(|lease| lease.job_id).collect::<Vec<_>>(),
            &leases.iter().map(|lease| lease.token).collect::<Vec<_>>(),
            note,
        )
        .fetch_all(queue.on(conn))
        .await
    }

    /// Gives the job back, due at `until`, as if this attempt had not been made; in the caller's
    /// transaction. A job that failed before is no longer retrying: its last attempt did not fail.
    ///
    /// # Errors
    /// [`SettleError::LeaseLost`]: the caller must roll back; the database's.
    pub async fn snooze(&self, conn: &mut PgConnection, until: DateTime<Utc>) -> Result<(), SettleError> {
        let given_back = sqlx::query!(
            "update queue.job
             set run_at = $3, first_due_at = coalesce(first_due_at, run_at), attempt = attempt - 1,
                 snoozed_attempt = attempt - 1,
                 lease_token = null, lease_until = null, leased_at = null, worker = null
             where id = $1 and lease_token = $2",
            self.job_id,
            self.token,
            until,
        )
        .execute(self.queue.on(&mut *conn))
        .await?;
        if given_back.rows_affected() != 1 {
            return Err(SettleError::LeaseLost);
        }
        Ok(self.free_serial(conn).await?)
    }

    async fn free_serial(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        if let Some(key) = &self.concurrency_key {
            sqlx::query!(
                "delete from queue.concurrency_key where key = $1 and job_id = $2",
                key,
                self.job_id
            )
            .execute(conn)
            .await?;
        }
        Ok(())
    }
}
