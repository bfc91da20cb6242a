//! The leases that a worker holds, from the claim until the attempt's end is written.

use super::log::log_lease_lost;
use crate::{
    Lease,
    lease_id::{LeaseId, lease_id},
    sql::heartbeat::RenewedLease,
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Leases are renewed this often in their length.
const RENEWALS_PER_LEASE: u32 = 3;

/// A lease that this worker holds.
struct HeldLease {
    lease: Arc<Lease>,
    renewed_at: Instant,
    warned: bool,
    cancelled: CancellationToken,
}

pub(super) struct Leases {
    held: HashMap<LeaseId, HeldLease>,
    renew_at: Instant,
}

impl Leases {
    /// The first heartbeat is due at once.
    pub(super) fn new() -> Self {
        Self { held: HashMap::new(), renew_at: Instant::now() }
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn ids(&self) -> Vec<LeaseId> {
        self.held.keys().copied().collect()
    }

    pub(super) fn renew_at(&self) -> Instant {
        self.renew_at
    }

    pub(super) fn is_renewal_due(&self) -> bool {
        Instant::now() >= self.renew_at
    }

    /// Renews at the next turn: a heartbeat also reads which jobs are to be cancelled.
    pub(super) fn renew_soon(&mut self) {
        self.renew_at = Instant::now();
    }

    pub(super) fn insert(&mut self, lease: &Arc<Lease>, renewed_at: Instant, cancelled: CancellationToken) {
        let held = HeldLease { lease: Arc::clone(lease), renewed_at, warned: false, cancelled };
        self.held.insert(lease_id(lease), held);
    }

    pub(super) fn remove(&mut self, lease: &Lease) {
        self.held.remove(&lease_id(lease));
    }

    /// Takes in the answer to a heartbeat that began at `begun`; logs each lease that has expired,
    /// once.
    pub(super) fn on_renewed(
        &mut self,
        renewed: Vec<RenewedLease>,
        begun: Instant,
        length: Duration,
        worker: &str,
    ) {
        for renewed in renewed {
            if let Some(held) = self.held.get_mut(&renewed.lease_id) {
                held.renewed_at = begun;
                if renewed.cancel_asked {
                    held.cancelled.cancel();
                }
            }
        }
        for held in self.held.values_mut().filter(|held| !held.warned && held.renewed_at.elapsed() > length) {
            held.warned = true;
            log_lease_lost(&held.lease, worker);
        }
        self.renew_at = begun + length / RENEWALS_PER_LEASE;
    }
}
