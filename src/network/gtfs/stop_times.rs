//! Stop times of the trips that are sold.

use super::super::{
    bounds::MAX_SOLD_TIMES,
    fault::{Fault, Faults},
    source::Source,
};
use super::{
    feed::Feed,
    tables::{Line, Reported, each},
};

const FILE: &str = "stop_times.txt";
/// The latest time of a feed, seconds: 144:00:00.
const MAX_SECS: u32 = 144 * 3_600;

/// A stop of a trip.
#[derive(Clone, Copy, Debug)]
pub(super) struct StopTime {
    trip: u32,
    sequence: u32,
    pub(super) stop: u32,
    line: u32,
    /// Seconds from the service day's midnight.
    arrival: Option<u32>,
    departure: Option<u32>,
}

/// The stops of each trip, and the minutes at which it is there.
pub(super) struct Times {
    /// By trip; `None` where they cannot be used.
    pub(super) trips: Vec<Option<Vec<Call>>>,
}

/// A stop of a trip with its times, minutes from the service day's midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) stop: u32,
    pub(super) arrival: u32,
    pub(super) departure: u32,
}

/// Reads the stop times of the trips that are sold. A trip with a broken one is left out.
pub(super) fn read(source: &mut Source, feed: &Feed, faults: &mut Faults) -> Times {
    let mut all: Vec<StopTime> = Vec::new();
    let mut is_broken = vec![false; feed.trips.len()];
    let required = ["trip_id", "stop_id", "stop_sequence"];
    let (mut trips, mut stops, mut is_full) = (Reported::default(), Reported::default(), false);
    let has = each(source, FILE, &required, faults, |line, faults| {
        let Some(sold) = feed.trip_by_id.get(line.get("trip_id")) else {
            if trips.is_first(line.get("trip_id")) {
                faults.push(line.fault("trip_id", "a trip of trips.txt"));
            }
            return;
        };
        let Some(trip) = *sold else { return };
        match stop_time(line, trip, feed, &mut stops, faults) {
            // The trips of times beyond the bound are left out.
            Some(_) if all.len() == MAX_SOLD_TIMES => {
                is_broken[trip] = true;
                if !std::mem::replace(&mut is_full, true) {
                    faults.push(line.fault("trip_id", &format!("at most {MAX_SOLD_TIMES} times are sold")));
                }
            }
            Some(time) => all.push(time),
            None => is_broken[trip] = true,
        }
    });
    if !has {
        faults.push(Fault::of_file(FILE, "this file is missing"));
    }
    all.sort_unstable_by_key(|time| (time.trip, time.sequence, time.line));
    let mut trips = vec![None; feed.trips.len()];
    for times in all.chunk_by(|a, b| a.trip == b.trip) {
        let trip = times[0].trip as usize;
        trips[trip] = (!is_broken[trip]).then(|| calls(times, faults)).flatten();
        is_broken[trip] = true;
    }
    for (trip, _) in feed.trips.iter().zip(&is_broken).filter(|(_, has_times)| !**has_times) {
        faults.push(Fault::of_line("trips.txt", trip.line, format!("the trip has no times in {FILE}")));
    }
    Times { trips }
}

fn stop_time(
    line: &Line<'_>,
    trip: usize,
    feed: &Feed,
    reported: &mut Reported,
    faults: &mut Faults,
) -> Option<StopTime> {
    let before = faults.count();
    let stop = feed.stop_by_id.get(line.get("stop_id"));
    if stop.is_none() && reported.is_first(line.get("stop_id")) {
        faults.push(line.fault("stop_id", "a stop of stops.txt"));
    }
    let sequence = line.get("stop_sequence").parse();
    if sequence.is_err() {
        faults.push(line.fault("stop_sequence", "a whole number from 0"));
    }
    let arrival = line.read("arrival_time", faults, seconds);
    let departure = line.read("departure_time", faults, seconds);
    (faults.count() == before).then_some(())?;
    Some(StopTime {
        trip: u32::try_from(trip).ok()?,
        sequence: sequence.ok()?,
        stop: u32::try_from(*stop?).ok()?,
        line: u32::try_from(line.number()).ok()?,
        arrival: arrival.or(departure),
        departure: departure.or(arrival),
    })
}

/// Seconds of a time like `8:05:00`, which may be past 24:00.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    let mut parts = text.split(':').map(|part| {
        let plain = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<u32>().ok().filter(|_| plain)
    });
    let mut next = || parts.next().flatten();
    let time = next().zip(next()).zip(next()).filter(|((_, m), s)| *m < 60 && *s < 60);
    let secs = time.map(|((hours, minutes), seconds)| (hours * 60 + minutes) * 60 + seconds);
    let secs = secs.filter(|secs| *secs < MAX_SECS && parts.next().is_none());
    secs.ok_or_else(|| "a time like 8:05:00, which may be past 24:00:00".to_owned())
}

/// The calls of one trip, in order; times that are missing are interpolated evenly.
fn calls(times: &[StopTime], faults: &mut Faults) -> Option<Vec<Call>> {
    let mut fault = |time: &StopTime, column: &str, rule: &str| {
        faults.push(
            Fault::of_line(FILE, time.line.into(), format!("{rule}; the trip is left out")).column(column),
        );
    };
    if let Some(pair) = times.windows(2).find(|pair| pair[0].sequence == pair[1].sequence) {
        fault(&pair[1], "stop_sequence", "a number stands once in a trip");
        return None;
    }
    let (first, last) = (times.first()?, times.last()?);
    if let Some(time) = [first, last].into_iter().find(|time| time.arrival.is_none()) {
        fault(time, "arrival_time", "the first and the last stop of a trip have times");
        return None;
    }
    let mut calls: Vec<Call> = Vec::with_capacity(times.len());
    let mut latest = 0;
    let mut at = 0;
    while let Some(time) = times.get(at) {
        let (Some(arrival), Some(departure)) = (time.arrival, time.departure) else {
            // The last stop has a time, so there is a next one.
            let next = times.iter().skip(at).position(|time| time.arrival.is_some())?;
            let until = times.get(at + next)?.arrival?.max(latest);
            for n in 0..next {
                let share = u64::from(until - latest) * (n as u64 + 1) / (next as u64 + 1);
                let minute = (latest + u32::try_from(share).ok()?) / 60;
                calls.push(Call { stop: times[at + n].stop, arrival: minute, departure: minute });
            }
            at += next;
            continue;
        };
        if arrival < latest || departure < arrival {
            fault(time, "arrival_time", "no time is before the one before it");
            return None;
        }
        latest = departure;
        calls.push(Call { stop: time.stop, arrival: arrival / 60, departure: departure / 60 });
        at += 1;
    }
    Some(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(sequence: u32, at: Option<u32>) -> StopTime {
        StopTime { trip: 0, sequence, stop: sequence, line: sequence, arrival: at, departure: at }
    }

    #[test]
    fn times_are_of_one_to_three_digits_and_may_be_past_midnight() {
        for (text, secs) in [("8:05:00", 29_100), ("08:05:00", 29_100), ("25:30:59", 91_859), ("0:00:00", 0)]
        {
            assert_eq!(seconds(text), Ok(secs));
        }
        for text in ["8:05", "8:60:00", "8:05:60", "-1:00:00", "144:00:00", "a:b:c", "1:2:3:4", "", "8::00"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_that_are_missing_are_interpolated_and_going_back_is_refused() {
        let mut faults = Faults::default();
        let times =
            [time(1, Some(600)), time(5, None), time(9, None), time(10, Some(1_500)), time(11, Some(1_560))];
        let minutes = |calls: Vec<Call>| calls.iter().map(|call| call.arrival).collect::<Vec<_>>();
        assert_eq!(calls(&times, &mut faults).map(minutes), Some(vec![10, 15, 20, 25, 26]));
        assert!(faults.is_empty());
        assert!(calls(&[time(1, Some(60)), time(2, Some(0))], &mut faults).is_none());
        assert!(calls(&[time(1, None), time(2, Some(0))], &mut faults).is_none());
        assert!(calls(&[time(1, Some(0)), time(1, Some(60))], &mut faults).is_none());
        assert_eq!(faults.count(), 3);
    }
}
