//! The identity of one attempt at a job.

use crate::Lease;
use uuid::Uuid;

/// A job's id and the fencing token of one attempt at it. A statement under a token that the job's
/// row does not carry changes nothing.
pub type LeaseId = (Uuid, Uuid);

/// The id of this lease.
pub(crate) fn lease_id(lease: &Lease) -> LeaseId {
    (lease.job_id, lease.token)
}
