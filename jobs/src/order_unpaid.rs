//! `order_unpaid`: the unpaid-order timer.

use crate::{
    MqTag,
    payload::Booking,
    queue::{Job, RetryPolicy},
    retry::TIMER,
};
use serde::{Deserialize, Serialize};

/// Closes an order that is still unpaid at its deadline and frees its seats. Enqueued with the
/// claim, due at `expires_at`; it carries the whole booking, so that it can also free a claim whose
/// order was never added.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrderUnpaid {
    booking: Booking,
}

impl OrderUnpaid {
    /// For the booking whose hold ends.
    pub fn new(booking: &Booking) -> Self {
        Self { booking: booking.clone() }
    }

    /// What was booked.
    pub fn booking(&self) -> &Booking {
        &self.booking
    }
}

impl Job for OrderUnpaid {
    const TAG: &'static str = MqTag::OrderUnpaid.wire();
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy = TIMER;

    fn key(&self) -> String {
        self.booking.order_id.to_string()
    }
}
