//! Trips with their times: those of `frequencies.txt` once for each departure.

use super::super::{
    bounds::{DEPARTS_BEFORE, MAX_DEPARTURES, MINUTES_OF_DEPARTURE, STOPS_OF_DIRECTION},
    fault::{Fault, Faults},
    model::WallTime,
    names::Code,
    source::Source,
};
use super::{
    days::Services,
    feed::Feed,
    stop_times::{Call, Times, seconds},
    tables::{Line, Reported, code_of, each},
};
use std::collections::{BTreeMap, BTreeSet, HashMap, btree_map::Entry};

const FREQUENCIES: &str = "frequencies.txt";

/// A departure of a trip of the feed.
pub(super) struct Run {
    pub(super) code: Code,
    /// Its trip in the feed.
    pub(super) trip: usize,
    pub(super) departs: WallTime,
    pub(super) legs: Vec<u16>,
    pub(super) dwells: Vec<u16>,
}

impl Run {
    /// From the first stop to the last, minutes.
    pub(super) fn minutes(&self) -> u32 {
        self.legs.iter().chain(&self.dwells).map(|minutes| u32::from(*minutes)).sum()
    }
}

/// The runs of a feed, and how many each trip has in it.
pub(super) struct Runs {
    pub(super) runs: Vec<Run>,
    /// By trip, those that cannot be used included.
    pub(super) planned: Vec<usize>,
}

/// Runs of all trips that have times, days and a clock.
pub(super) fn runs(
    source: &mut Source,
    feed: &Feed,
    times: &Times,
    services: &Services,
    faults: &mut Faults,
) -> Runs {
    let headways = headways(source, feed, faults);
    let mut runs: BTreeMap<Code, Run> = BTreeMap::new();
    let mut planned = vec![0; feed.trips.len()];
    for (n, (trip, calls)) in feed.trips.iter().zip(&times.trips).enumerate() {
        let has_days = services.contains_key(&trip.service);
        let has_clock = feed.routes[trip.route].clock.is_some();
        let Some(calls) = calls.as_ref().filter(|_| has_days && has_clock) else { continue };
        let fault = |rule: &str| Fault::of_line("trips.txt", trip.line, format!("{rule}; it is left out"));
        if let Some(rule) = fault_of(calls) {
            faults.push(fault(&rule));
            continue;
        }
        let starts = match headways.get(&n) {
            None => vec![(code_of(&trip.id), calls[0].departure)],
            Some(None) => continue,
            Some(Some(starts)) => starts.at.iter().map(|at| (code_at(&trip.id, *at), *at)).collect(),
        };
        planned[n] = headways.get(&n).and_then(Option::as_ref).map_or(1, |starts| starts.planned);
        let mut taken = None;
        for (code, start) in starts {
            let Some(departs) = WallTime::of_minutes(start) else {
                faults.push(fault(&format!("a departure before {}:00", DEPARTS_BEFORE / 60)));
                continue;
            };
            if runs.len() == MAX_DEPARTURES {
                faults.push(fault(&format!("at most {MAX_DEPARTURES} departures")));
                return Runs { runs: runs.into_values().collect(), planned };
            }
            match runs.entry(code) {
                Entry::Vacant(place) => {
                    let (legs, dwells) = legs(calls);
                    let code = place.key().clone();
                    place.insert(Run { code, trip: n, departs, legs, dwells });
                }
                Entry::Occupied(run) => {
                    taken.get_or_insert((run.key().clone(), feed.trips[run.get().trip].line));
                }
            }
        }
        if let Some((code, line)) = taken {
            let rule = format!("the departure {code} is there already, of the trip of line {line}");
            faults.push(fault(&rule).column("trip_id"));
        }
    }
    Runs { runs: runs.into_values().collect(), planned }
}

fn fault_of(calls: &[Call]) -> Option<String> {
    if !STOPS_OF_DIRECTION.contains(&calls.len()) {
        let (least, most) = (STOPS_OF_DIRECTION.start(), STOPS_OF_DIRECTION.end());
        return Some(format!("a trip of {least} to {most} stops, this has {}", calls.len()));
    }
    let minutes = calls.last()?.arrival.saturating_sub(calls.first()?.departure);
    let (least, most) = (MINUTES_OF_DEPARTURE.start(), MINUTES_OF_DEPARTURE.end());
    let fits = MINUTES_OF_DEPARTURE.contains(&minutes);
    (!fits).then(|| format!("a trip of {least} to {most} minutes, this has {minutes}"))
}

fn legs(calls: &[Call]) -> (Vec<u16>, Vec<u16>) {
    // The whole trip takes a day at most, so each part fits.
    let short = |minutes: u32| u16::try_from(minutes).unwrap_or(u16::MAX);
    let legs =
        calls.windows(2).map(|pair| short(pair[1].arrival.saturating_sub(pair[0].departure))).collect();
    let inner = calls.get(1..calls.len() - 1).unwrap_or_default();
    let dwells: Vec<u16> = inner.iter().map(|call| short(call.departure - call.arrival)).collect();
    (legs, if dwells.iter().all(|minutes| *minutes == 0) { Vec::new() } else { dwells })
}

fn code_at(id: &str, minute: u32) -> Code {
    code_of(&format!("{id}:{:02}{:02}", minute / 60, minute % 60))
}

/// When a trip starts that runs every so often.
#[derive(Default)]
struct Starts {
    /// Minutes from the service day's midnight.
    at: BTreeSet<u32>,
    /// How many starts its lines have, those that cannot be used included.
    planned: usize,
}

/// The starts of trips that run every so often; `None` if a line of a trip cannot be used. What is
/// left out of a line is one fault.
fn headways(source: &mut Source, feed: &Feed, faults: &mut Faults) -> HashMap<usize, Option<Starts>> {
    let mut all: HashMap<usize, Option<Starts>> = HashMap::new();
    let mut count = 0;
    let mut reported = Reported::default();
    let required = ["trip_id", "start_time", "end_time", "headway_secs"];
    each(source, FREQUENCIES, &required, faults, |line, faults| {
        let Some(sold) = feed.trip_by_id.get(line.get("trip_id")) else {
            if reported.is_first(line.get("trip_id")) {
                faults.push(line.fault("trip_id", "a trip of trips.txt"));
            }
            return;
        };
        let Some(trip) = *sold else { return };
        let of_trip = all.entry(trip).or_insert_with(|| Some(Starts::default()));
        let Some((from, until, every)) = frequency(line, faults) else {
            *of_trip = None;
            return;
        };
        let Some(starts) = of_trip else { return };
        let planned = (until - from).div_ceil(every) as usize;
        starts.planned += planned;
        let taken = planned.min(MAX_DEPARTURES - count);
        count += taken;
        let (mut late, mut twice) = (0, 0);
        for at in (from..until).step_by(every as usize).take(taken) {
            if at / 60 >= DEPARTS_BEFORE.into() {
                late += 1;
            } else if !starts.at.insert(at / 60) {
                twice += 1;
            }
        }
        for (column, rule, left) in [
            ("end_time", format!("departures before {}:00", DEPARTS_BEFORE / 60), late),
            ("start_time", "a trip departs once in a minute".to_owned(), twice),
            ("trip_id", format!("at most {MAX_DEPARTURES} departures"), planned - taken),
        ] {
            if left > 0 {
                faults.push(line.fault(column, &format!("{rule}; {left} of its {planned} are left out")));
            }
        }
    });
    all
}

/// First start, end, and the time from each start to the next, seconds.
fn frequency(line: &Line<'_>, faults: &mut Faults) -> Option<(u32, u32, u32)> {
    const LEFT_OUT: &str = "the trip is left out";
    let mut time = |column: &str| {
        let text = line.need(column, faults)?;
        let read = seconds(text).map_err(|rule| format!("{rule}; {LEFT_OUT}"));
        read.map_err(|rule| faults.push(line.fault(column, &rule))).ok()
    };
    let (from, until) = (time("start_time"), time("end_time"));
    line.need("headway_secs", faults);
    let every = line.read("headway_secs", faults, |text| {
        let secs = text.parse::<u32>().ok().filter(|secs| (60..=86_400).contains(secs));
        secs.ok_or_else(|| format!("60 to 86400 seconds; {LEFT_OUT}"))
    });
    let (from, until, every) = (from?, until?, every?);
    if until <= from {
        faults.push(line.fault("end_time", &format!("a time after start_time; {LEFT_OUT}")));
        return None;
    }
    Some((from, until, every))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legs_and_dwells_are_the_minutes_between_calls() {
        let call = |arrival, departure| Call { stop: 0, arrival, departure };
        assert_eq!(legs(&[call(0, 5), call(10, 10), call(12, 12)]), (vec![5, 2], vec![]));
        assert_eq!(legs(&[call(0, 5), call(10, 13), call(20, 25)]), (vec![5, 7], vec![3]));
        assert!(fault_of(&[call(5, 5), call(5, 9)]).is_some());
        assert!(fault_of(&[call(5, 5), call(1_445, 1_445)]).is_none());
        assert!(fault_of(&[call(5, 5)]).is_some());
    }
}
