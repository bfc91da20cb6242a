//! How two networks differ.

use crate::network::{Code, Departure, Network};
use std::{borrow::Cow, collections::BTreeMap};

/// What an import adds, changes and ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Departures that are new.
    pub added: Vec<String>,
    /// Departures that change, with what of them does.
    pub changed: Vec<(String, Vec<&'static str>)>,
    /// Departures that end.
    pub ended: Vec<String>,
    /// How many of each other kind of thing are added, changed and ended.
    pub parts: Vec<(&'static str, [usize; 3])>,
    /// What of the network itself changes.
    pub head: Vec<&'static str>,
}

/// The difference of two networks. `others` are departures in use that are of no network.
pub(super) fn difference(old: Option<&Network>, new: &Network, others: &[String]) -> Difference {
    // Of the first network, the head is no difference.
    let empty = || Network {
        url: new.url.clone(),
        ticket_url: new.ticket_url.clone(),
        defaults: new.defaults,
        ..Network::empty(new.name.clone(), new.zone, new.currency, new.languages.clone())
    };
    let before = old.map_or_else(|| Cow::Owned(empty()), Cow::Borrowed);
    let before = before.as_ref();
    let mut difference = Difference { head: head(before, new), ..Difference::default() };
    for (code, departure) in &new.departures {
        match before.departures.get(code) {
            Some(was) => {
                let what = changes((before, was), (new, departure));
                if !what.is_empty() {
                    difference.changed.push((code.to_string(), what));
                }
            }
            None if others.iter().any(|other| other == code.as_str()) => {
                difference.changed.push((code.to_string(), vec!["route"]));
            }
            None => difference.added.push(code.to_string()),
        }
    }
    let is_there = |code: &str| new.departures.contains_key(code);
    let ended = before.departures.keys().map(Code::as_str).chain(others.iter().map(String::as_str));
    difference.ended = ended.filter(|code| !is_there(code)).map(str::to_owned).collect();
    difference.parts = vec![
        ("stops", counts(&before.stops, &new.stops)),
        ("bus models", counts(&before.models, &new.models)),
        ("drivers", counts(&before.drivers, &new.drivers)),
        ("buses", counts(&before.buses, &new.buses)),
        ("routes", counts(&before.routes, &new.routes)),
        ("calendars", counts(&before.calendars, &new.calendars)),
        ("fares", counts(&before.fares, &new.fares)),
    ];
    difference.parts.retain(|(_, counts)| *counts != [0; 3]);
    difference
}

fn counts<K: Ord, V: PartialEq>(old: &BTreeMap<K, V>, new: &BTreeMap<K, V>) -> [usize; 3] {
    let added = new.keys().filter(|key| !old.contains_key(key)).count();
    let changed = new.iter().filter(|(key, value)| old.get(key).is_some_and(|was| was != *value)).count();
    [added, changed, old.keys().filter(|key| !new.contains_key(key)).count()]
}

fn head(old: &Network, new: &Network) -> Vec<&'static str> {
    let parts = [
        ("name", old.name != new.name),
        ("zone", old.zone != new.zone),
        ("currency", old.currency != new.currency),
        ("languages", old.languages != new.languages),
        ("addresses", (&old.url, &old.ticket_url) != (&new.url, &new.ticket_url)),
        ("defaults", old.defaults != new.defaults),
    ];
    parts.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part).collect()
}

/// What of a departure changes, with what it names.
fn changes((old, was): (&Network, &Departure), (new, is): (&Network, &Departure)) -> Vec<&'static str> {
    let stops = |network: &Network, departure: &Departure| {
        network.direction_of(departure).map(|direction| direction.stops.clone())
    };
    let is_same_calendar =
        was.calendar == is.calendar && old.calendars.get(&was.calendar) == new.calendars.get(&is.calendar);
    let parts = [
        ("route", (&was.route, was.direction) != (&is.route, is.direction)),
        ("stops", stops(old, was) != stops(new, is)),
        ("bus", was.bus != is.bus),
        ("seats", old.model_of(was) != new.model_of(is)),
        ("days", !is_same_calendar),
        ("time", was.departs != is.departs),
        ("zone", old.clock_of(was) != new.clock_of(is)),
        ("legs", (&was.legs, &was.dwells) != (&is.legs, &is.dwells)),
    ];
    parts.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part).collect()
}
