//! Exact money with two decimal places.

use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{borrow::Cow, fmt, str::FromStr};

/// Decimal places of every amount.
const PLACES: u32 = 2;
/// The largest amount the database's `numeric(14, 2)` holds.
const MAX_STORED: Decimal = Decimal::from_parts(3_567_587_327, 232, 0, false, 0); // 999_999_999_999 whole units

/// The largest amount of a request: a thousandth of the database's largest, so that sums and
/// products fit too.
const MAX_INPUT: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);
/// Most digits before the point of an amount in a request.
const MAX_DIGITS: usize = 10;

/// An amount of money, in whole cents; a string with two places in JSON. In requests it has no
/// sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(Decimal);

impl Money {
    /// An amount of the database, which is never finer than a cent.
    pub fn from_database(amount: Decimal) -> Self {
        Self(amount)
    }

    /// The exact decimal.
    pub fn decimal(self) -> Decimal {
        self.0
    }

    /// This unit price times `count`, exactly. `None` beyond what the database can hold.
    pub fn times(self, count: usize) -> Option<Self> {
        let count = Decimal::from(u32::try_from(count).ok()?);
        self.0.checked_mul(count).filter(|amount| *amount <= MAX_STORED).map(Self)
    }

    /// Whether this is more than nothing.
    pub fn is_positive(self) -> bool {
        self.0 > Decimal::ZERO
    }
}

/// An amount that may be less than nothing, for corrections; else as [`Money`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedMoney(Decimal);

impl SignedMoney {
    /// An amount of the database.
    pub fn from_database(amount: Decimal) -> Self {
        Self(amount)
    }

    /// The exact decimal.
    pub fn decimal(self) -> Decimal {
        self.0
    }

    /// The amount without its sign.
    pub fn size(self) -> Money {
        Money(self.0.abs())
    }
}

impl From<Money> for SignedMoney {
    fn from(amount: Money) -> Self {
        Self(amount.0)
    }
}

impl fmt::Display for SignedMoney {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.0)
    }
}

impl FromStr for SignedMoney {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix('-') {
            Some(size) => size.parse::<Money>().map(|size| Self(-size.0)),
            None => text.parse::<Money>().map(Self::from),
        }
    }
}

impl Serialize for SignedMoney {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SignedMoney {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for SignedMoney {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SignedMoney".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Whole cents as a decimal string, with a minus sign if it is less than nothing; at most 1000000000.00 either way.",
            "pattern": r"^-?[0-9]{1,10}(\.[0-9]{1,2})?$",
            "examples": ["-4.00"],
        })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.0)
    }
}

impl FromStr for Money {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "an amount is a decimal string with at most two places, like \"4.00\"";
        const BOUND: &str = "an amount is at most 1000000000.00";
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (whole, cents) = text.split_once('.').map_or((text, None), |(whole, cents)| (whole, Some(cents)));
        if !digits(whole) || cents.is_some_and(|cents| !digits(cents) || cents.len() > PLACES as usize) {
            return Err(RULE);
        }
        if whole.len() > MAX_DIGITS {
            return Err(BOUND);
        }
        let amount = Decimal::from_str_exact(text).map_err(|_| RULE)?;
        if amount > MAX_INPUT {
            return Err(BOUND);
        }
        Ok(Self(amount))
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Money {
    fn schema_name() -> Cow<'static, str> {
        "Money".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Whole cents as a decimal string. Answers have two places and may have a sign; what comes in has no sign and is at most 1000000000.00.",
            "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,2})?$",
            "examples": ["4.00"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_exact_and_prints_two_places() {
        let price: Money = "4".parse().expect("a whole amount");
        assert_eq!(price.to_string(), "4.00");
        assert_eq!(price.times(3).expect("small").to_string(), "12.00");
        assert_eq!(MAX_STORED.to_string(), "999999999999");
        assert_eq!("1000000000".parse::<Money>().expect("the bound").to_string(), "1000000000.00");
    }

    #[test]
    fn a_signed_amount_has_one_sign_at_most() {
        let taken: SignedMoney = "-4.5".parse().expect("a signed amount");
        assert_eq!((taken.to_string(), taken.size().to_string()), ("-4.50".to_owned(), "4.50".to_owned()));
        assert_eq!("4".parse::<SignedMoney>().map(|amount| amount.to_string()), Ok("4.00".to_owned()));
        for text in ["--4", "+4", "-", "- 4", "-1000000000.01", "4-"] {
            assert!(text.parse::<SignedMoney>().is_err(), "{text:?} was taken for money");
        }
    }

    #[test]
    fn what_is_not_money_is_refused() {
        for text in [
            "",
            "4.001",
            "1e3",
            "+4",
            "-4",
            " 4",
            "4 ",
            "4,00",
            ".5",
            "5.",
            ".",
            "1_000",
            "４",
            "1000000000.01",
            "1000000000000",
            "00000000001",
            "NaN",
            "4.00\0",
        ] {
            assert!(text.parse::<Money>().is_err(), "{text:?} was taken for money");
        }
    }
}
