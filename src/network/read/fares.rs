//! Fares.

use super::super::{
    bounds::MAX_FARES,
    fault::{Fault, Faults},
    format::{DIRECTIONS, FARES, ROUTES},
    model::{Fare, FareKey},
    names::Code,
    rows::{self, Row},
    source::Source,
};
use super::{Draft, date, places::direction_number};
use std::collections::BTreeMap;

pub(super) fn fares(source: &mut Source, draft: &mut Draft, faults: &mut Faults) {
    let mut lines: BTreeMap<FareKey, u64> = BTreeMap::new();
    rows::each(source, &FARES, &[], faults, |row, faults| {
        let Some((key, fare)) = fare(row, draft, faults) else { return };
        if let Some(line) = lines.get(&key) {
            let rule = format!("a fare of the same kind begins on the same day on line {line}");
            return faults.push(row.fault("from", rule));
        }
        lines.insert(key.clone(), row.line());
        draft.network.fares.insert(key, fare);
    });
    super::bound(&FARES, draft.network.fares.len(), MAX_FARES, faults);
    let all = &draft.network.fares;
    for ((key, fare), (next, _)) in all.iter().zip(all.iter().skip(1)) {
        let is_same = FareKey { from: None, ..key.clone() } == FareKey { from: None, ..next.clone() };
        let ends_before = fare.until.zip(next.from).is_some_and(|(until, from)| until < from);
        if is_same && !ends_before {
            let line = |key| lines.get(key).copied().unwrap_or_default();
            let rule = format!("its period overlaps that of line {}", line(key));
            faults.push(Fault::of_line(FARES.file, line(next), rule).column("from"));
        }
    }
}

fn fare(row: &Row<'_>, draft: &Draft, faults: &mut Faults) -> Option<(FareKey, Fare)> {
    let route = row.required::<Code>("route", faults);
    let direction = row.optional_with("direction", faults, direction_number);
    let class = row.required::<Code>("class", faults);
    let from = row.optional_with("from", faults, date);
    let until = row.optional_with("until", faults, date);
    let currency = draft.network.currency;
    let amount = row.with("amount", faults, |text| currency.amount(text));
    let (route, direction, from, until) = (route?, direction?, from?, until?);
    if !draft.seen.routes.need(route.as_str(), row, ("route", ROUTES.file), faults) {
        return None;
    }
    let is_unknown = |number| !draft.seen.directions.lines.contains_key(&(route.clone(), number));
    if let Some(number) = direction.filter(|number| is_unknown(*number)) {
        let rule = format!("direction {number} of {route} is not in {}", DIRECTIONS.file);
        faults.push(row.fault("direction", rule));
        return None;
    }
    if from.zip(until).is_some_and(|(from, until)| from > until) {
        faults.push(row.fault("until", "a date that is not before `from`"));
        return None;
    }
    Some((FareKey { route, direction, class: class?, from }, Fare { until, amount: amount? }))
}
