//! Calendars: on which days a departure runs.

use chrono::{Datelike, NaiveDate, Weekday};
use std::{collections::BTreeMap, fmt, str::FromStr};

const NAMES: [(&str, Weekday); 7] = [
    ("mon", Weekday::Mon),
    ("tue", Weekday::Tue),
    ("wed", Weekday::Wed),
    ("thu", Weekday::Thu),
    ("fri", Weekday::Fri),
    ("sat", Weekday::Sat),
    ("sun", Weekday::Sun),
];

/// Days of the week, from Monday on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WeekDays(u8);

impl WeekDays {
    /// No day.
    pub const NONE: Self = Self(0);
    /// Every day.
    pub const ALL: Self = Self(0b111_1111);

    /// One bit for each day, the lowest for Monday.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// The days of these bits.
    pub fn of_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// Whether this day is among them.
    pub fn has(self, day: Weekday) -> bool {
        self.0 & (1 << day.num_days_from_monday()) != 0
    }

    /// These days and this one.
    #[must_use]
    pub fn with(self, day: Weekday) -> Self {
        Self(self.0 | (1 << day.num_days_from_monday()))
    }
}

impl FromStr for WeekDays {
    /// The rule that the text breaks.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const RULE: &str = "days of the week, each once, like \"mon tue sat\"; or \"daily\"; or nothing";
        if text == "daily" {
            return Ok(Self::ALL);
        }
        text.split_whitespace().try_fold(Self::NONE, |days, word| {
            let day = NAMES.iter().find(|(name, _)| *name == word).map(|(_, day)| *day);
            day.filter(|day| !days.has(*day)).map(|day| days.with(day)).ok_or_else(|| RULE.to_owned())
        })
    }
}

impl fmt::Display for WeekDays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("daily");
        }
        let days: Vec<&str> =
            NAMES.into_iter().filter(|(_, day)| self.has(*day)).map(|(name, _)| name).collect();
        f.write_str(&days.join(" "))
    }
}

/// Days of the week within a period, and exceptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// The days of the week; none for a calendar of exceptions alone.
    pub days: WeekDays,
    /// First and last day on which `days` count. `None` without days.
    pub period: Option<(NaiveDate, NaiveDate)>,
    /// Dates that run (`true`) or do not, whatever `days` and `period` say.
    pub exceptions: BTreeMap<NaiveDate, bool>,
}

impl Calendar {
    /// Whether it runs on this date.
    pub fn runs_on(&self, date: NaiveDate) -> bool {
        self.exceptions.get(&date).copied().unwrap_or_else(|| {
            self.days.has(date.weekday())
                && self.period.is_some_and(|(from, until)| (from..=until).contains(&date))
        })
    }

    /// First and last date on which it may run; `None` if it never does.
    pub fn span(&self) -> Option<(NaiveDate, NaiveDate)> {
        let added = || self.exceptions.iter().filter(|(_, runs)| **runs).map(|(date, _)| *date);
        let firsts = self.period.map(|(from, _)| from).into_iter().chain(added().min());
        let lasts = self.period.map(|(_, until)| until).into_iter().chain(added().max());
        firsts.min().zip(lasts.max())
    }

    /// The dates on which it runs, of `first` to `last`, ascending.
    pub fn dates(&self, first: NaiveDate, last: NaiveDate) -> impl Iterator<Item = NaiveDate> + '_ {
        let span = self.span().map(|(from, until)| (from.max(first), until.min(last)));
        let (from, until) = span.unwrap_or((last, first));
        from.iter_days().take_while(move |date| *date <= until && from <= until).filter(|d| self.runs_on(*d))
    }

    /// All dates on which it runs, ascending.
    pub fn all_dates(&self) -> impl Iterator<Item = NaiveDate> + '_ {
        self.dates(NaiveDate::MIN, NaiveDate::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect(text)
    }

    #[test]
    fn exceptions_come_before_days_and_period() {
        let mut calendar = Calendar {
            days: "mon tue".parse().expect("days"),
            period: Some((day("2028-02-28"), day("2028-03-07"))),
            exceptions: BTreeMap::from([(day("2028-02-29"), false), (day("2028-03-12"), true)]),
        };
        let dates = |calendar: &Calendar| calendar.all_dates().map(|d| d.to_string()).collect::<Vec<_>>();
        assert_eq!(dates(&calendar), ["2028-02-28", "2028-03-06", "2028-03-07", "2028-03-12"]);
        assert_eq!(calendar.dates(day("2028-03-07"), day("2028-03-11")).count(), 1);
        // The leap day is a Tuesday.
        calendar.exceptions.clear();
        assert_eq!(dates(&calendar)[1], "2028-02-29");
        calendar.period = None;
        assert_eq!((calendar.span(), calendar.all_dates().count()), (None, 0));
    }

    #[test]
    fn days_are_read_and_written() {
        for text in ["", "daily", "mon tue wed thu fri", "sun"] {
            assert_eq!(text.parse::<WeekDays>().expect(text).to_string(), text);
        }
        for text in ["mon mon", "Monday", "mon,tue", "1111100"] {
            assert!(text.parse::<WeekDays>().is_err(), "{text}");
        }
    }
}
