//! `order_add_cancle`: a failure in adding the order.

use crate::{
    MqTag,
    payload::Booking,
    queue::{Job, RetryPolicy},
    retry::UNDO,
};
use serde::{Deserialize, Serialize};

/// Undoes a booking that failed in adding the order: closes the order as cancelled by the system and
/// gives back its seats. Refused once the order is paid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrderAdd {
    booking: Booking,
}

impl OrderAdd {
    /// For the booking that took, or was about to take, these seats.
    pub fn new(booking: &Booking) -> Self {
        Self { booking: booking.clone() }
    }

    /// What was booked.
    pub fn booking(&self) -> &Booking {
        &self.booking
    }
}

impl Job for OrderAdd {
    const TAG: &'static str = MqTag::OrderAdd.wire();
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy = UNDO;

    fn key(&self) -> String {
        self.booking.order_id.to_string()
    }
}
