//! What an operator sells: stops, routes, buses, calendars, departures and fares.
//!
//! A [`Network`] is a value: two of them can be compared, and the same files always give the same.

use super::{
    bounds::{DEPARTS_BEFORE, MINUTES_OF_DEPARTURE, STOPS_OF_DIRECTION},
    calendar::Calendar,
    currency::{Amount, Currency},
    layout::BusModel,
    names::{Code, Language, Names},
};
use crate::domain::wall;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use std::{collections::BTreeMap, fmt, str::FromStr};

/// All that an operator sells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// What it is called.
    pub name: String,
    /// The languages of its names; the first is that of [`Names::default`].
    pub languages: Vec<Language>,
    /// The zone of stops that have none of their own.
    pub zone: Tz,
    /// Of all fares.
    pub currency: Currency,
    /// The operator's page on the web.
    pub url: Option<String>,
    /// Where riders book, for links in feeds.
    pub ticket_url: Option<String>,
    /// For routes that have no rules of their own.
    pub defaults: Rules,
    /// By code.
    pub stops: BTreeMap<Code, Stop>,
    /// By code.
    pub models: BTreeMap<Code, BusModel>,
    /// By code.
    pub drivers: BTreeMap<Code, Driver>,
    /// By number, from 1.
    pub buses: BTreeMap<u32, Bus>,
    /// By code.
    pub routes: BTreeMap<Code, Route>,
    /// By code.
    pub calendars: BTreeMap<Code, Calendar>,
    /// By code.
    pub departures: BTreeMap<Code, Departure>,
    /// The amount of each fare. Periods of one fare do not overlap.
    pub fares: BTreeMap<FareKey, Fare>,
}

/// When seats are held, sold and given back; `None` leaves it to the next level: a route to the
/// network, the network to the installation's settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// How long an unpaid order holds its seats, seconds.
    pub hold_secs: Option<u32>,
    /// How long before departure booking ends, seconds.
    pub cut_off_secs: Option<u32>,
    /// How long before departure refunding ends, seconds.
    pub refund_secs: Option<u32>,
    /// How much of the price is refunded, percent.
    pub refund_percent: Option<u8>,
}

impl Rules {
    /// These rules, and `below` where they say nothing.
    #[must_use]
    pub fn or(self, below: Self) -> Self {
        Self {
            hold_secs: self.hold_secs.or(below.hold_secs),
            cut_off_secs: self.cut_off_secs.or(below.cut_off_secs),
            refund_secs: self.refund_secs.or(below.refund_secs),
            refund_percent: self.refund_percent.or(below.refund_percent),
        }
    }
}

/// A place where buses stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// What it is called.
    pub names: Names,
    /// Where it is.
    pub place: Option<Place>,
    /// Its zone; `None` for the network's.
    pub zone: Option<Tz>,
}

/// A place on the earth, in millionths of a degree, so that two can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// North of the equator.
    pub latitude: i32,
    /// East of Greenwich.
    pub longitude: i32,
}

/// A route with its directions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What it is called.
    pub names: Names,
    /// More about it.
    pub description: Option<String>,
    /// Its rules.
    pub rules: Rules,
    /// By number.
    pub directions: BTreeMap<u16, Direction>,
}

/// A direction of a route: one list of stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direction {
    /// What the bus shows.
    pub names: Names,
    /// In order; a stop may be served twice.
    pub stops: Vec<Code>,
}

/// A driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// Name.
    pub name: String,
    /// Phone number.
    pub phone: Option<String>,
}

/// A bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bus {
    /// Its plate.
    pub plate: Option<String>,
    /// Its model.
    pub model: Code,
    /// Who drives it.
    pub driver: Option<Code>,
}

/// A departure of the timetable: one trip on each day of its calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// The route.
    pub route: Code,
    /// The number of its direction.
    pub direction: u16,
    /// The bus's number.
    pub bus: u32,
    /// The days.
    pub calendar: Code,
    /// By which zone's clock it departs; `None` for that of its first stop.
    pub zone: Option<Tz>,
    /// When it departs.
    pub departs: WallTime,
    /// Minutes from each stop to the next.
    pub legs: Vec<u16>,
    /// Minutes at each stop but the first and the last; empty if it waits nowhere.
    pub dwells: Vec<u16>,
}

impl Departure {
    /// From the first stop to the last.
    pub fn minutes(&self) -> u32 {
        self.legs.iter().chain(&self.dwells).map(|minutes| u32::from(*minutes)).sum()
    }

    /// Minutes after the departure at which it arrives at stop `n` and departs from it.
    pub fn times_at(&self, n: usize) -> (u32, u32) {
        let legs: u32 = self.legs.iter().take(n).map(|minutes| u32::from(*minutes)).sum();
        let dwells = |most: usize| self.dwells.iter().take(most).map(|m| u32::from(*m)).sum::<u32>();
        (legs + dwells(n.saturating_sub(1)), legs + dwells(n))
    }

    /// Why the times are none of a direction with this number of stops.
    pub fn fault_of_times(&self, stops: usize) -> Option<(&'static str, String)> {
        let (legs, minutes) = (self.legs.len(), self.minutes());
        let (least, most) = (MINUTES_OF_DEPARTURE.start(), MINUTES_OF_DEPARTURE.end());
        if STOPS_OF_DIRECTION.contains(&stops) && legs + 1 != stops {
            return Some(("legs", format!("{} legs between {stops} stops, this has {legs}", stops - 1)));
        }
        if !self.dwells.is_empty() && self.dwells.len() + 1 != legs {
            let rule = format!(
                "one number for each stop but the first and the last, this has {}",
                self.dwells.len()
            );
            return Some(("dwells", rule));
        }
        let rule =
            || format!("{least} to {most} minutes from the first stop to the last, this has {minutes}");
        (!MINUTES_OF_DEPARTURE.contains(&minutes)).then(|| ("legs", rule()))
    }
}

/// Minutes from a service day's midnight; 24:00 and later are on the next day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(u16);

impl WallTime {
    /// `None` from [`DEPARTS_BEFORE`] on.
    pub fn of_minutes(minutes: u32) -> Option<Self> {
        u16::try_from(minutes).ok().filter(|minutes| *minutes < DEPARTS_BEFORE).map(Self)
    }

    /// Minutes from midnight.
    pub fn minutes(self) -> u16 {
        self.0
    }
}

impl FromStr for WallTime {
    /// The rule that the text breaks.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
            let plain = lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u32>().ok().filter(|_| plain)
        };
        let time = text.split_once(':').and_then(|(hours, minutes)| {
            let minutes = number(minutes, 2..=2).filter(|minutes| *minutes < 60)?;
            Self::of_minutes(number(hours, 1..=2)? * 60 + minutes)
        });
        time.ok_or_else(|| "a time like 7:50, up to 47:59; 24:00 and later are on the next day".to_owned())
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl fmt::Debug for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What a fare is for, and from when on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FareKey {
    /// The route.
    pub route: Code,
    /// The number of its direction; `None` for those that have no fare of their own.
    pub direction: Option<u16>,
    /// The class of the seat.
    pub class: Code,
    /// The first service day; `None` without a beginning.
    pub from: Option<NaiveDate>,
}

/// What a seat costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fare {
    /// The last service day; `None` without an end.
    pub until: Option<NaiveDate>,
    /// For one seat from the first stop to the last.
    pub amount: Amount,
}

impl Network {
    /// A network that has nothing yet, and no addresses and rules.
    pub fn empty(name: String, zone: Tz, currency: Currency, languages: Vec<Language>) -> Self {
        Self {
            name,
            languages,
            zone,
            currency,
            url: None,
            ticket_url: None,
            defaults: Rules::default(),
            stops: BTreeMap::new(),
            models: BTreeMap::new(),
            drivers: BTreeMap::new(),
            buses: BTreeMap::new(),
            routes: BTreeMap::new(),
            calendars: BTreeMap::new(),
            departures: BTreeMap::new(),
            fares: BTreeMap::new(),
        }
    }

    /// The direction of a departure.
    pub fn direction_of(&self, departure: &Departure) -> Option<&Direction> {
        self.routes.get(&departure.route)?.directions.get(&departure.direction)
    }

    /// The model of a departure's bus.
    pub fn model_of(&self, departure: &Departure) -> Option<&BusModel> {
        self.models.get(&self.buses.get(&departure.bus)?.model)
    }

    /// The zone of a stop.
    pub fn zone_of(&self, stop: &Code) -> Tz {
        self.stops.get(stop).and_then(|stop| stop.zone).unwrap_or(self.zone)
    }

    /// The zone by whose clock a departure is timed.
    pub fn clock_of(&self, departure: &Departure) -> Tz {
        let first = self.direction_of(departure).and_then(|direction| direction.stops.first());
        departure.zone.unwrap_or_else(|| first.map_or(self.zone, |stop| self.zone_of(stop)))
    }

    /// When a departure departs from its first stop and arrives at its last on this service day,
    /// by the rule of [`wall`]; `None` outside of the calendar.
    pub fn times(&self, departure: &Departure, day: NaiveDate) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let departs = wall::instant(self.clock_of(departure), day, departure.departs.minutes().into())?;
        let arrives = departs.checked_add_signed(TimeDelta::minutes(departure.minutes().into()))?;
        Some((departs, arrives))
    }

    /// What a seat of this class costs on this service day: by the direction's own fare if one is in
    /// force, else by that of the route.
    pub fn fare(&self, departure: &Departure, class: &str, day: NaiveDate) -> Option<Amount> {
        [Some(departure.direction), None].into_iter().find_map(|direction| {
            let class = class.parse().ok()?;
            let route = departure.route.clone();
            let last = FareKey { route, direction, class, from: Some(day) };
            let first = FareKey { from: None, ..last.clone() };
            let (_, fare) = self.fares.range(first..=last).next_back()?;
            fare.until.is_none_or(|until| day <= until).then_some(fare.amount)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_times_reach_into_the_next_day() {
        for (text, minutes) in [("0:00", 0), ("7:50", 470), ("07:50", 470), ("24:00", 1440), ("47:59", 2879)]
        {
            assert_eq!(text.parse::<WallTime>().expect(text).minutes(), minutes);
        }
        for text in ["48:00", "7:5", "7:60", "-1:00", "", "7", "7:50:00", "007:50", "７:50"] {
            assert!(text.parse::<WallTime>().is_err(), "{text}");
        }
        assert_eq!("25:05".parse::<WallTime>().expect("a time").to_string(), "25:05");
    }
}
