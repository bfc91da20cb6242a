//! Calendars and departures.

use super::super::{
    bounds::{MAX_CALENDAR_DAYS, MAX_CALENDARS, MAX_DEPARTURES, MAX_EXCEPTIONS, STOPS_OF_DIRECTION},
    calendar::{Calendar, WeekDays},
    fault::Faults,
    format::{BUSES, CALENDAR_DATES, CALENDARS, DEPARTURES, DIRECTIONS},
    model::{Departure, WallTime},
    names::Code,
    rows::{self, Row},
    source::Source,
};
use super::{Draft, date, fleet::bus_number, places::direction, zone};
use std::collections::BTreeMap;

pub(super) fn calendars(source: &mut Source, draft: &mut Draft, faults: &mut Faults) {
    rows::each(source, &CALENDARS, &[], faults, |row, faults| {
        let Some(code) = row.required::<Code>("code", faults) else { return };
        let is_new = draft.seen.calendars.enter(code.clone(), row, "code", faults);
        let days = row.optional::<WeekDays>("days", faults).map(Option::unwrap_or_default);
        let (Some(days), Some(period)) = (days, period(row, faults)) else { return };
        if period.is_some() != (days != WeekDays::NONE) {
            let rule = "days, from and until are all given, or none for a calendar of dates alone";
            return faults.push(row.fault("days", rule));
        }
        if is_new {
            let calendar = Calendar { days, period, exceptions: BTreeMap::new() };
            draft.network.calendars.insert(code, calendar);
        }
    });
    super::bound(&CALENDARS, draft.network.calendars.len(), MAX_CALENDARS, faults);
    exceptions(source, draft, faults);
    for (code, calendar) in &draft.network.calendars {
        let line = draft.seen.calendars.lines.get(code).copied().unwrap_or_default();
        let fault = |rule| super::Fault::of_line(CALENDARS.file, line, rule).column("code");
        if calendar.exceptions.len() > MAX_EXCEPTIONS {
            faults.push(fault(format!("at most {MAX_EXCEPTIONS} dates in {}", CALENDAR_DATES.file)));
        }
        let span = calendar.span();
        if span.is_some_and(|(from, until)| (until - from).num_days() > MAX_CALENDAR_DAYS) {
            faults.push(fault(format!("at most {MAX_CALENDAR_DAYS} days from its first date to its last")));
        }
    }
}

fn period(row: &Row<'_>, faults: &mut Faults) -> Option<Option<(chrono::NaiveDate, chrono::NaiveDate)>> {
    let from = row.optional_with("from", faults, date);
    let until = row.optional_with("until", faults, date);
    match (from?, until?) {
        (None, None) => Some(None),
        (Some(from), Some(until)) if from <= until => Some(Some((from, until))),
        (Some(_), Some(_)) => {
            faults.push(row.fault("until", "a date that is not before `from`"));
            None
        }
        (None, Some(_)) | (Some(_), None) => {
            faults.push(row.fault("from", "from and until are both given, or neither"));
            None
        }
    }
}

fn exceptions(source: &mut Source, draft: &mut Draft, faults: &mut Faults) {
    rows::each(source, &CALENDAR_DATES, &[], faults, |row, faults| {
        let calendar = row.required::<Code>("calendar", faults);
        let day = row.with("date", faults, date);
        let runs = row.with("runs", faults, |text| match text {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err("yes or no".to_owned()),
        });
        let (Some(code), Some(day), Some(runs)) = (calendar, day, runs) else { return };
        if !draft.seen.calendars.need(code.as_str(), row, ("calendar", CALENDARS.file), faults) {
            return;
        }
        let Some(calendar) = draft.network.calendars.get_mut(&code) else { return };
        if calendar.exceptions.insert(day, runs).is_some() {
            faults.push(row.fault("date", format!("{day} stands twice for {code}")));
        }
    });
}

pub(super) fn departures(source: &mut Source, draft: &mut Draft, faults: &mut Faults) {
    rows::each(source, &DEPARTURES, &[], faults, |row, faults| {
        let Some(code) = row.required::<Code>("code", faults) else { return };
        let is_new = draft.seen.departures.enter(code.clone(), row, "code", faults);
        let Some(departure) = departure(row, draft, faults) else { return };
        let stops = draft.network.direction_of(&departure).map(|direction| direction.stops.len());
        if let Some((column, rule)) = stops.and_then(|stops| departure.fault_of_times(stops)) {
            return faults.push(row.fault(column, rule));
        }
        if is_new {
            draft.network.departures.insert(code, departure);
        }
    });
    super::bound(&DEPARTURES, draft.network.departures.len(), MAX_DEPARTURES, faults);
}

fn departure(row: &Row<'_>, draft: &Draft, faults: &mut Faults) -> Option<Departure> {
    let of_route = direction(row, &draft.seen, faults);
    let bus = row.with("bus", faults, bus_number);
    let calendar = row.required::<Code>("calendar", faults);
    let zone = row.optional_with("zone", faults, zone);
    let departs = row.required::<WallTime>("departs", faults);
    let legs = row.with("legs", faults, minutes);
    let dwells = row.optional_with("dwells", faults, minutes).map(Option::unwrap_or_default);
    let (route, number) = of_route?;
    if !draft.seen.directions.lines.contains_key(&(route.clone(), number)) {
        let rule = format!("direction {number} of {route} is not in {}", DIRECTIONS.file);
        faults.push(row.fault("direction", rule));
        return None;
    }
    let (bus, calendar) = (bus?, calendar?);
    let has_bus = draft.seen.buses.need(&bus, row, ("bus", BUSES.file), faults);
    let has_calendar =
        draft.seen.calendars.need(calendar.as_str(), row, ("calendar", CALENDARS.file), faults);
    (has_bus && has_calendar).then_some(())?;
    let (zone, departs, legs, dwells) = (zone?, departs?, legs?, dwells?);
    Some(Departure { route, direction: number, bus, calendar, zone, departs, legs, dwells })
}

/// Numbers of minutes, with blanks between them.
fn minutes(text: &str) -> Result<Vec<u16>, String> {
    let most = *STOPS_OF_DIRECTION.end();
    let read: Option<Vec<u16>> =
        text.split_whitespace().take(most + 1).map(|word| word.parse().ok()).collect();
    let read = read.filter(|read| read.len() < most);
    read.ok_or_else(|| "minutes with blanks between them, like \"12 8 10\"".to_owned())
}
