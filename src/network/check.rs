//! What only shows over the days: a bus in two places at once, and days without a fare.

use super::{
    bounds::MAX_CHECK_DAYS,
    fault::{Fault, Faults},
    format::{DEPARTURES, FARES, ROUTES},
    model::{Departure, Network},
    names::Code,
    read::Lines,
};
use chrono::{DateTime, Days, NaiveDate, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// Days whose trips of one bus are held in memory at once.
const DAYS_AT_ONCE: u64 = 14;
/// A trip departs within 48 hours of its service day's midnight and takes at most 24, and clocks
/// change by up to 25. A trip of a service day before these days cannot reach it.
const REACH_DAYS: u64 = 5;

/// The days of a check.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The first service day.
    pub first: NaiveDate,
    /// The number of days, at most [`MAX_CHECK_DAYS`].
    pub days: u16,
}

impl Window {
    fn last(self) -> NaiveDate {
        let days = u64::from(self.days.clamp(1, MAX_CHECK_DAYS)) - 1;
        self.first.checked_add_days(Days::new(days)).unwrap_or(NaiveDate::MAX)
    }
}

/// The result of a check.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Trips in the window.
    pub trips: u64,
    /// What is wrong.
    pub faults: Faults,
}

/// Checks the trips that a network would have in the window.
pub fn check(network: &Network, lines: &Lines, window: Window) -> Checked {
    let mut checked = Checked::default();
    classes(network, &mut checked.faults);
    fares(network, lines, window, &mut checked.faults);
    let mut by_bus: BTreeMap<u32, Vec<(&Code, &Departure)>> = BTreeMap::new();
    for (code, departure) in &network.departures {
        by_bus.entry(departure.bus).or_default().push((code, departure));
    }
    for (bus, departures) in by_bus {
        bus_conflicts(network, lines, window, (bus, &departures), &mut checked);
    }
    checked
}

/// Fares of classes that no seat has are spelled wrong.
fn classes(network: &Network, faults: &mut Faults) {
    let seats: BTreeSet<&str> = network.models.values().flat_map(super::BusModel::sold_classes).collect();
    let fares: BTreeSet<&Code> = network.fares.keys().map(|key| &key.class).collect();
    for class in fares.into_iter().filter(|class| !seats.contains(class.as_str())) {
        let rule = format!("no bus model has a seat of the class {class}");
        faults.push(Fault::of_file(FARES.file, rule).column("class"));
    }
}

/// Days on which a seat would have no fare.
fn fares(network: &Network, lines: &Lines, window: Window, faults: &mut Faults) {
    // Departures that need the same fares on the same days are checked once.
    let mut kinds: BTreeMap<(&Code, u16, &Code, &Code), &Departure> = BTreeMap::new();
    for departure in network.departures.values() {
        let Some(bus) = network.buses.get(&departure.bus) else { continue };
        let kind = (&departure.route, departure.direction, &departure.calendar, &bus.model);
        kinds.entry(kind).or_insert(departure);
    }
    let mut missing: BTreeMap<(&Code, u16, &str), BTreeSet<NaiveDate>> = BTreeMap::new();
    for ((route, direction, calendar, model), departure) in kinds {
        let (Some(calendar), Some(model)) = (network.calendars.get(calendar), network.models.get(model))
        else {
            continue;
        };
        for class in model.sold_classes() {
            let days = calendar.dates(window.first, window.last());
            let without = days.filter(|day| network.fare(departure, class, *day).is_none());
            let without: BTreeSet<NaiveDate> = without.collect();
            if !without.is_empty() {
                missing.entry((route, direction, class)).or_default().extend(without);
            }
        }
    }
    for ((route, direction, class), days) in missing {
        let first = days.first().map(ToString::to_string).unwrap_or_default();
        let rule = format!(
            "direction {direction} of {route} has no fare for the class {class} on {} days, first on {first}",
            days.len()
        );
        faults.push(at(ROUTES.file, lines.routes.get(route)).column_of("code", &rule));
    }
}

/// A fault of a file, on a line if it is known.
struct At(&'static str, Option<u64>);

fn at(file: &'static str, line: Option<&u64>) -> At {
    At(file, line.copied())
}

impl At {
    fn column_of(self, column: &str, rule: &str) -> Fault {
        Fault { line: self.1, ..Fault::of_file(self.0, rule).column(column) }
    }
}

/// A trip of a bus.
#[derive(Clone, Copy)]
struct Trip<'a> {
    departs: DateTime<Utc>,
    arrives: DateTime<Utc>,
    day: NaiveDate,
    code: &'a Code,
}

/// Trips of one bus that overlap.
fn bus_conflicts(
    network: &Network,
    lines: &Lines,
    window: Window,
    (bus, departures): (u32, &[(&Code, &Departure)]),
    checked: &mut Checked,
) {
    let mut conflicts: BTreeMap<(&Code, &Code), (NaiveDate, u32)> = BTreeMap::new();
    let mut first = window.first;
    while first <= window.last() {
        let last = (first + Days::new(DAYS_AT_ONCE - 1)).min(window.last());
        let reached = first.checked_sub_days(Days::new(REACH_DAYS)).unwrap_or(first).max(window.first);
        let mut trips = trips(network, departures, reached, last);
        trips.sort_unstable_by_key(|trip| (trip.departs, trip.code));
        checked.trips += trips.iter().filter(|trip| trip.day >= first).count() as u64;
        let mut longest: Option<Trip<'_>> = None;
        for trip in trips {
            let before = longest.filter(|before| before.arrives > trip.departs);
            if let Some(before) = before.filter(|before| before.day.max(trip.day) >= first) {
                let seen = conflicts.entry((before.code, trip.code)).or_insert((trip.day, 0));
                seen.1 += 1;
            }
            longest = Some(longest.filter(|before| before.arrives >= trip.arrives).unwrap_or(trip));
        }
        let Some(next) = last.succ_opt() else { break };
        first = next;
    }
    for ((before, code), (day, days)) in conflicts {
        let rule =
            format!("bus {bus} is on {before} at that time on {days} days, first on {day} with {code}");
        checked.faults.push(at(DEPARTURES.file, lines.departures.get(code)).column_of("bus", &rule));
    }
}

fn trips<'a>(
    network: &Network,
    departures: &[(&'a Code, &Departure)],
    first: NaiveDate,
    last: NaiveDate,
) -> Vec<Trip<'a>> {
    let mut trips = Vec::new();
    for (code, departure) in departures {
        let Some(calendar) = network.calendars.get(&departure.calendar) else { continue };
        for day in calendar.dates(first, last) {
            if let Some((departs, arrives)) = network.times(departure, day) {
                trips.push(Trip { departs, arrives, day, code });
            }
        }
    }
    trips
}
