//! `order_add_seats_cancle`: a failure in claiming the seats.

use crate::{
    MqTag,
    payload::Booking,
    queue::{Job, RetryPolicy},
    retry::UNDO,
};
use serde::{Deserialize, Serialize};

/// Undoes a booking that failed in claiming the seats: gives back the seats this order holds. Armed by
/// the claim itself, removed when the order is added.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrderAddSeats {
    booking: Booking,
}

impl OrderAddSeats {
    /// For the booking that took, or was about to take, these seats.
    pub fn new(booking: &Booking) -> Self {
        Self { booking: booking.clone() }
    }

    /// What was booked.
    pub fn booking(&self) -> &Booking {
        &self.booking
    }
}

impl Job for OrderAddSeats {
    const TAG: &'static str = MqTag::OrderAddSeats.wire();
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy = UNDO;

    fn key(&self) -> String {
        self.booking.order_id.to_string()
    }
}
