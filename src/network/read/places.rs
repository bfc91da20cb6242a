//! Stops, routes and directions.

use super::super::{
    bounds::{MAX_DESCRIPTION, MAX_DIRECTION, MAX_ROUTES, MAX_RULE_SECS, MAX_STOPS, STOPS_OF_DIRECTION},
    fault::Faults,
    format::{DIRECTION_STOPS, DIRECTIONS, ROUTES, STOPS},
    model::{Direction, Place, Route, Rules, Stop},
    names::Code,
    rows::{self, Row, line_of},
    source::Source,
};
use super::{Draft, Seen, at_most};
use std::collections::{BTreeMap, HashMap};

/// Millionths of a degree.
const MICRO_DEGREES: f64 = 1e6;

pub(super) fn stops(source: &mut Source, draft: &mut Draft, faults: &mut Faults) {
    let languages = draft.network.languages.clone();
    rows::each(source, &STOPS, &languages, faults, |row, faults| {
        let Some(code) = row.required::<Code>("code", faults) else { return };
        let is_new = draft.seen.stops.enter(code.clone(), row, "code", faults);
        let names = row.names(&languages, faults);
        let zone = row.optional_with("zone", faults, super::zone);
        let place = place(row, faults);
        if let (true, Some(names), Some(zone), Some(place)) = (is_new, names, zone, place) {
            draft.network.stops.insert(code, Stop { names, place, zone });
        }
    });
    super::bound(&STOPS, draft.network.stops.len(), MAX_STOPS, faults);
}

fn place(row: &Row<'_>, faults: &mut Faults) -> Option<Option<Place>> {
    let latitude = row.optional_with("latitude", faults, |text| degrees(text, 90))?;
    let longitude = row.optional_with("longitude", faults, |text| degrees(text, 180))?;
    match (latitude, longitude) {
        (None, None) => Some(None),
        (Some(latitude), Some(longitude)) => Some(Some(Place { latitude, longitude })),
        (None, Some(_)) | (Some(_), None) => {
            faults.push(row.fault("latitude", "latitude and longitude are both given, or neither"));
            None
        }
    }
}

/// Degrees in digits, in millionths of one.
pub(in super::super) fn degrees(text: &str, most: i32) -> Result<i32, String> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.".contains(&b));
    let value = text.parse::<f64>().ok().filter(|value| plain && value.abs() <= f64::from(most));
    #[expect(clippy::cast_possible_truncation, reason = "at most 180 million")]
    let micro = |value: f64| (value * MICRO_DEGREES).round() as i32;
    value.map(micro).ok_or_else(|| format!("degrees from -{most} to {most}, like 42.3324"))
}

pub(super) fn routes(source: &mut Source, draft: &mut Draft, faults: &mut Faults) {
    let languages = draft.network.languages.clone();
    rows::each(source, &ROUTES, &languages, faults, |row, faults| {
        let Some(code) = row.required::<Code>("code", faults) else { return };
        let is_new = draft.seen.routes.enter(code.clone(), row, "code", faults);
        let names = row.names(&languages, faults);
        let description = row.optional_with("description", faults, |text| line_of(text, MAX_DESCRIPTION));
        let rules = rules(row, faults);
        if let (true, Some(names), Some(description), Some(rules)) = (is_new, names, description, rules) {
            let route = Route { names, description, rules, directions: BTreeMap::new() };
            draft.network.routes.insert(code, route);
        }
    });
    super::bound(&ROUTES, draft.network.routes.len(), MAX_ROUTES, faults);
}

fn rules(row: &Row<'_>, faults: &mut Faults) -> Option<Rules> {
    let mut read = |column, least, most| {
        row.optional_with(column, faults, |text| {
            let value = text.parse().ok().filter(|value| (least..=most).contains(value));
            value.ok_or_else(|| at_most(least, most))
        })
    };
    let hold_secs = read("hold_secs", 1, MAX_RULE_SECS);
    let cut_off_secs = read("cut_off_secs", 0, MAX_RULE_SECS);
    let refund_secs = read("refund_secs", 0, MAX_RULE_SECS);
    let refund_percent = read("refund_percent", 0, 100)?.and_then(|percent| u8::try_from(percent).ok());
    Some(Rules {
        hold_secs: hold_secs?,
        cut_off_secs: cut_off_secs?,
        refund_secs: refund_secs?,
        refund_percent,
    })
}

/// The route and the number of a direction.
pub(super) fn direction(row: &Row<'_>, seen: &Seen, faults: &mut Faults) -> Option<(Code, u16)> {
    let route = row.required::<Code>("route", faults);
    let number = row.with("direction", faults, direction_number);
    let (route, number) = (route?, number?);
    seen.routes.need(route.as_str(), row, ("route", ROUTES.file), faults).then_some((route, number))
}

/// The number of a direction.
pub(super) fn direction_number(text: &str) -> Result<u16, String> {
    let number = text.parse().ok().filter(|number| *number <= MAX_DIRECTION);
    number.ok_or_else(|| at_most(0, MAX_DIRECTION.into()))
}

pub(super) fn directions(source: &mut Source, draft: &mut Draft, faults: &mut Faults) {
    let languages = draft.network.languages.clone();
    rows::each(source, &DIRECTIONS, &languages, faults, |row, faults| {
        let Some((route, number)) = direction(row, &draft.seen, faults) else { return };
        let is_new = draft.seen.directions.enter((route.clone(), number), row, "direction", faults);
        let names = row.names(&languages, faults);
        let direction = names.map(|names| Direction { names, stops: Vec::new() });
        if let (true, Some(direction), Some(route)) =
            (is_new, direction, draft.network.routes.get_mut(&route))
        {
            route.directions.insert(number, direction);
        }
    });
    let stops = direction_stops(source, draft, faults);
    for (key @ (route, number), line) in &draft.seen.directions.lines {
        let of_route = draft.network.routes.get_mut(route);
        let Some(direction) = of_route.and_then(|route| route.directions.get_mut(number)) else { continue };
        let positions = stops.get(key);
        direction.stops = positions.into_iter().flatten().map(|(_, (stop, _))| stop.clone()).collect();
        let count = direction.stops.len();
        let gap = positions.into_iter().flatten().zip(1..).find(|((position, _), n)| *position != n);
        if let Some(((position, (_, line)), n)) = gap {
            let rule = format!("positions are 1, 2, 3 and so on: {n} is missing before {position}");
            faults.push(super::Fault::of_line(DIRECTION_STOPS.file, *line, rule).column("position"));
        } else if !STOPS_OF_DIRECTION.contains(&count) {
            let (least, most) = (STOPS_OF_DIRECTION.start(), STOPS_OF_DIRECTION.end());
            let rule = format!("a direction has {least} to {most} stops, this has {count}");
            faults.push(super::Fault::of_line(DIRECTIONS.file, *line, rule).column("direction"));
        }
    }
}

/// The stops of each direction by their positions, with their lines.
type Positions = HashMap<(Code, u16), BTreeMap<u16, (Code, u64)>>;

fn direction_stops(source: &mut Source, draft: &Draft, faults: &mut Faults) -> Positions {
    let mut stops = Positions::new();
    rows::each(source, &DIRECTION_STOPS, &[], faults, |row, faults| {
        let Some(key) = direction(row, &draft.seen, faults) else { return };
        let most = u16::try_from(*STOPS_OF_DIRECTION.end()).unwrap_or(u16::MAX);
        let position = row.with("position", faults, |text| {
            let position = text.parse().ok().filter(|position| (1..=most).contains(position));
            position.ok_or_else(|| at_most(1, most.into()))
        });
        let Some(stop) = row.required::<Code>("stop", faults) else { return };
        let is_known = draft.seen.stops.need(stop.as_str(), row, ("stop", STOPS.file), faults);
        if !draft.seen.directions.lines.contains_key(&key) {
            let rule = format!("direction {} of {} is not in {}", key.1, key.0, DIRECTIONS.file);
            return faults.push(row.fault("direction", rule));
        }
        let (true, Some(position)) = (is_known, position) else { return };
        let of_direction = stops.entry(key).or_default();
        if let Some((_, line)) = of_direction.get(&position) {
            let rule = format!("position {position} of this direction stands on line {line} already");
            return faults.push(row.fault("position", rule));
        }
        of_direction.insert(position, (stop, row.line()));
    });
    stops
}
