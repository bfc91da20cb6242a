//! Wallets, and what operators may do with them.

use crate::domain::Money;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, de::Error as _};

/// Longest time that a change waits for a second operator, hours.
const MAX_APPROVAL_HOURS: u32 = 30 * 24;

/// Wallets.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Wallets {
    /// Greatest balance after a top-up or a correction. Money that is given back is never refused.
    #[serde(deserialize_with = "cap")]
    pub max_balance: Money,
    /// Greatest top-up or correction.
    #[serde(deserialize_with = "cap")]
    pub max_change: Money,
    /// Most that operators change one wallet by within 24 hours, whatever the sign.
    #[serde(deserialize_with = "cap")]
    pub max_day_per_wallet: Money,
    /// Most that one operator changes wallets by within 24 hours, whatever the sign.
    #[serde(deserialize_with = "cap")]
    pub max_day_per_operator: Money,
    /// A change beyond this waits for a second operator.
    #[serde(deserialize_with = "cap")]
    pub approval_above: Money,
    /// How long such a change waits, hours.
    #[serde(deserialize_with = "hours")]
    pub approval_hours: u32,
}

/// The greatest cap on balances: a thousandth of the balance that the schema lets a top-up leave,
/// so that refunds always fit.
const MAX_CAP: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);

fn cap<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
    let cap = Money::deserialize(deserializer)?;
    if cap.is_positive() && cap.decimal() <= MAX_CAP {
        return Ok(cap);
    }
    Err(D::Error::custom(format!("wallets: an amount above zero, at most {MAX_CAP}")))
}

fn hours<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let hours = u32::deserialize(deserializer)?;
    if (1..=MAX_APPROVAL_HOURS).contains(&hours) {
        return Ok(hours);
    }
    Err(D::Error::custom(format!("wallets.approval_hours: 1 to {MAX_APPROVAL_HOURS}")))
}
