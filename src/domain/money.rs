//! Exact money. An amount is kept as the database has it: in hundreds of the currency's minor units.
//! A stored 4.00 is 400 minor units: 4.00 CNY, 400 JPY, 0.400 KWD. It is read and shown with the
//! decimals of the installation's currency ([`Currency::installed`]).

use super::currency::{Currency, MAX_MINOR};
use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{borrow::Cow, fmt, str::FromStr};

/// Decimal places of a stored amount: its digits count minor units.
const STORED_PLACES: u32 = 2;
/// The largest stored amount that the database's `numeric(14, 2)` holds.
const MAX_STORED: Decimal = Decimal::from_parts(3_567_587_327, 232, 0, false, 0); // 999_999_999_999
/// Most digits of an amount in a request, before the point and after it.
const MAX_DIGITS: usize = 12;

/// A stored amount in units of the currency, with all of its decimals.
fn shown(stored: Decimal, currency: Currency) -> Decimal {
    let mut amount = stored;
    amount.rescale(STORED_PLACES);
    // The digits are whole minor units, so only the point moves. At most three places always fit.
    let _ = amount.set_scale(currency.decimals().into());
    amount
}

/// An amount of money, in whole minor units; a string with the currency's decimals in JSON. In
/// requests it has no sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(Decimal);

impl Money {
    /// An amount of the database, which is never finer than a minor unit.
    pub fn from_database(amount: Decimal) -> Self {
        Self(amount)
    }

    /// This many minor units.
    pub fn of_minor(minor: i64) -> Self {
        Self(Decimal::new(minor, STORED_PLACES))
    }

    /// An amount in units of the currency. What is finer than a minor unit is cut off.
    pub fn of_units(units: Decimal, currency: Currency) -> Self {
        let mut amount = units.trunc_with_scale(currency.decimals().into());
        amount.rescale(currency.decimals().into());
        // As in `shown`: only the point moves.
        let _ = amount.set_scale(STORED_PLACES);
        Self(amount)
    }

    /// Reads an amount in units of the currency, in digits with at most its decimals.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn read(text: &str, currency: Currency) -> Result<Self, String> {
        let rule = || {
            let places = match currency.decimals() {
                0 => "without decimal places".to_owned(),
                most => format!("with at most {most} decimal places"),
            };
            format!(
                "an amount of {currency} is a decimal string {places}, like \"{}\"",
                shown(Decimal::new(400, 2), currency)
            )
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (whole, part) = text.split_once('.').map_or((text, None), |(whole, part)| (whole, Some(part)));
        let decimals = usize::from(currency.decimals());
        if !digits(whole) || part.is_some_and(|part| !digits(part) || part.len() > decimals) {
            return Err(rule());
        }
        let most = Self::of_minor(MAX_MINOR);
        let bound = || format!("an amount is at most {}", shown(most.0, currency));
        if whole.len() + decimals > MAX_DIGITS {
            return Err(bound());
        }
        let amount = Self::of_units(Decimal::from_str_exact(text).map_err(|_| rule())?, currency);
        if amount > most { Err(bound()) } else { Ok(amount) }
    }

    /// The exact decimal as it is stored.
    pub fn decimal(self) -> Decimal {
        self.0
    }

    /// How many minor units it is; `None` if they are more than an `i64` counts.
    pub fn minor(self) -> Option<i64> {
        let mut amount = self.0;
        amount.rescale(STORED_PLACES);
        i64::try_from(amount.mantissa()).ok()
    }

    /// This unit price times `count`, exactly. `None` beyond what the database can hold.
    pub fn times(self, count: usize) -> Option<Self> {
        let count = Decimal::from(u32::try_from(count).ok()?);
        self.0.checked_mul(count).filter(|amount| *amount <= MAX_STORED).map(Self)
    }

    /// The sum of these prices, exactly. `None` beyond what the database can hold.
    pub fn sum(prices: &[Self]) -> Option<Self> {
        let mut prices = prices.iter();
        let sum = prices.try_fold(Decimal::ZERO, |sum, price| sum.checked_add(price.0))?;
        (sum <= MAX_STORED).then_some(Self(sum))
    }

    /// Whether this is more than nothing.
    pub fn is_positive(self) -> bool {
        self.0 > Decimal::ZERO
    }

    /// With the currency's code, for a sentence: `4.00 CNY`.
    pub fn with_code(self) -> String {
        format!("{self} {}", Currency::installed())
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

    /// The exact decimal as it is stored.
    pub fn decimal(self) -> Decimal {
        self.0
    }

    /// The amount without its sign.
    pub fn size(self) -> Money {
        Money(self.0.abs())
    }

    /// With the currency's code, as [`Money::with_code`].
    pub fn with_code(self) -> String {
        format!("{self} {}", Currency::installed())
    }
}

impl From<Money> for SignedMoney {
    fn from(amount: Money) -> Self {
        Self(amount.0)
    }
}

impl fmt::Display for SignedMoney {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(self.0, Currency::installed()).fmt(f)
    }
}

impl FromStr for SignedMoney {
    /// The rule that the text breaks.
    type Err = String;

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
            "description": "As Money, with a minus sign if it is less than nothing; at most 100000000000 minor units either way.",
            "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,3})?$",
            "examples": ["-4.00"],
        })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(self.0, Currency::installed()).fmt(f)
    }
}

impl FromStr for Money {
    /// The rule that the text breaks.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(text, Currency::installed())
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
            "description": "Whole minor units as a decimal string. The currency of the installation decides the decimals by ISO 4217: none (500 JPY), two (4.00 CNY) or three (0.400 KWD). Answers have all of them and may have a sign. What comes in has at most as many, no sign, and is at most 100000000000 minor units: 100000000000 JPY, 1000000000.00 CNY, 100000000.000 KWD.",
            "pattern": r"^-?[0-9]{1,18}(\.[0-9]{1,3})?$",
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
        let more: Money = "5.25".parse().expect("a price");
        assert_eq!(Money::sum(&[price, more, price]).expect("small").to_string(), "13.25");
        assert_eq!(Money::sum(&[Money(MAX_STORED), more]), None);
        assert_eq!(MAX_STORED.to_string(), "999999999999");
        assert_eq!("1000000000".parse::<Money>().expect("the bound").to_string(), "1000000000.00");
    }

    #[test]
    fn the_currency_decides_the_decimals_and_storage_is_in_hundreds_of_minor_units() {
        for (code, text, stored, written) in [
            ("JPY", "500", "5.00", "500"),
            ("JPY", "1", "0.01", "1"),
            ("JPY", "100000000000", "1000000000.00", "100000000000"),
            ("CNY", "4", "4.00", "4.00"),
            ("KWD", "0.4", "4.00", "0.400"),
            ("KWD", "0.001", "0.01", "0.001"),
            ("KWD", "100000000", "1000000000.00", "100000000.000"),
        ] {
            let currency: Currency = code.parse().expect(code);
            let amount = Money::read(text, currency).expect(text);
            assert_eq!(
                (amount.0.to_string().as_str(), shown(amount.0, currency).to_string().as_str()),
                (stored, written)
            );
            assert_eq!(shown(-amount.0, currency).to_string(), format!("-{written}"));
        }
        let (yen, dinar) = ("JPY".parse().expect("JPY"), "KWD".parse().expect("KWD"));
        for (currency, text, rule) in [
            (yen, "500.0", "an amount of JPY is a decimal string without decimal places, like \"400\""),
            (yen, "0.5", "an amount of JPY is a decimal string without decimal places, like \"400\""),
            (
                dinar,
                "0.4001",
                "an amount of KWD is a decimal string with at most 3 decimal places, like \"0.400\"",
            ),
            (
                Currency::OF_NO_NETWORK,
                "4.001",
                "an amount of CNY is a decimal string with at most 2 decimal places, like \"4.00\"",
            ),
            (yen, "100000000001", "an amount is at most 100000000000"),
            (yen, "1000000000000", "an amount is at most 100000000000"),
            (dinar, "100000000.001", "an amount is at most 100000000.000"),
        ] {
            assert_eq!(Money::read(text, currency), Err(rule.to_owned()), "{text}");
        }
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
