//! A network of what a mapping sells of a feed.

use super::super::{
    bounds::{MAX_DESCRIPTION, MAX_DIRECTION, MAX_STOPS},
    fault::{Fault, Faults, shown},
    model::{Bus, Departure, Direction, Fare, FareKey, Network, Route, Stop},
    names::Code,
    rows::line_of,
    source::Source,
};
use super::{
    assign::{self, Buses, Demand, Gaps, SharedDays, latest_arrival},
    days::{self, Services},
    fares::{self, Ride},
    feed::Feed,
    mapping::{Fares, Mapping},
    names::{Translations, name_of},
    stop_times::{self, Times},
    tables::{LIMITS, code_of},
    trips::{self, Run, Runs},
};
use chrono::NaiveDate;
use chrono_tz::Tz;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

/// What came of a feed.
#[derive(Debug)]
pub struct Converted {
    /// All that can be used.
    pub network: Network,
    /// What is wrong in the feed.
    pub faults: Faults,
    /// Trips of the feed that the mapping sells.
    pub sold_trips: usize,
    /// Trips of them of which no departure can be used.
    pub trips_left_out: usize,
    /// Departures of the others that cannot be used.
    pub departures_left_out: usize,
}

/// A route, the direction in the feed, and the stops.
type Pattern = (usize, u16, Vec<u32>);

struct Parts<'a> {
    mapping: &'a Mapping,
    feed: Feed,
    times: Times,
    services: Services,
    translations: Translations,
}

/// Converts what `mapping` sells of the feed in a folder or a zip. `today` is the first service day
/// that is not past by the clock of the network's zone.
///
/// # Errors
/// The feed cannot be opened, nothing of it is sold, or nothing of what is sold can be used.
pub fn convert(
    path: &Path,
    mapping: &Mapping,
    today: impl FnOnce(Tz) -> NaiveDate,
) -> Result<Converted, Faults> {
    let mut faults = Faults::default();
    let mut source = Source::open(path, LIMITS).map_err(Faults::from)?;
    let feed = Feed::read(&mut source, mapping, &mut faults);
    let sold_trips = feed.trips.len();
    if sold_trips == 0 {
        faults.push(mapping.fault("sell", "no trip of the feed is of its routes and trips"));
        return Err(faults);
    }
    let times = stop_times::read(&mut source, &feed, &mut faults);
    let today = today(mapping.zone.or(feed.agencies.zone).unwrap_or_default());
    let services = days::read(&mut source, &feed, (mapping.shift, today), &mut faults);
    let translations = Translations::read(&mut source, &mapping.languages, &mut faults);
    let Runs { runs, planned } = trips::runs(&mut source, &feed, &times, &services, &mut faults);
    let parts = Parts { mapping, feed, times, services, translations };
    let (numbers, runs) = parts.numbered(runs, &mut faults);
    let mut network = parts.network(&mut faults);
    let runs = parts.with_fares(&mut source, runs, &numbers, &mut network, &mut faults);
    let runs = parts.with_buses(runs, &mut network, &mut faults);
    parts.add_places(&numbers, &runs, &mut network, &mut faults);
    let used: HashSet<usize> = runs.iter().map(|(run, _)| run.trip).collect();
    parts.add_departures(&numbers, runs, &mut network);
    if network.departures.is_empty() {
        return Err(faults);
    }
    let of_used: usize = used.iter().filter_map(|trip| planned.get(*trip)).sum();
    let departures_left_out = of_used - network.departures.len();
    Ok(Converted {
        network,
        faults,
        sold_trips,
        trips_left_out: sold_trips - used.len(),
        departures_left_out,
    })
}

impl Parts<'_> {
    fn pattern(&self, run: &Run) -> Pattern {
        let trip = &self.feed.trips[run.trip];
        let calls = self.times.trips[run.trip].iter().flatten();
        (trip.route, trip.direction, calls.map(|call| call.stop).collect())
    }

    /// A number for each list of stops of a route: the direction of the feed for the one with the
    /// most departures, and higher numbers for all others. Returns the runs that have one.
    fn numbered(&self, runs: Vec<Run>, faults: &mut Faults) -> (HashMap<Pattern, u16>, Vec<Run>) {
        let mut counts: HashMap<Pattern, usize> = HashMap::new();
        for run in &runs {
            *counts.entry(self.pattern(run)).or_default() += 1;
        }
        let ids = |stops: &[u32]| -> Vec<&str> {
            stops.iter().map(|stop| self.feed.stops[*stop as usize].id.as_str()).collect()
        };
        let mut patterns: Vec<(&Pattern, usize)> =
            counts.iter().map(|(pattern, count)| (pattern, *count)).collect();
        patterns.sort_by_key(|(pattern, count)| (pattern.0, pattern.1, Reverse(*count), ids(&pattern.2)));
        let mut numbers: HashMap<Pattern, u16> = HashMap::new();
        let (mut taken, mut next) = (HashSet::new(), HashMap::new());
        for (pattern, _) in patterns {
            let next = next.entry(pattern.0).or_insert(2);
            let number = if taken.insert((pattern.0, pattern.1)) { pattern.1 } else { *next };
            *next += u16::from(number == *next);
            if number <= MAX_DIRECTION {
                numbers.insert(pattern.clone(), number);
            } else {
                let route = &self.feed.routes[pattern.0];
                let rule =
                    format!("at most {} lists of stops of one route; others are left out", MAX_DIRECTION + 1);
                faults.push(Fault::of_line("routes.txt", route.line, rule));
            }
        }
        let runs = runs.into_iter().filter(|run| numbers.contains_key(&self.pattern(run))).collect();
        (numbers, runs)
    }

    /// A network without places and departures.
    fn network(&self, faults: &mut Faults) -> Network {
        let mapping = self.mapping;
        let zone = mapping.zone.or(self.feed.agencies.zone).unwrap_or_default();
        if mapping.zone.or(self.feed.agencies.zone).is_none() {
            faults.push(mapping.fault("zone", "no agency of the feed has a zone that is known"));
        }
        Network {
            url: mapping.url.clone().or_else(|| self.feed.agencies.url.clone()),
            ticket_url: mapping.ticket_url.clone(),
            defaults: mapping.defaults,
            models: mapping.models.clone(),
            ..Network::empty(mapping.name.clone(), zone, mapping.currency, mapping.languages.clone())
        }
    }

    /// The ride from the first stop of a list to its last.
    fn ride(&self, (route, _, stops): &Pattern) -> Option<Ride> {
        let zone = |stop: &u32| self.feed.stops[*stop as usize].fare_zone.clone();
        Some((self.feed.routes[*route].id.clone(), zone(stops.first()?), zone(stops.last()?)))
    }

    /// Enters the fares; returns the runs that have one.
    fn with_fares(
        &self,
        source: &mut Source,
        runs: Vec<Run>,
        numbers: &HashMap<Pattern, u16>,
        network: &mut Network,
        faults: &mut Faults,
    ) -> Vec<Run> {
        let sell_of = |run: &Run| &self.mapping.sells[self.feed.trips[run.trip].sell];
        let by_rules = runs.iter().filter(|run| matches!(sell_of(run).fares, Fares::Rules));
        let rides: HashSet<Ride> = by_rules.filter_map(|run| self.ride(&self.pattern(run))).collect();
        let mut of_feed = HashMap::new();
        if !rides.is_empty() {
            of_feed = fares::of_rides(source, &rides, network.currency, faults);
        }
        let (mut missing, mut differing) = (HashSet::new(), HashSet::new());
        let mut sold = Vec::new();
        for run in runs {
            let (sell, pattern) = (sell_of(&run), self.pattern(&run));
            let route = &self.feed.routes[pattern.0];
            let direction = numbers.get(&pattern).copied();
            let classes = match &sell.fares {
                Fares::Fixed(fares) => fares.clone(),
                Fares::Rules => {
                    let amount = self.ride(&pattern).and_then(|ride| of_feed.get(&ride).copied());
                    let classes =
                        self.mapping.models.get(&sell.model).map(super::super::BusModel::sold_classes);
                    let each = classes
                        .into_iter()
                        .flatten()
                        .filter_map(|class| Some((class.parse().ok()?, amount?)));
                    each.collect()
                }
            };
            if classes.is_empty() {
                if let Some((id, from, to)) = self.ride(&pattern).filter(|ride| missing.insert(ride.clone()))
                {
                    let rule = format!("no fare of route {id} from {from} to {to}; its trips are left out");
                    faults.push(Fault::of_file("fare_rules.txt", rule));
                }
                continue;
            }
            for (class, amount) in classes {
                let key = FareKey { route: code_of(&route.id), direction, class, from: None };
                let known = network.fares.entry(key).or_insert(Fare { until: None, amount });
                if known.amount != amount && differing.insert((pattern.0, direction)) {
                    let rule = format!(
                        "direction {direction:?} of route {} has two fares; the first is taken",
                        route.id
                    );
                    faults.push(self.mapping.fault("sell, fare", rule));
                }
            }
            sold.push(run);
        }
        sold
    }

    /// Gives each run a bus; returns those that got one.
    fn with_buses(&self, mut runs: Vec<Run>, network: &mut Network, faults: &mut Faults) -> Vec<(Run, u32)> {
        runs.sort_by(|a, b| (a.departs, &a.code).cmp(&(b.departs, &b.code)));
        let places: HashMap<&str, usize> =
            self.services.keys().enumerate().map(|(at, service)| (service.as_str(), at)).collect();
        let mut shared = SharedDays::of(&self.services.values().collect::<Vec<_>>());
        let spans = self.services.values().filter_map(|calendar| calendar.span());
        let span = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let mut gaps: HashMap<Tz, Gaps> = HashMap::new();
        let mut pools: BTreeMap<(u32, u32), (Buses, u32)> = BTreeMap::new();
        let mut blocks: HashMap<&str, usize> = HashMap::new();
        let mut assigned = Vec::new();
        for run in runs {
            let trip = &self.feed.trips[run.trip];
            let sell = &self.mapping.sells[trip.sell];
            let count = blocks.len();
            let block = Some(trip.block.as_str()).filter(|block| !block.is_empty());
            let clock = self.clock_of(trip.route, network.zone);
            let gaps = gaps.entry(clock).or_insert_with(|| {
                span.map(|(first, last)| assign::gaps(clock, first, last)).unwrap_or_default()
            });
            let departs = run.departs.minutes().into();
            let demand = Demand {
                departs,
                until: latest_arrival(departs, run.minutes(), gaps),
                calendar: places.get(trip.service.as_str()).copied().unwrap_or_default(),
                block: block.map(|block| *blocks.entry(block).or_insert(count)),
            };
            let (first, last) = (*sell.buses.start(), *sell.buses.end());
            let (buses, most) = pools.entry((first, last)).or_default();
            let at = u32::try_from(buses.assign(demand, &mut shared)).unwrap_or(u32::MAX);
            *most = at.saturating_add(1).max(*most);
            if at <= last - first {
                let bus = Bus { plate: None, model: sell.model.clone(), driver: None };
                network.buses.insert(first + at, bus);
                assigned.push((run, first + at));
            }
        }
        for ((first, last), (_, most)) in
            pools.into_iter().filter(|((first, last), (_, most))| last - first < most - 1)
        {
            let rule =
                format!("{first}-{last} are too few buses: {most} are needed at once; trips are left out");
            faults.push(self.mapping.fault("sell, buses", rule));
        }
        assigned
    }

    /// Enters routes, directions and stops of the runs.
    fn add_places(
        &self,
        numbers: &HashMap<Pattern, u16>,
        runs: &[(Run, u32)],
        network: &mut Network,
        faults: &mut Faults,
    ) {
        let mut headsigns: BTreeMap<Pattern, BTreeMap<&str, usize>> = BTreeMap::new();
        for (run, _) in runs {
            let trip = &self.feed.trips[run.trip];
            *headsigns.entry(self.pattern(run)).or_default().entry(&trip.headsign).or_default() += 1;
        }
        let mut stops: Vec<u32> = headsigns.keys().flat_map(|pattern| pattern.2.iter().copied()).collect();
        stops.sort_unstable();
        stops.dedup();
        if stops.len() > MAX_STOPS {
            faults.push(Fault::of_file("stops.txt", format!("at most {MAX_STOPS} stops that are sold")));
        }
        for stop in stops {
            let stop = &self.feed.stops[stop as usize];
            if let Some(kind) = &stop.not_of_stops {
                let rule = format!("empty or 0, as of a stop at which trips call; it is {}", shown(kind));
                faults.push(Fault::of_line("stops.txt", stop.line, rule).column("location_type"));
            }
            let key = ("stops", "stop_name", stop.id.as_str());
            let names = self.translations.names(key, &stop.name, &stop.id, stop.line, faults);
            let zone = stop.zone.filter(|zone| *zone != network.zone);
            network.stops.insert(code_of(&stop.id), Stop { names, place: stop.place, zone });
        }
        for (pattern, counts) in headsigns {
            let (Some(number), Some(last)) = (numbers.get(&pattern), pattern.2.last()) else { continue };
            let of_feed = &self.feed.routes[pattern.0];
            let of_network = network.routes.entry(code_of(&of_feed.id)).or_insert_with(|| {
                let key = ("routes", "route_long_name", of_feed.id.as_str());
                let names = self.translations.names(key, &of_feed.name, &of_feed.id, of_feed.line, faults);
                let description = of_feed.description.split_whitespace().collect::<Vec<_>>().join(" ");
                let description = line_of(&description, MAX_DESCRIPTION).ok();
                let sells = &self.mapping.sells;
                let rules = sells.iter().find(|sell| sell.has_route(&of_feed.id)).map(|sell| sell.rules);
                let rules = rules.unwrap_or_default();
                Route { names, description, rules, directions: BTreeMap::new() }
            });
            let headsign = counts.iter().max_by_key(|(text, count)| (**count, Reverse(**text)));
            let headsign = headsign.map_or("", |(text, _)| *text);
            let names = if name_of(headsign).is_ok() {
                let key = ("trips", "trip_headsign", "");
                self.translations.names(key, headsign, headsign, 0, faults)
            } else {
                let last = network.stops.get(&code_of(&self.feed.stops[*last as usize].id));
                last.map_or_else(|| of_network.names.clone(), |stop| stop.names.clone())
            };
            let stops = pattern.2.iter().map(|stop| code_of(&self.feed.stops[*stop as usize].id)).collect();
            of_network.directions.insert(*number, Direction { names, stops });
        }
    }

    /// The clock of a route's times. Routes without one have no runs.
    fn clock_of(&self, route: usize, otherwise: Tz) -> Tz {
        self.feed.routes[route].clock.unwrap_or(otherwise)
    }

    /// Enters departures and their calendars, and drops the fares that none of them needs.
    fn add_departures(&self, numbers: &HashMap<Pattern, u16>, runs: Vec<(Run, u32)>, network: &mut Network) {
        for (run, bus) in runs {
            let trip = &self.feed.trips[run.trip];
            let Some(direction) = numbers.get(&self.pattern(&run)).copied() else { continue };
            let of_route = &self.feed.routes[trip.route];
            let (route, calendar): (Code, Code) = (code_of(&of_route.id), code_of(&trip.service));
            if let Some(days) = self.services.get(&trip.service) {
                network.calendars.entry(calendar.clone()).or_insert_with(|| days.clone());
            }
            let Run { code, departs, legs, dwells, .. } = run;
            let mut departure =
                Departure { route, direction, bus, calendar, zone: None, departs, legs, dwells };
            // The times of a feed are by its agency's clock, also at stops of other zones.
            let clock = self.clock_of(trip.route, network.zone);
            departure.zone = Some(clock).filter(|clock| *clock != network.clock_of(&departure));
            network.departures.insert(code, departure);
        }
        let routes = &network.routes;
        network.fares.retain(|key, _| {
            let directions = routes.get(&key.route).map(|route| &route.directions);
            directions.is_some_and(|all| key.direction.is_none_or(|number| all.contains_key(&number)))
        });
        let used: HashSet<&Code> = network.buses.values().map(|bus| &bus.model).collect();
        network.models.retain(|code, _| used.contains(code));
    }
}
