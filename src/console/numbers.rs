//! Numbers as people read them: thousands apart, and an amount in one piece with its currency. Forms
//! and the API keep plain digits.

use crate::domain::Currency;
use std::fmt::Display;

/// Between an amount and its currency: a line never ends there.
const NO_BREAK: char = '\u{a0}';

/// A count, an amount without its currency, or a bounded count like `1000+`, with separated thousands.
pub(crate) fn grouped(number: impl Display) -> String {
    let text = number.to_string();
    let sign = usize::from(text.starts_with('-'));
    let end = text[sign..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |at| sign + at);
    let mut apart = text[..sign].to_owned();
    for (at, digit) in text[sign..end].chars().enumerate() {
        if at > 0 && (end - sign - at) % 3 == 0 {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart.push_str(&text[end..]);
    apart
}

/// An amount with the installation's currency, for a sentence.
pub(crate) fn money_words(amount: impl Display) -> String {
    with_currency(amount, Currency::installed())
}

/// An amount with its currency.
pub(crate) fn with_currency(amount: impl Display, currency: impl Display) -> String {
    format!("{}{NO_BREAK}{currency}", grouped(amount))
}

/// A sentence that the API returns too, with its amounts as pages show them.
pub(crate) fn in_words(words: &str) -> String {
    let currency = Currency::installed();
    let code = format!(" {currency}");
    let mut shown = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(at) = rest.find(&code) {
        let before = &rest[..at];
        let words = before.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        let amount = &before[words.len()..];
        shown.push_str(words);
        shown.push_str(&if amount.is_empty() { code.clone() } else { with_currency(amount, currency) });
        rest = &rest[at + code.len()..];
    }
    shown.push_str(rest);
    shown
}

/// A number without needless decimal places, with separated thousands.
pub(crate) fn short(value: f64) -> String {
    if value.fract() != 0.0 && value < 100.0 {
        return format!("{value:.2}");
    }
    grouped(format!("{value:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart_and_the_rest_stays() {
        for (plain, read) in [
            ("0", "0"),
            ("999", "999"),
            ("4245", "4,245"),
            ("1000+", "1,000+"),
            ("1000000968.00", "1,000,000,968.00"),
            ("-100000.500", "-100,000.500"),
            ("", ""),
            ("-", "-"),
        ] {
            assert_eq!(grouped(plain), read);
        }
        for (value, text) in
            [(0.0, "0"), (4_245.0, "4,245"), (1_000_000.0, "1,000,000"), (0.25, "0.25"), (78.0, "78")]
        {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn amounts_in_a_sentence_are_in_one_piece() {
        for (plain, read) in [
            ("gives 1000.00 CNY back", "gives 1,000.00\u{a0}CNY back"),
            ("向乘客退回 4.00 CNY，并释放座位 12", "向乘客退回 4.00\u{a0}CNY，并释放座位 12"),
            ("40000 seats, in CNY 7, 12345.00 CNY", "40000 seats, in CNY 7, 12,345.00\u{a0}CNY"),
            ("", ""),
        ] {
            assert_eq!(in_words(plain), read);
        }
    }
}
