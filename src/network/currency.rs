//! Amounts of a network: exact in the smallest unit of its currency.

use super::bounds::MAX_MINOR;
use std::fmt;

pub use crate::domain::Currency;

impl Currency {
    /// Reads an amount above zero, in digits with at most the currency's decimals.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn amount(self, text: &str) -> Result<Amount, String> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let decimals = usize::from(self.decimals());
        let shaped = !whole.is_empty() && digits(whole) && digits(part) && text.ends_with(|c| c != '.');
        if !shaped || part.len() > decimals {
            return Err(match decimals {
                0 => format!("a whole number: {} has no decimals", self.code()),
                most => format!("a number with at most {most} decimals, the point before them"),
            });
        }
        let padded = format!("{whole}{part:0<decimals$}");
        match padded.parse().ok().filter(|minor| (1..=MAX_MINOR).contains(minor)) {
            Some(minor) => Ok(Amount { minor, currency: self }),
            None => Err(format!("an amount above zero, at most {}", self.of_minor(MAX_MINOR))),
        }
    }

    /// An amount of this many smallest units.
    pub fn of_minor(self, minor: i64) -> Amount {
        Amount { minor, currency: self }
    }
}

/// An exact amount of a currency.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount {
    minor: i64,
    currency: Currency,
}

impl Amount {
    /// In the currency's smallest unit.
    pub fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    pub fn currency(self) -> Currency {
        self.currency
    }
}

/// With all decimals of the currency, and without its code.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10_i64.pow(self.currency.decimals().into());
        match self.currency.decimals() {
            0 => write!(f, "{}", self.minor),
            n => write!(f, "{}.{:0>width$}", self.minor / unit, self.minor % unit, width = n.into()),
        }
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} {}", self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_decimals_of_their_currency_and_are_exact() {
        for (code, text, minor, written) in [
            ("JPY", "500", 500, "500"),
            ("EUR", "4", 400, "4.00"),
            ("EUR", "0.01", 1, "0.01"),
            ("EUR", "12.5", 1250, "12.50"),
            ("KWD", "1.005", 1005, "1.005"),
            ("CNY", "1000000000", 100_000_000_000, "1000000000.00"),
        ] {
            let amount = code.parse::<Currency>().expect(code).amount(text).expect(text);
            assert_eq!((amount.minor(), amount.to_string().as_str()), (minor, written), "{code}");
        }
        for (code, text) in [
            ("JPY", "500.0"),
            ("JPY", "0"),
            ("EUR", "1.005"),
            ("EUR", "1."),
            ("EUR", ".5"),
            ("EUR", "-1"),
            ("EUR", "1,00"),
            ("EUR", "1e3"),
            ("EUR", "٣"),
            ("EUR", ""),
            ("EUR", "99999999999999999999"),
        ] {
            assert!(code.parse::<Currency>().expect(code).amount(text).is_err(), "{code} {text}");
        }
    }
}
