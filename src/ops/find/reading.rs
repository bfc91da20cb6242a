//! What the text of a search may mean. One text may mean several things: twelve hexadecimal digits
//! are the end of an id or the fingerprint of an error.

use super::departure::WantedDeparture;
use crate::domain::Id;
use chrono::NaiveDate;
use uuid::Uuid;

/// Longest text of a search, characters. An error's fingerprint is made of as many.
pub const MAX_CHARS: usize = 1_000;
/// Longest key of a job or of a request, characters.
const MAX_KEY_CHARS: usize = 200;
/// Hexadecimal digits of an id that the console prints.
const END_DIGITS: usize = 12;
/// Hexadecimal digits of a trace id.
const TRACE_DIGITS: usize = 32;
/// Fewest characters of a name's part, unless one of them is not ASCII.
const MIN_PART: usize = 3;
/// Fewest characters of a name's part with one that is not ASCII: a Chinese name has two.
const MIN_WIDE_PART: usize = 2;
/// Fewest and most digits of a phone number's end.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 4..=40;
/// Fewest digits that stay of a number without its country.
pub(super) const MIN_NATIONAL: i32 = 7;
/// As [`MIN_NATIONAL`], of a number that does not say that it begins with a country.
const MIN_UNMARKED: i32 = 10;

/// What a text may mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The text, without blanks around it.
    pub text: String,
    /// A whole id.
    pub id: Option<Uuid>,
    /// The last digits of an id, in lower case.
    pub end: Option<String>,
    /// A trace id, in lower case.
    pub trace: Option<String>,
    /// A phone number or its end.
    pub phone: Option<WantedPhone>,
    /// A departure.
    pub departure: Option<WantedDeparture>,
    /// Whether the text is long enough for a part of a name.
    pub is_part: bool,
    /// Whether the text may be the key of a job or of a request.
    pub is_key: bool,
}

/// A phone number or its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedPhone {
    /// Digits in which a number ends.
    pub end: String,
    /// Whole numbers: the text's without its country, with and without a leading 0.
    pub whole: Vec<String>,
}

impl Reading {
    /// Reads a text; `today` is the day of the timetable's zone.
    pub fn of(text: &str, today: NaiveDate) -> Self {
        let text = text.trim();
        let chars = text.chars().count();
        let least = if text.is_ascii() { MIN_PART } else { MIN_WIDE_PART };
        let id = text.parse().ok().map(|Id(id)| id);
        Self {
            id,
            end: end_of_id(text),
            trace: trace(text),
            phone: WantedPhone::of(text),
            departure: WantedDeparture::of(text, today),
            is_part: (least..=MAX_KEY_CHARS).contains(&chars),
            is_key: (1..=MAX_KEY_CHARS).contains(&chars),
            text: text.to_owned(),
        }
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `…0f4b8d2e7c31`, `...0f4b8d2e7c31` or `0f4b8d2e7c31`.
fn end_of_id(text: &str) -> Option<String> {
    let digits = text.trim_start_matches(['…', '.']).trim();
    (digits.len() == END_DIGITS && is_hex(digits)).then(|| digits.to_ascii_lowercase())
}

/// 32 digits, alone or in a W3C `traceparent`.
fn trace(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('-').collect();
    let digits = match parts[..] {
        [digits] => digits,
        [_, digits, _, _] => digits,
        _ => return None,
    };
    (digits.len() == TRACE_DIGITS && is_hex(digits)).then(|| digits.to_ascii_lowercase())
}

impl WantedPhone {
    /// `138 1234 5678`, `+86 138-1234-5678`, `0086…`, `028-5550-0101`, `5678`.
    fn of(text: &str) -> Option<Self> {
        let is_phone = |c: char| c.is_ascii_digit() || "-+(). /".contains(c);
        if !text.chars().all(is_phone) || text.trim_start_matches('+').contains('+') {
            return None;
        }
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        if !PHONE_DIGITS.contains(&digits.len()) {
            return None;
        }
        let abroad = if text.starts_with('+') { Some(&digits[..]) } else { digits.strip_prefix("00") };
        let end = abroad.unwrap_or(&digits).trim_start_matches('0');
        if end.len() < *PHONE_DIGITS.start() {
            // 10000: zeros that are the number's own.
            return Some(Self { end: digits, whole: Vec::new() });
        }
        // A country has one to three digits.
        let least = if abroad.is_some() { MIN_NATIONAL } else { MIN_UNMARKED };
        let national = (1..=3)
            .filter_map(|country| end.get(country..))
            .filter(|rest| i32::try_from(rest.len()).is_ok_and(|digits| digits >= least));
        let whole = national.flat_map(|rest| [rest.to_owned(), format!("0{rest}")]).collect();
        Some(Self { end: end.to_owned(), whole })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Reading {
        Reading::of(text, NaiveDate::from_ymd_opt(2026, 11, 30).expect("a day"))
    }

    #[test]
    fn ids_and_traces_are_read_as_the_console_prints_them() {
        let id = "0193fa1c-2e7b-7c3d-9a41-b6f0c8d2e511";
        assert_eq!(read(id).id, id.parse().ok());
        for text in ["…b6f0c8d2e511", "...b6f0c8d2e511", " B6F0C8D2E511 ", "… b6f0c8d2e511"] {
            assert_eq!(read(text).end.as_deref(), Some("b6f0c8d2e511"), "{text}");
        }
        for text in ["b6f0c8d2e51", "b6f0c8d2e511a", "b6f0c8d2e51g", "…", ""] {
            assert_eq!(read(text).end, None, "{text}");
        }
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for text in [trace, &trace.to_uppercase(), &format!("00-{trace}-00f067aa0ba902b7-01")] {
            assert_eq!(read(text).trace.as_deref(), Some(trace), "{text}");
        }
        assert_eq!(read(id).trace, None);
        assert_eq!(read(&trace[1..]).trace, None);
    }

    #[test]
    fn a_phone_number_is_read_with_and_without_its_country() {
        let phone = |text: &str| read(text).phone;
        let end = |text: &str| phone(text).map(|phone| phone.end).unwrap_or_default();
        for (text, digits) in [
            ("13812345678", "13812345678"),
            ("138 1234-5678", "13812345678"),
            ("+86 138 1234 5678", "8613812345678"),
            ("0086 138 1234 5678", "8613812345678"),
            ("(028) 5550.0101", "2855500101"),
            ("5678", "5678"),
            ("0000", "0000"),
        ] {
            assert_eq!(end(text), digits, "{text}");
        }
        for text in ["+86 138 1234 5678", "008613812345678", "8613812345678"] {
            let whole = phone(text).map(|phone| phone.whole).unwrap_or_default();
            for same in ["13812345678", "013812345678"] {
                assert!(whole.contains(&same.to_owned()), "{text}");
            }
        }
        assert_eq!(phone("55500101").map(|phone| phone.whole), Some(Vec::new()));
        for text in ["567", "+1+23456", "12a4", "", "++", "1234567890".repeat(5).as_str()] {
            assert_eq!(phone(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_has_three_letters_or_two_of_another_script() {
        for text in ["ann", "小明", "é1", "%_\\", "李雷 2"] {
            assert!(read(text).is_part, "{text}");
        }
        for text in ["", "an", "王", "  a  ", &"x".repeat(201)] {
            assert!(!read(text).is_part, "{text}");
        }
    }
}
