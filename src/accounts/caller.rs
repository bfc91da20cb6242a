//! Who makes a request.

use super::sign_up::Role;
use crate::domain::RiderId;
use uuid::Uuid;

/// The account and session of a request.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The account.
    pub rider_id: RiderId,
    /// What it may do.
    pub role: Role,
    /// The session of the token.
    pub session_id: Uuid,
}
