//! The services of a feed that is written.
//!
//! The times of a feed are by its agency's clock, which is the network's. A departure that is timed
//! by another zone's clock stands in the feed once for each difference between the two clocks, on
//! the dates that have it.

use super::super::{
    calendar::{Calendar, WeekDays},
    model::{Departure, Network},
    names::Code,
    write::table_of,
};
use chrono::{NaiveDate, Weekday};
use std::collections::{BTreeMap, BTreeSet};

const DAYS: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];
/// Minutes of a day.
const DAY: i64 = 1_440;

/// How a departure stands in the feed.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) service: String,
    /// Minutes from the service day's midnight, by the network's clock.
    pub(super) departs: u32,
}

/// All services, and the departures with theirs.
pub(super) struct Services<'a> {
    /// Of the network's calendars that departures have.
    calendars: BTreeMap<&'a str, &'a Calendar>,
    /// Of dates alone.
    dates: BTreeMap<String, BTreeSet<NaiveDate>>,
    departures: Vec<(&'a Code, &'a Departure, Vec<Shape>)>,
}

impl Services<'_> {
    /// Each trip of the feed: the departure, and the trip's place among those of the departure.
    pub(super) fn trips(&self) -> impl Iterator<Item = (&Code, &Departure, usize, &Shape)> {
        self.departures.iter().flat_map(|(code, departure, shapes)| {
            shapes.iter().enumerate().map(move |(n, shape)| (*code, *departure, n, shape))
        })
    }

    /// The first and the last date.
    pub(super) fn span(&self) -> Option<(NaiveDate, NaiveDate)> {
        let spans = self.calendars.values().filter_map(|calendar| calendar.span());
        let dates = self.dates.values().filter_map(|dates| Some((*dates.first()?, *dates.last()?)));
        spans.chain(dates).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }
}

/// The services of a network.
pub(super) fn services(network: &Network) -> Services<'_> {
    let mut services =
        Services { calendars: BTreeMap::new(), dates: BTreeMap::new(), departures: Vec::new() };
    for (code, departure) in &network.departures {
        let Some(calendar) = network.calendars.get(&departure.calendar) else { continue };
        let name = departure.calendar.as_str();
        let shapes = if network.clock_of(departure) == network.zone {
            services.calendars.insert(name, calendar);
            vec![Shape { service: name.to_owned(), departs: departure.departs.minutes().into() }]
        } else {
            by_network_clock(network, departure, calendar, &mut services.dates)
        };
        services.departures.push((code, departure, shapes));
    }
    services
}

/// The dates of a departure by the difference between its clock and the network's.
fn by_network_clock(
    network: &Network,
    departure: &Departure,
    calendar: &Calendar,
    services: &mut BTreeMap<String, BTreeSet<NaiveDate>>,
) -> Vec<Shape> {
    let mut groups: BTreeMap<(i64, u32), BTreeSet<NaiveDate>> = BTreeMap::new();
    for day in calendar.all_dates() {
        let Some((departs, _)) = network.times(departure, day) else { continue };
        let local = departs.with_timezone(&network.zone).naive_local();
        let minutes = (local - day.and_time(chrono::NaiveTime::MIN)).num_minutes();
        // A feed has no times before midnight: the service day is one before then.
        let earlier = (-minutes).div_euclid(DAY) + i64::from((-minutes).rem_euclid(DAY) > 0);
        let earlier = earlier.max(0);
        let Ok(departs) = u32::try_from(minutes + earlier * DAY) else { continue };
        let date = day.checked_sub_days(chrono::Days::new(earlier.unsigned_abs()));
        groups.entry((earlier, departs)).or_default().extend(date);
    }
    let shape = |((earlier, departs), dates): ((i64, u32), BTreeSet<NaiveDate>)| {
        let apart = i64::from(departs) - earlier * DAY - i64::from(departure.departs.minutes());
        let service = format!("{}:{}:{apart:+}", departure.calendar, network.clock_of(departure).name());
        services.entry(service.clone()).or_default().extend(dates);
        Shape { service, departs }
    };
    groups.into_iter().map(shape).collect()
}

/// A date as feeds write it.
pub(super) fn date(date: NaiveDate) -> String {
    date.format("%Y%m%d").to_string()
}

/// `calendar.txt`
pub(super) fn calendar(services: &Services<'_>) -> Vec<u8> {
    let header = [
        "service_id",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "start_date",
        "end_date",
    ];
    let mut rows = Vec::new();
    for (service, calendar) in &services.calendars {
        let Some((from, until)) = calendar.period else { continue };
        let mut row = vec![(*service).to_owned()];
        row.extend(DAYS.map(|day| u8::from(calendar.days.has(day)).to_string()));
        row.extend([date(from), date(until)]);
        rows.push(row);
    }
    table_of(&header, &rows)
}

/// `calendar_dates.txt`
pub(super) fn calendar_dates(services: &Services<'_>) -> Vec<u8> {
    let mut rows = Vec::new();
    let mut add = |service: &str, day: NaiveDate, runs: bool| {
        let kind = if runs { "1" } else { "2" };
        rows.push(vec![service.to_owned(), date(day), kind.to_owned()]);
    };
    for (service, calendar) in &services.calendars {
        // That a date does not run says nothing where no day of the week does.
        let said = |runs: bool| runs || calendar.days != WeekDays::NONE;
        for (day, runs) in calendar.exceptions.iter().filter(|(_, runs)| said(**runs)) {
            add(service, *day, *runs);
        }
    }
    for (service, dates) in &services.dates {
        dates.iter().for_each(|day| add(service, *day, true));
    }
    table_of(&["service_id", "date", "exception_type"], &rows)
}
