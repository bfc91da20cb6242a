//! Buses for departures: a feed has no buses, and a bus is never in two places.
//!
//! Departures are assigned in order of time, each to the lowest number that is free on all of its
//! days (interval partitioning). A departure of a block takes the bus of the block's departure
//! before it, if that is free.

use super::super::calendar::Calendar;
use chrono::{Datelike, MappedLocalTime, NaiveDate, NaiveTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;
use std::collections::{BTreeSet, HashMap};

/// Minutes of a day.
const DAY: u32 = 1_440;
/// Days after its service day that a departure can reach into: it departs before 48:00 and takes a
/// day at most.
const REACH: usize = 3;

/// What needs a bus.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// Minutes from the service day's midnight.
    pub(super) departs: u32,
    /// When it arrives at the latest, in the same minutes.
    pub(super) until: u32,
    /// The place of its calendar in the list of them.
    pub(super) calendar: usize,
    /// Departures of the same block have the same number.
    pub(super) block: Option<usize>,
}

/// When the clocks of a zone go forward: the first minute of a day that does not exist, and how
/// many do not.
pub(super) type Gaps = BTreeSet<(u32, u32)>;

/// The changes of a zone's clocks in a period.
pub(super) fn gaps(zone: Tz, first: NaiveDate, last: NaiveDate) -> Gaps {
    let noon = NaiveTime::MIN + TimeDelta::hours(12);
    let offset = |day: NaiveDate| zone.offset_from_utc_datetime(&day.and_time(noon)).fix().local_minus_utc();
    let mut gaps = Gaps::new();
    for (day, next) in first.iter_days().zip(first.iter_days().skip(1)).take_while(|(day, _)| *day <= last) {
        let secs = offset(next) - offset(day);
        let is_gap = |minute: &u32| {
            let wall = day.and_time(NaiveTime::MIN) + TimeDelta::minutes((*minute).into());
            zone.from_local_datetime(&wall) == MappedLocalTime::None
        };
        // Between two noons by UTC, which are within three days by any clock.
        let start = (secs > 0).then(|| (0..3 * DAY).find(is_gap)).flatten();
        gaps.extend(start.map(|start| (start % DAY, secs.unsigned_abs() / 60)));
    }
    gaps
}

/// When a departure arrives at the latest, should the clocks go forward on its way: it takes its
/// minutes, and the clock shows more.
pub(super) fn latest_arrival(departs: u32, minutes: u32, gaps: &Gaps) -> u32 {
    let arrives = departs + minutes;
    let late = gaps.iter().filter(|(start, length)| {
        (0..=REACH).zip(0..).any(|(_, day)| {
            let start = start + day * DAY;
            departs < start + length && arrives > start
        })
    });
    arrives + late.map(|(_, length)| *length).max().unwrap_or(0)
}

/// Most calendars for which it is kept which of them share days: 16 MiB.
const MAX_KNOWN: usize = 2_048;

/// Which calendars share days, also when one of them is days later.
pub(super) struct SharedDays {
    days: Vec<Vec<u64>>,
    /// For two calendars and a number of days, whether they share one: 0 is unknown, 1 no, 2 yes.
    known: Vec<[u8; REACH + 1]>,
}

impl SharedDays {
    pub(super) fn of(calendars: &[&Calendar]) -> Self {
        let first = calendars.iter().filter_map(|c| c.span()).map(|(first, _)| first).min();
        let days = |calendar: &&Calendar| bits(calendar, first.unwrap_or_default());
        let count = if calendars.len() <= MAX_KNOWN { calendars.len().pow(2) } else { 0 };
        Self { days: calendars.iter().map(days).collect(), known: vec![[0; REACH + 1]; count] }
    }

    /// Whether `one` runs on a day that is `later` days after one of `other`.
    fn share(&mut self, one: usize, other: usize, later: usize) -> bool {
        let (days, at) = (&self.days, one * self.days.len() + other);
        let Some(known) = self.known.get_mut(at) else { return is_shared(&days[one], &days[other], later) };
        if known[later] == 0 {
            known[later] = 1 + u8::from(is_shared(&days[one], &days[other], later));
        }
        known[later] == 2
    }
}

/// A bit for each day on which a calendar runs.
fn bits(calendar: &Calendar, first: NaiveDate) -> Vec<u64> {
    let mut bits = Vec::new();
    for date in calendar.all_dates() {
        let day = usize::try_from(date.num_days_from_ce() - first.num_days_from_ce()).unwrap_or(0);
        if bits.len() <= day / 64 {
            bits.resize(day / 64 + 1, 0_u64);
        }
        bits[day / 64] |= 1 << (day % 64);
    }
    bits
}

/// Whether a day of `one` is `later` days after one of `other`; less than 64 of them.
fn is_shared(one: &[u64], other: &[u64], later: usize) -> bool {
    let moved = |at: usize| {
        let word = other.get(at).copied().unwrap_or(0) << later;
        let before = at.checked_sub(1).and_then(|at| other.get(at)).copied().unwrap_or(0);
        word | if later == 0 { 0 } else { before >> (64 - later) }
    };
    one.iter().enumerate().any(|(at, word)| word & moved(at) != 0)
}

/// What a bus does on the days of one calendar.
#[derive(Clone, Copy)]
struct Use {
    calendar: usize,
    earliest: u32,
    until: u32,
}

/// The buses of a range, and those that are missing.
#[derive(Default)]
pub(super) struct Buses {
    uses: Vec<Vec<Use>>,
    of_block: HashMap<usize, usize>,
}

impl Buses {
    /// The place of a bus that is free for this departure. Departures come in the order of their
    /// times.
    pub(super) fn assign(&mut self, demand: Demand, shared: &mut SharedDays) -> usize {
        let of_block = demand.block.and_then(|block| self.of_block.get(&block)).copied();
        let of_block = of_block.filter(|bus| is_free(&self.uses[*bus], demand, shared));
        let free = || self.uses.iter().position(|uses| is_free(uses, demand, shared));
        let bus = of_block.or_else(free).unwrap_or_else(|| {
            self.uses.push(Vec::new());
            self.uses.len() - 1
        });
        match self.uses[bus].iter_mut().find(|used| used.calendar == demand.calendar) {
            Some(used) => used.until = used.until.max(demand.until),
            None => {
                let Demand { calendar, departs, until, .. } = demand;
                self.uses[bus].push(Use { calendar, earliest: departs, until });
            }
        }
        self.of_block.extend(demand.block.map(|block| (block, bus)));
        bus
    }
}

/// Whether a bus is free. All that it does already departs no later on its service day, and so is
/// in the way on the same service day if it ends later. On the days after, it is in the way if this
/// departure ends after the earliest of them begins.
fn is_free(uses: &[Use], demand: Demand, shared: &mut SharedDays) -> bool {
    uses.iter().all(|used| {
        let is_in_the_way = used.until > demand.departs && shared.share(demand.calendar, used.calendar, 0);
        !is_in_the_way
            && (1..).zip(1..=REACH).all(|(later, days)| {
                used.earliest + later * DAY >= demand.until
                    || !shared.share(used.calendar, demand.calendar, days)
            })
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::calendar::WeekDays;
    use super::*;

    fn calendar(days: &str) -> Calendar {
        let date = |text: &str| text.parse().expect("a date");
        let days: WeekDays = days.parse().expect("days");
        let period = Some((date("2027-01-01"), date("2027-12-31")));
        Calendar { days, period, exceptions: Default::default() }
    }

    fn assigned(demands: &[(u32, u32, usize, Option<usize>)]) -> Vec<usize> {
        let calendars =
            [calendar("daily"), calendar("mon tue wed thu fri"), calendar("sat sun"), calendar("sun")];
        let mut shared = SharedDays::of(&calendars.iter().collect::<Vec<_>>());
        let mut buses = Buses::default();
        let gaps = Gaps::from([(120, 60)]);
        let demand = |(departs, minutes, calendar, block)| {
            let until = latest_arrival(departs, minutes, &gaps);
            Demand { departs, until, calendar, block }
        };
        demands.iter().map(|d| buses.assign(demand(*d), &mut shared)).collect()
    }

    #[test]
    fn gaps_are_those_of_the_zone_and_make_arrivals_later() {
        let of = |zone: Tz| {
            let date = |text: &str| text.parse().expect("a date");
            gaps(zone, date("2027-01-01"), date("2027-12-31")).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(of(Tz::Europe__Berlin), [(120, 60)]);
        assert_eq!((of(Tz::America__Havana), of(Tz::Asia__Tokyo)), (vec![(0, 60)], vec![]));
        assert_eq!(of(Tz::Australia__Lord_Howe), [(120, 30)]);
        let berlin = Gaps::from([(120, 60)]);
        for (departs, minutes, latest) in
            [(60, 60, 120), (60, 61, 181), (150, 10, 220), (180, 10, 190), (1_500, 61, 1_621)]
        {
            assert_eq!(latest_arrival(departs, minutes, &berlin), latest, "{departs} {minutes}");
        }
    }

    #[test]
    fn a_bus_is_in_one_place() {
        // One after the other, and at the same time.
        assert_eq!(assigned(&[(480, 60, 0, None), (500, 60, 0, None), (540, 60, 0, None)]), [0, 1, 0]);
        // At the same time on other days.
        assert_eq!(assigned(&[(480, 60, 1, None), (480, 60, 2, None), (480, 60, 3, None)]), [0, 0, 1]);
        // Past midnight into the next day's first departure: Sunday's reaches Monday's.
        assert_eq!(assigned(&[(300, 60, 1, None), (1_430, 400, 3, None)]), [0, 1]);
        // Saturday is not reached by Sunday's.
        assert_eq!(assigned(&[(300, 60, 3, None), (1_430, 400, 3, None)]), [0, 0]);
        // A block goes on with its bus.
        assert_eq!(
            assigned(&[(480, 60, 0, Some(7)), (480, 60, 0, Some(8)), (600, 60, 0, Some(8))]),
            [0, 1, 1]
        );
        // Room for a change of the clock.
        assert_eq!(assigned(&[(90, 60, 0, None), (150, 60, 0, None), (600, 60, 0, None)]), [0, 1, 0]);
    }
}
