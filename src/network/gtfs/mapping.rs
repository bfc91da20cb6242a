//! The mapping file: what of a feed is sold, on which buses, and for how much.

use super::super::{
    bounds::{MAX_BUSES, MAX_FILE_BYTES, MAX_NAME},
    currency::{Amount, Currency},
    fault::{Fault, Faults, shown},
    layout::BusModel,
    model::Rules,
    names::{Code, Language},
    read::{self, ModelText, RulesText},
    rows::{line_of, url},
};
use chrono::{Days, NaiveDate};
use chrono_tz::Tz;
use serde::Deserialize;
use std::{collections::BTreeMap, fs::File, io::Read as _, ops::RangeInclusive, path::Path};

/// The fare that is taken from the feed's rules.
const BY_RULES: &str = "rules";
/// Days of a week: dates are shifted by whole weeks, and so keep their days of the week.
const WEEK: i64 = 7;
/// Most days by which dates are shifted.
const MAX_SHIFT: i64 = 3_640;
/// Most parts of a mapping that sell.
const MAX_SELLS: usize = 1_000;
/// Most patterns of one list.
const MAX_PATTERNS: usize = 1_000;

/// What of a feed is sold, and how.
#[derive(Debug)]
pub struct Mapping {
    /// How faults name the file.
    file: String,
    /// The network's name.
    pub(super) name: String,
    pub(super) currency: Currency,
    /// The network's zone; `None` for the agency's.
    pub(super) zone: Option<Tz>,
    pub(super) languages: Vec<Language>,
    pub(super) url: Option<String>,
    pub(super) ticket_url: Option<String>,
    pub(super) shift: Shift,
    pub(super) defaults: Rules,
    pub(super) models: BTreeMap<Code, BusModel>,
    pub(super) sells: Vec<Sell>,
}

/// By how much all dates are shifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    /// By this number of days, a multiple of seven.
    Days(i64),
    /// By whole weeks, so that the feed's first date is this one or at most six days later.
    Start(NaiveDate),
}

impl Shift {
    /// In days, for a feed whose first date is `first`.
    pub(super) fn days(self, first: NaiveDate) -> i64 {
        match self {
            Self::Days(days) => days,
            Self::Start(start) => {
                let apart = (start - first).num_days();
                apart + (-apart).rem_euclid(WEEK)
            }
        }
    }
}

/// A date, later by a number of days; `None` outside of the calendar.
pub(super) fn shifted(date: NaiveDate, days: i64) -> Option<NaiveDate> {
    let by = Days::new(days.unsigned_abs());
    if days < 0 { date.checked_sub_days(by) } else { date.checked_add_days(by) }
}

/// A part of the feed that is sold in one way.
#[derive(Debug)]
pub(super) struct Sell {
    pub(super) routes: Vec<String>,
    pub(super) trips: Vec<String>,
    pub(super) directions: Option<Vec<u16>>,
    pub(super) model: Code,
    pub(super) buses: RangeInclusive<u32>,
    pub(super) fares: Fares,
    pub(super) rules: Rules,
}

/// Where fares come from.
#[derive(Debug)]
pub(super) enum Fares {
    /// By class.
    Fixed(BTreeMap<Code, Amount>),
    /// From the feed, from the first stop's zone to the last stop's; one for all classes.
    Rules,
}

impl Sell {
    /// Whether a route is of this part.
    pub(super) fn has_route(&self, id: &str) -> bool {
        self.routes.iter().any(|pattern| fits(pattern, id))
    }

    /// Whether a trip of one of its routes is of this part.
    pub(super) fn has_trip(&self, id: &str, direction: u16) -> bool {
        self.trips.iter().any(|pattern| fits(pattern, id))
            && self.directions.as_ref().is_none_or(|directions| directions.contains(&direction))
    }
}

/// Whether `text` is as the pattern says, in which `*` stands for any characters.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingText {
    name: String,
    currency: String,
    zone: Option<String>,
    languages: Vec<String>,
    url: Option<String>,
    ticket_url: Option<String>,
    shift_days: Option<i64>,
    start_date: Option<String>,
    #[serde(default)]
    defaults: RulesText,
    #[serde(default)]
    model: Vec<ModelText>,
    #[serde(default)]
    sell: Vec<SellText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SellText {
    #[serde(default = "all")]
    routes: Vec<String>,
    #[serde(default = "all")]
    trips: Vec<String>,
    directions: Option<Vec<u16>>,
    model: String,
    buses: String,
    fare: Option<String>,
    fares: Option<BTreeMap<String, String>>,
    #[serde(default)]
    rules: RulesText,
}

fn all() -> Vec<String> {
    vec!["*".to_owned()]
}

impl Mapping {
    /// A fault of one of its keys.
    pub(super) fn fault(&self, key: &str, rule: impl Into<String>) -> Fault {
        Fault::of_file(&self.file, rule).column(key)
    }

    /// Reads a mapping file.
    ///
    /// # Errors
    /// All broken rules.
    pub fn read(path: &Path) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let mut text = String::new();
        let name = path.display().to_string();
        let file = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text));
        let read = file.map_err(|error| Fault::of_file(&name, error.to_string()));
        match read.and_then(|_| read::toml_text(&name, &text)) {
            Ok(text) => Self::of(&name, &text, &mut faults).filter(|_| faults.is_empty()).ok_or(faults),
            Err(fault) => {
                faults.push(fault);
                Err(faults)
            }
        }
    }

    fn of(file: &str, text: &MappingText, faults: &mut Faults) -> Option<Self> {
        let fault = |key: &str, rule: String| Fault::of_file(file, rule).column(key);
        let name = checked(file, "name", line_of(&text.name, MAX_NAME), faults);
        let currency = checked(file, "currency", text.currency.parse::<Currency>(), faults);
        let zone = checked(file, "zone", text.zone.as_deref().map(read::zone).transpose(), faults);
        let languages = checked(file, "languages", read::languages(&text.languages), faults);
        let page = checked(file, "url", text.url.as_deref().map(url).transpose(), faults);
        let ticket_url = checked(file, "ticket_url", text.ticket_url.as_deref().map(url).transpose(), faults);
        let shift = checked(file, "shift_days", shift(text), faults);
        let defaults = text.defaults.rules(&|key, rule| fault(&format!("defaults.{key}"), rule), faults);
        let languages = languages?;
        let mut models = BTreeMap::new();
        for text in &text.model {
            let Some((code, model)) = read::model(file, text, &languages, faults) else { continue };
            if models.insert(code.clone(), model).is_some() {
                faults.push(fault("model", format!("the model {code} stands twice")));
            }
        }
        if !(1..=MAX_SELLS).contains(&text.sell.len()) {
            faults.push(fault("sell", format!("1 to {MAX_SELLS} parts that are sold")));
            return None;
        }
        let currency = currency?;
        let mut sells = Vec::new();
        for (n, text) in (1..).zip(&text.sell) {
            sells.extend(sell((file, n), text, currency, &models, faults));
        }
        shared_buses(file, &sells, faults);
        let (name, zone, url, ticket_url, shift) = (name?, zone?, page?, ticket_url?, shift?);
        let file = file.to_owned();
        Some(Self { file, name, currency, zone, languages, url, ticket_url, shift, defaults, models, sells })
    }
}

fn checked<T>(file: &str, key: &str, value: Result<T, String>, faults: &mut Faults) -> Option<T> {
    value.map_err(|rule| faults.push(Fault::of_file(file, rule).column(key))).ok()
}

fn shift(text: &MappingText) -> Result<Shift, String> {
    match (text.shift_days, &text.start_date) {
        (None, None) => Ok(Shift::Days(0)),
        (Some(days), None) if days % WEEK == 0 && days.abs() <= MAX_SHIFT => Ok(Shift::Days(days)),
        (Some(_), None) => {
            Err(format!("a multiple of 7 up to {MAX_SHIFT}, so that dates keep their days of the week"))
        }
        (None, Some(date)) => {
            read::date(date).map(Shift::Start).map_err(|rule| format!("start_date: {rule}"))
        }
        (Some(_), Some(_)) => Err("shift_days or start_date, not both".to_owned()),
    }
}

fn sell(
    (file, n): (&str, usize),
    text: &SellText,
    currency: Currency,
    models: &BTreeMap<Code, BusModel>,
    faults: &mut Faults,
) -> Option<Sell> {
    let key = |key: &str| format!("sell {n}, {key}");
    for (name, patterns) in [("routes", &text.routes), ("trips", &text.trips)] {
        if !(1..=MAX_PATTERNS).contains(&patterns.len()) {
            checked::<()>(file, &key(name), Err(format!("1 to {MAX_PATTERNS} patterns")), faults);
        }
    }
    let buses = checked(file, &key("buses"), buses(&text.buses), faults);
    let unknown = || format!("{} is no model of this file", shown(&text.model));
    let model = models.get_key_value(text.model.as_str()).ok_or_else(unknown);
    let (code, model) = checked(file, &key("model"), model, faults)?;
    let fares = checked(file, &key("fare"), fares(text, currency, model), faults)?;
    let rules = text.rules.rules(&|rule, text| Fault::of_file(file, text).column(key(rule)), faults);
    Some(Sell {
        routes: text.routes.clone(),
        trips: text.trips.clone(),
        directions: text.directions.clone(),
        model: code.clone(),
        buses: buses?,
        fares,
        rules,
    })
}

fn buses(text: &str) -> Result<RangeInclusive<u32>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = read::bus_number(first.trim())?..=read::bus_number(last.trim())?;
    let many = u64::from(*range.end()).saturating_sub(u64::from(*range.start()));
    if range.is_empty() || many >= MAX_BUSES as u64 {
        return Err(format!(
            "numbers like 101-140, from the first bus to the last, at most {MAX_BUSES} buses"
        ));
    }
    Ok(range)
}

fn fares(text: &SellText, currency: Currency, model: &BusModel) -> Result<Fares, String> {
    let classes = model.sold_classes();
    let code = |class: &str| class.parse::<Code>();
    let fares: BTreeMap<Code, Amount> = match (&text.fare, &text.fares) {
        (Some(fare), None) if fare == BY_RULES => return Ok(Fares::Rules),
        (Some(fare), None) => {
            let amount = currency.amount(fare).map_err(|rule| format!("{rule}; or \"{BY_RULES}\""))?;
            let each = classes.iter().map(|class| Ok((code(class)?, amount)));
            each.collect::<Result<_, String>>()?
        }
        (None, Some(fares)) => {
            let each = fares.iter().map(|(class, fare)| Ok((code(class)?, currency.amount(fare)?)));
            each.collect::<Result<_, String>>()?
        }
        _ => return Err("fare or fares, one of them".to_owned()),
    };
    if let Some(class) = classes.iter().find(|class| !fares.contains_key(**class)) {
        return Err(format!("the class {class} of the model has no fare"));
    }
    match fares.keys().find(|class| !classes.contains(class.as_str())) {
        Some(class) => Err(format!("no seat of the model has the class {class}")),
        None => Ok(Fares::Fixed(fares)),
    }
}

/// Parts have the same buses, of one model, or others.
fn shared_buses(file: &str, sells: &[Sell], faults: &mut Faults) {
    let mut ranges: Vec<(&RangeInclusive<u32>, &Code)> =
        sells.iter().map(|sell| (&sell.buses, &sell.model)).collect();
    ranges.sort_by_key(|(range, _)| *range.start());
    for (before, next) in ranges.iter().zip(ranges.iter().skip(1)) {
        if next.0.start() <= before.0.end() && next != before {
            let rule = format!(
                "two parts have the same buses, of one model, or others: bus {} is in two ranges",
                next.0.start()
            );
            faults.push(Fault::of_file(file, rule).column("sell, buses"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_stars() {
        for (pattern, text) in
            [("*", ""), ("*", "x"), ("a*", "abc"), ("*c", "abc"), ("a*b*c", "aXbYbc"), ("a", "a")]
        {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("a", "ab"), ("a*a", "a"), ("*b*", "ac"), ("a*c", "abcd")] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn dates_keep_their_day_of_the_week() {
        let day = |text: &str| text.parse::<NaiveDate>().expect(text);
        let first = day("2020-04-01");
        for start in ["2026-11-28", "2026-11-29", "2019-01-01", "2020-04-01"] {
            let days = Shift::Start(day(start)).days(first);
            let moved = shifted(first, days).expect("a date");
            assert_eq!((days % 7, (0..7).contains(&(moved - day(start)).num_days())), (0, true), "{start}");
        }
    }
}
