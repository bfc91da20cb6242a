//! `order_calc_money_cancle`: a failure in working out the price.

use crate::{
    MqTag,
    payload::Booking,
    queue::{Job, RetryPolicy},
    retry::UNDO,
};
use serde::{Deserialize, Serialize};

/// Undoes a booking that failed in working out the price: gives back the seats this order holds; the
/// price itself wrote nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrderCalcMoney {
    booking: Booking,
}

impl OrderCalcMoney {
    /// For the booking that took, or was about to take, these seats.
    pub fn new(booking: &Booking) -> Self {
        Self { booking: booking.clone() }
    }

    /// What was booked.
    pub fn booking(&self) -> &Booking {
        &self.booking
    }
}

impl Job for OrderCalcMoney {
    const TAG: &'static str = MqTag::OrderCalcMoney.wire();
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy = UNDO;

    fn key(&self) -> String {
        self.booking.order_id.to_string()
    }
}
