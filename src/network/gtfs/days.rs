//! The days of services: `calendar.txt` and `calendar_dates.txt`.

use super::super::{
    bounds::{MAX_CALENDAR_DAYS, MAX_EXCEPTIONS, YEARS},
    calendar::{Calendar, WeekDays},
    fault::{Fault, Faults, shown},
    source::Source,
};
use super::{
    feed::Feed,
    mapping::{Shift, shifted},
    tables::{Line, each},
};
use chrono::{Days, NaiveDate, Weekday};
use std::collections::{BTreeMap, HashMap, HashSet};

const CALENDAR: &str = "calendar.txt";
const CALENDAR_DATES: &str = "calendar_dates.txt";
const DAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Mon),
    ("tuesday", Weekday::Tue),
    ("wednesday", Weekday::Wed),
    ("thursday", Weekday::Thu),
    ("friday", Weekday::Fri),
    ("saturday", Weekday::Sat),
    ("sunday", Weekday::Sun),
];

/// The calendars of the services that are sold, by service; shifted.
pub(super) type Services = BTreeMap<String, Calendar>;

/// A service, and the line on which it first stands.
struct Service {
    calendar: Calendar,
    place: (&'static str, u64),
}

/// Reads the services of the trips that are sold. `today` is the first day that is not past.
pub(super) fn read(
    source: &mut Source,
    feed: &Feed,
    (shift, today): (Shift, NaiveDate),
    faults: &mut Faults,
) -> Services {
    let mut services = of_files(source, feed, faults);
    left_out(feed, &services, faults);
    let spans = services.values().filter_map(|service| service.calendar.span());
    let days = spans.map(|(first, _)| first).min().map_or(0, |first| shift.days(first));
    for service in services.values_mut() {
        service.calendar = later(&service.calendar, days);
        clip(&mut service.calendar, today);
    }
    without_days(feed, &mut services, today, faults);
    services.into_iter().map(|(id, service)| (id, service.calendar)).collect()
}

fn of_files(source: &mut Source, feed: &Feed, faults: &mut Faults) -> BTreeMap<String, Service> {
    let sold: HashSet<&str> = feed.trips.iter().map(|trip| trip.service.as_str()).collect();
    let mut services: BTreeMap<String, Service> = BTreeMap::new();
    let has_calendar = each(source, CALENDAR, &["service_id"], faults, |line, faults| {
        let Some(id) = line.need("service_id", faults).filter(|id| sold.contains(id)) else { return };
        if services.contains_key(id) {
            return faults.push(line.fault("service_id", "a service stands once; the first is taken"));
        }
        let Some(calendar) = weekly(line, faults) else { return };
        services.insert(id.to_owned(), Service { calendar, place: (CALENDAR, line.number()) });
    });
    let required = ["service_id", "date", "exception_type"];
    let has_dates = each(source, CALENDAR_DATES, &required, faults, |line, faults| {
        let Some(id) = line.need("service_id", faults).filter(|id| sold.contains(id)) else { return };
        line.need("exception_type", faults);
        let runs = line.read("exception_type", faults, |text| match text {
            "1" => Ok(true),
            "2" => Ok(false),
            _ => Err("1 or 2; the line is left out".to_owned()),
        });
        let (Some(runs), Some(date)) = (runs, line.date("date", faults)) else { return };
        let service = services.entry(id.to_owned()).or_insert_with(|| Service {
            calendar: Calendar { days: WeekDays::NONE, period: None, exceptions: BTreeMap::new() },
            place: (CALENDAR_DATES, line.number()),
        });
        if service.calendar.exceptions.insert(date, runs).is_some_and(|before| before != runs) {
            faults.push(line.fault("date", "a date stands once for a service; the last is taken"));
        }
    });
    if !has_calendar && !has_dates {
        let rule = format!("this file is missing, and {CALENDAR_DATES} too");
        faults.push(Fault::of_file(CALENDAR, rule));
    }
    services
}

fn weekly(line: &Line<'_>, faults: &mut Faults) -> Option<Calendar> {
    let mut days = WeekDays::NONE;
    for (column, day) in DAYS {
        match line.get(column) {
            "1" => days = days.with(day),
            "0" => {}
            _ => faults.push(line.fault(column, "0 or 1; it is taken as 0")),
        }
    }
    let (from, until) = (line.date("start_date", faults)?, line.date("end_date", faults)?);
    if until < from {
        faults.push(line.fault("end_date", "a date that is not before start_date; the line is left out"));
        return None;
    }
    let period = (days != WeekDays::NONE).then_some((from, until));
    Some(Calendar { days, period, exceptions: BTreeMap::new() })
}

/// The same days, later.
fn later(calendar: &Calendar, days: i64) -> Calendar {
    // Dates of feeds have four digits, so no date is beyond the calendar.
    let date = |date: NaiveDate| shifted(date, days).unwrap_or(NaiveDate::MAX);
    let period = calendar.period.map(|(from, until)| (date(from), date(until)));
    let exceptions = calendar.exceptions.iter().map(|(day, runs)| (date(*day), *runs));
    Calendar { days: calendar.days, period, exceptions: exceptions.collect() }
}

/// Cuts a calendar that has more days than a network's may have. Feeds that say no end have one
/// like 2099 or 9999: such a calendar begins today, or later as it says, and ends at the bound.
fn clip(calendar: &mut Calendar, today: NaiveDate) {
    let is_many = calendar.exceptions.len() > MAX_EXCEPTIONS;
    let most = if is_many { MAX_CALENDAR_DAYS - 1 } else { MAX_CALENDAR_DAYS };
    let edge = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default();
    let known = edge(*YEARS.start(), 1, 1)..=edge(*YEARS.end(), 12, 31);
    let (first, last) = calendar.span().unwrap_or((today, today));
    let is_long = (last - first).num_days() > most;
    let is_known = calendar.exceptions.keys().chain([&first, &last]).all(|date| known.contains(date));
    if is_known && !is_many && !is_long {
        return;
    }
    let first = if is_long { first.max(today) } else { first }.max(*known.start());
    let last = last.min(first + Days::new(most.unsigned_abs())).min(*known.end());
    calendar.exceptions.retain(|date, _| (first..=last).contains(date));
    let cut = |(from, until): (NaiveDate, NaiveDate)| (from.max(first), until.min(last));
    calendar.period = calendar.period.map(cut).filter(|(from, until)| from <= until);
    if calendar.period.is_none() {
        calendar.days = WeekDays::NONE;
    }
}

/// Trips whose service no file has.
fn left_out(feed: &Feed, services: &BTreeMap<String, Service>, faults: &mut Faults) {
    let mut reported: HashSet<&str> = HashSet::new();
    for trip in feed.trips.iter().filter(|trip| !services.contains_key(&trip.service)) {
        if reported.insert(&trip.service) {
            let rule = "no day of this service can be read; its trips are left out";
            faults.push(Fault::of_line("trips.txt", trip.line, rule).column("service_id"));
        }
    }
}

/// Removes services that have no day ahead: what they sell would never have a trip.
fn without_days(
    feed: &Feed,
    services: &mut BTreeMap<String, Service>,
    today: NaiveDate,
    faults: &mut Faults,
) {
    let mut sells: HashMap<&str, usize> = HashMap::new();
    for trip in &feed.trips {
        sells.entry(&trip.service).or_insert(trip.sell + 1);
    }
    services.retain(|id, Service { calendar, place: (file, line) }| {
        let has_day = calendar.dates(today, NaiveDate::MAX).next().is_some();
        if !has_day {
            let ever = calendar.all_dates().next().is_some();
            let days = if ever { format!("a day from {today} on") } else { "a day".to_owned() };
            let sell = sells.get(id.as_str()).copied().unwrap_or_default();
            let rule = format!(
                "a service that is sold (sell {sell}) has {days}; {} has none, and its trips are left out",
                shown(id)
            );
            faults.push(Fault::of_line(*file, *line, rule).column("service_id"));
        }
        has_day
    });
}
