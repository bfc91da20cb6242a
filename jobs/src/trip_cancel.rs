//! `trip_cancel`: closing and refunding the orders of a trip that an operator cancelled.

use crate::{
    MqTag,
    ids::TripId,
    queue::{Job, RetryPolicy},
    retry::UNDO,
};
use serde::{Deserialize, Serialize};

/// Walks the trip's seats until none of them has an owner and all are blocked. Enqueued with the
/// cancelling.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TripCancel {
    trip_id: TripId,
}

impl TripCancel {
    /// For a trip that is marked as cancelled.
    pub fn new(trip_id: TripId) -> Self {
        Self { trip_id }
    }

    /// The trip.
    pub fn trip_id(&self) -> TripId {
        self.trip_id
    }
}

impl Job for TripCancel {
    const TAG: &'static str = MqTag::TripCancel.wire();
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy = UNDO;

    fn key(&self) -> String {
        self.trip_id.to_string()
    }
}
