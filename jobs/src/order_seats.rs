//! `order_seats_cancel`: a failure in the check of the seats.

use crate::{
    MqTag,
    payload::Booking,
    queue::{Job, RetryPolicy},
    retry::UNDO,
};
use serde::{Deserialize, Serialize};

/// Undoes a booking that failed in the check of the seats: nothing was written, so nothing is undone.
/// The undo bars the saga's late steps and proves that no seat is held.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrderSeats {
    booking: Booking,
}

impl OrderSeats {
    /// For the booking that took, or was about to take, these seats.
    pub fn new(booking: &Booking) -> Self {
        Self { booking: booking.clone() }
    }

    /// What was booked.
    pub fn booking(&self) -> &Booking {
        &self.booking
    }
}

impl Job for OrderSeats {
    const TAG: &'static str = MqTag::OrderSeats.wire();
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy = UNDO;

    fn key(&self) -> String {
        self.booking.order_id.to_string()
    }
}
