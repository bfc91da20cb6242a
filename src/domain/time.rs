//! Times and days of requests.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{borrow::Cow, fmt, ops::RangeInclusive, str::FromStr};

/// The years of RFC 3339 that the database's calendar has too: there is no year 0 in it.
const YEARS: RangeInclusive<i32> = 1..=9999;
/// Longest text of a moment, bytes.
const MAX_BYTES: usize = 64;
/// Where a moment's date ends.
const AFTER_DATE: usize = 10;

/// A time in RFC 3339, of the years 1 to 9999, truncated to the database's microseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(DateTime<Utc>);

impl Instant {
    /// The moment.
    pub fn utc(self) -> DateTime<Utc> {
        self.0
    }

    /// This moment, cut to microseconds; `None` outside of the years.
    pub fn of(at: DateTime<Utc>) -> Option<Self> {
        DateTime::from_timestamp_micros(at.timestamp_micros())
            .filter(|at| YEARS.contains(&at.year()))
            .map(Self)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Instant {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "a time of the years 1 to 9999 as RFC 3339 writes it, like 2026-01-31T07:50:00Z";
        let bytes = text.as_bytes();
        let plain = text.is_ascii() && text.len() <= MAX_BYTES && bytes.get(..4).is_some_and(all_digits);
        let split = matches!(bytes.get(AFTER_DATE), Some(b'T' | b't'));
        let at = DateTime::parse_from_rfc3339(text).ok().filter(|_| plain && split);
        at.and_then(|at| Self::of(at.with_timezone(&Utc))).ok_or(RULE)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl JsonSchema for Instant {
    fn schema_name() -> Cow<'static, str> {
        "Instant".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "RFC 3339, of the years 1 to 9999; cut to microseconds.",
            "maxLength": MAX_BYTES,
        })
    }
}

/// A day of the calendar, of the years 1 to 9999, as `2026-01-31`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(NaiveDate);

impl Day {
    /// The date.
    pub fn date(self) -> NaiveDate {
        self.0
    }

    /// This date; `None` outside of the years.
    pub fn of(date: NaiveDate) -> Option<Self> {
        YEARS.contains(&date.year()).then_some(Self(date))
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Day {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "a day of the years 1 to 9999, like 2026-01-31";
        let digits =
            |(at, byte): (usize, u8)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() };
        let plain = text.len() == AFTER_DATE && text.bytes().enumerate().all(digits);
        let date = text.parse::<NaiveDate>().ok().filter(|_| plain);
        date.and_then(Self::of).ok_or(RULE)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

fn all_digits(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_of_rfc_3339_and_cut_to_microseconds() {
        let read = |text: &str| text.parse::<Instant>().map(|at| at.utc().to_rfc3339());
        assert_eq!(read("2026-01-31T07:50:00.000001999Z").as_deref(), Ok("2026-01-31T07:50:00.000001+00:00"));
        assert_eq!(read("2026-01-31t07:50:00+08:00").as_deref(), Ok("2026-01-30T23:50:00+00:00"));
        assert_eq!(read("2016-12-31T23:59:60Z").as_deref(), Ok("2017-01-01T00:00:00+00:00"));
        assert!(read("9999-12-31T23:59:59Z").is_ok() && read("0001-01-01T00:00:00Z").is_ok());
        for other in [
            "",
            "2026-01-31",
            "2026-01-31T07:50:00",
            "2026-01-31 07:50:00Z",
            "+262142-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "-4800-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "2026-02-30T00:00:00Z",
            "1769845800",
            "2026-01-31T07:50:00\u{2212}08:00",
            "２０２６-01-31T07:50:00Z",
            "now",
            "infinity",
        ] {
            assert!(read(other).is_err(), "{other:?}");
        }
    }

    #[test]
    fn days_are_of_the_calendar() {
        for day in ["2026-01-31", "0001-01-01", "9999-12-31", "2028-02-29"] {
            assert_eq!(day.parse::<Day>().map(|day| day.date().to_string()), Ok(day.to_owned()));
        }
        for other in [
            "",
            "-4800-01-01",
            "+2026-01-31",
            "0000-01-01",
            "2026-2-3",
            "2026-02-30",
            "20260131",
            "2026-01-31 ",
            "today",
        ] {
            assert!(other.parse::<Day>().is_err(), "{other:?}");
        }
    }
}
