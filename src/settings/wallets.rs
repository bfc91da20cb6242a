//! Wallets, and what operators may do with them.

use super::SettingsError;
use crate::domain::{Currency, Money};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::fmt;

/// Longest time that a change waits for a second operator, hours.
const MAX_APPROVAL_HOURS: u32 = 30 * 24;

/// Wallets.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Wallets {
    /// Greatest balance after a top-up or a correction. Money that is given back is never refused.
    pub max_balance: Units,
    /// Greatest top-up or correction.
    pub max_change: Units,
    /// Most that operators change one wallet by within 24 hours, whatever the sign.
    pub max_day_per_wallet: Units,
    /// Most that one operator changes wallets by within 24 hours, whatever the sign.
    pub max_day_per_operator: Units,
    /// A change beyond this waits for a second operator.
    pub approval_above: Units,
    /// How long such a change waits, hours.
    #[serde(deserialize_with = "hours")]
    pub approval_hours: u32,
}

impl Wallets {
    /// Refuses an amount that is finer than a minor unit of the installation's currency. The
    /// currency is in the database, so it is not known when settings are read.
    ///
    /// # Errors
    /// Names the setting.
    pub fn check(&self, currency: Currency) -> Result<(), SettingsError> {
        let amounts = [
            ("max_balance", self.max_balance),
            ("max_change", self.max_change),
            ("max_day_per_wallet", self.max_day_per_wallet),
            ("max_day_per_operator", self.max_day_per_operator),
            ("approval_above", self.approval_above),
        ];
        let finer =
            |(_, Units(units)): &(&str, Units)| *units != units.trunc_with_scale(currency.decimals().into());
        match amounts.into_iter().find(finer) {
            None => Ok(()),
            Some((name, units)) => Err(SettingsError::Refused(format!(
                "wallets.{name}: {units} is finer than {currency} allows, which has {} decimals",
                currency.decimals()
            ))),
        }
    }
}

/// The greatest amount of a setting, in units of any currency: at most a hundredth of the balance
/// that the schema lets a top-up leave, so that refunds always fit.
const MAX_UNITS: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);
/// Most decimals of a currency.
const MAX_DECIMALS: u32 = 3;

/// An amount in units of the currency, whichever that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units(Decimal);

impl Units {
    /// The amount in the installation's currency. What is finer than its minor unit is cut off,
    /// which makes a bound stricter: a process that has such a setting does not start, and goes on
    /// if the currency is imported while it runs.
    pub fn money(self) -> Money {
        Money::of_units(self.0, Currency::installed())
    }
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Units {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let units = Decimal::from_str_exact(&text).ok().filter(|units| {
            plain && units.scale() <= MAX_DECIMALS && *units > Decimal::ZERO && *units <= MAX_UNITS
        });
        units.map(Self).ok_or_else(|| {
            D::Error::custom(format!(
                "wallets: an amount above zero with at most {MAX_DECIMALS} decimal places, at most {MAX_UNITS}"
            ))
        })
    }
}

fn hours<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let hours = u32::deserialize(deserializer)?;
    if (1..=MAX_APPROVAL_HOURS).contains(&hours) {
        return Ok(hours);
    }
    Err(D::Error::custom(format!("wallets.approval_hours: 1 to {MAX_APPROVAL_HOURS}")))
}
