//! Booking, paying, refunding and wallets.

use super::time::{millis, positive_secs, secs};
use crate::domain::Money;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, de::Error as _};

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

/// Wallets.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Wallets {
    /// Greatest balance after a top-up. Money that is given back is never refused.
    #[serde(deserialize_with = "cap")]
    pub max_balance: Money,
}

/// The greatest cap on balances: a thousandth of the balance that the schema lets a top-up leave,
/// so that refunds always fit.
const MAX_CAP: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);

fn cap<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
    let cap = Money::deserialize(deserializer)?;
    if cap.is_positive() && cap.decimal() <= MAX_CAP {
        return Ok(cap);
    }
    Err(D::Error::custom(format!("wallets.max_balance: an amount above zero, at most {MAX_CAP}")))
}
