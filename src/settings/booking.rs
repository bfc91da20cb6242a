//! Booking, paying and refunding.

use super::time::{millis, positive_secs, secs};
use serde::Deserialize;

/// Booking, paying and refunding.
#[derive(Clone, Debug, Deserialize)]
pub struct Booking {
    /// How long an unpaid order holds its seats, seconds.
    #[serde(deserialize_with = "positive_secs")]
    pub hold_secs: f64,
    /// How long before departure booking and holding end, seconds.
    #[serde(deserialize_with = "secs")]
    pub cut_off_secs: f64,
    /// How long before departure refunding ends, seconds.
    #[serde(deserialize_with = "secs")]
    pub refund_cut_off_secs: f64,
    /// When an armed undo falls due by itself, milliseconds after its step.
    #[serde(deserialize_with = "millis")]
    pub undo_after_ms: i64,
    /// Most seats of one order.
    pub max_seats: usize,
    /// Most unpaid orders of one rider.
    pub max_open_holds: u16,
    /// How long a payment authorization may be used, seconds.
    #[serde(deserialize_with = "positive_secs")]
    pub pay_authorization_secs: f64,
}

impl Booking {
    /// How long after its step an armed undo falls due by itself.
    pub fn undo_after(&self) -> chrono::Duration {
        chrono::Duration::milliseconds(self.undo_after_ms)
    }
}
