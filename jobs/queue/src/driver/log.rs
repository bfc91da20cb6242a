//! What the driver logs about a job. Each line carries the job, its attempt and the worker.

use crate::{Lease, outcome::Disposition};

/// An attempt's end was not written, because the attempt no longer holds its job.
pub(super) fn log_lease_lost(lease: &Lease, worker: &str) {
    let Lease { job_id, tag, key, attempt, .. } = lease;
    tracing::warn!(%job_id, %tag, %key, attempt, worker, "the lease ran out or the job is settled already");
}

/// A handler gave its attempt up because its lease was lost.
pub(super) fn log_given_up(lease: &Lease, worker: &str) {
    let Lease { job_id, tag, key, attempt, .. } = lease;
    tracing::warn!(%job_id, %tag, %key, attempt, worker, "the lease was lost; the attempt was given up");
}

/// The lease of a job's last attempt expired.
pub(super) fn log_crashed(lease: &Lease, worker: &str) {
    let Lease { job_id, tag, key, attempt, .. } = lease;
    let reason = "crashed";
    tracing::error!(%job_id, %tag, %key, attempt, worker, reason, "dead letter: its last lease ran out");
}

/// What becomes of a job that did not simply end well.
pub(super) fn log_disposition(lease: &Lease, worker: &str, disposition: &Disposition) {
    let Lease { job_id, tag, key, attempt, .. } = lease;
    match disposition {
        Disposition::Dead(reason, error) => {
            tracing::error!(%job_id, %tag, %key, attempt, worker, reason, error, "dead letter");
        }
        Disposition::Retry(error, wait) => {
            tracing::warn!(%job_id, %tag, %key, attempt, worker, error, ?wait, "attempt failed");
        }
        Disposition::Cancelled(error) => {
            tracing::info!(%job_id, %tag, %key, attempt, worker, error, "cancelled");
        }
        Disposition::Done(_) | Disposition::Crashed | Disposition::Release => {}
    }
}
