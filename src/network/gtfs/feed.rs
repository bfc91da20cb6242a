//! Agencies, routes, stops and trips of a feed, as far as they are sold.

use super::super::{
    fault::{Fault, Faults, shown},
    model::Place,
    read::degrees,
    source::Source,
};
use super::{
    mapping::Mapping,
    matched::Matched,
    tables::{Line, each},
};
use chrono_tz::Tz;
use std::collections::HashMap;

/// Types of routes: the basic ones, and the extended ones by their hundreds.
const ROUTE_TYPES: [std::ops::RangeInclusive<u16>; 3] = [0..=7, 11..=12, 100..=1702];

/// The agencies' zones and page.
#[derive(Default)]
pub(super) struct Agencies {
    /// By id; `None` for one whose zone cannot be used.
    zones: HashMap<String, Option<Tz>>,
    /// The first one.
    pub(super) zone: Option<Tz>,
    pub(super) url: Option<String>,
}

impl Agencies {
    /// The zone by whose clock the times of a route of `routes.txt` are; `None` if it is not known.
    fn clock(&self, line: &Line<'_>, mapping: &Mapping, faults: &mut Faults) -> Option<Tz> {
        let id = line.get("agency_id");
        if let Some(zone) = self.zones.get(id) {
            return zone.or(mapping.zone);
        }
        // The agencies of a feed should have one zone, and a single one needs no name.
        let mut zones = self.zones.values();
        let first = zones.next().copied().flatten();
        let zone = first.filter(|_| zones.all(|zone| *zone == first)).or(mapping.zone);
        let ending = if zone.is_none() { "; its departures are left out" } else { "" };
        if !id.is_empty() && !self.zones.is_empty() {
            faults.push(line.fault("agency_id", &format!("an agency of agency.txt{ending}")));
        } else if zone.is_none() && self.zones.len() > 1 {
            let rule = "an agency of agency.txt, because their zones differ";
            faults.push(line.fault("agency_id", &format!("{rule}{ending}")));
        }
        zone
    }
}

pub(super) struct Route {
    pub(super) id: String,
    /// By whose clock its times are; `None` if that is not known.
    pub(super) clock: Option<Tz>,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) line: u64,
}

pub(super) struct Stop {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) place: Option<Place>,
    pub(super) zone: Option<Tz>,
    /// Of fares: its zone, or itself if it has none.
    pub(super) fare_zone: String,
    parent: String,
    /// What it is if it is no stop but a station, an entrance, or another place.
    pub(super) not_of_stops: Option<String>,
    pub(super) line: u64,
}

pub(super) struct Trip {
    pub(super) id: String,
    pub(super) route: usize,
    pub(super) service: String,
    pub(super) direction: u16,
    pub(super) headsign: String,
    pub(super) block: String,
    /// The part of the mapping that sells it.
    pub(super) sell: usize,
    pub(super) line: u64,
}

/// What stands in a feed, and which of it is sold.
#[derive(Default)]
pub(super) struct Feed {
    pub(super) agencies: Agencies,
    pub(super) routes: Vec<Route>,
    pub(super) stops: Vec<Stop>,
    pub(super) stop_by_id: HashMap<String, usize>,
    pub(super) trips: Vec<Trip>,
    /// All trips of the feed; those that are sold with their places in `trips`.
    pub(super) trip_by_id: HashMap<String, Option<usize>>,
}

impl Feed {
    /// Reads all but times and days.
    pub(super) fn read(source: &mut Source, mapping: &Mapping, faults: &mut Faults) -> Self {
        let mut feed = Self { agencies: agencies(source, mapping, faults), ..Self::default() };
        let mut matched = Matched::of(mapping);
        let route_by_id = feed.read_routes(source, (mapping, &mut matched), faults);
        feed.read_trips(source, &mut matched, &route_by_id, faults);
        matched.report(faults);
        feed.read_stops(source, faults);
        feed
    }

    fn read_routes(
        &mut self,
        source: &mut Source,
        (mapping, matched): (&Mapping, &mut Matched<'_>),
        faults: &mut Faults,
    ) -> HashMap<String, Option<usize>> {
        let mut by_id: HashMap<String, Option<usize>> = HashMap::new();
        let has = each(source, "routes.txt", &["route_id"], faults, |line, faults| {
            let Some(id) = line.need("route_id", faults).map(str::to_owned) else { return };
            if by_id.contains_key(&id) {
                return faults.push(line.fault("route_id", "a route stands once; the first is taken"));
            }
            line.read("route_type", faults, route_type);
            let is_sold = matched.route(&id);
            by_id.insert(id.clone(), is_sold.then_some(self.routes.len()));
            if is_sold {
                let (short, long) = (line.get("route_short_name"), line.get("route_long_name"));
                let name = match (short, long) {
                    ("", name) | (name, "") => name.to_owned(),
                    (short, long) if long.contains(short) => long.to_owned(),
                    (short, long) => format!("{short} {long}"),
                };
                self.routes.push(Route {
                    id,
                    clock: self.agencies.clock(line, mapping, faults),
                    name,
                    description: line.get("route_desc").to_owned(),
                    line: line.number(),
                });
            }
        });
        missing(has, "routes.txt", faults);
        by_id
    }

    fn read_trips(
        &mut self,
        source: &mut Source,
        matched: &mut Matched<'_>,
        routes: &HashMap<String, Option<usize>>,
        faults: &mut Faults,
    ) {
        let required = ["route_id", "service_id", "trip_id"];
        let has = each(source, "trips.txt", &required, faults, |line, faults| {
            let Some(id) = line.need("trip_id", faults).map(str::to_owned) else { return };
            if self.trip_by_id.contains_key(&id) {
                return faults.push(line.fault("trip_id", "a trip stands once; the first is taken"));
            }
            let Some(route) = routes.get(line.get("route_id")) else {
                self.trip_by_id.insert(id, None);
                return faults.push(line.fault("route_id", "a route of routes.txt"));
            };
            let sold = route.and_then(|route| self.trip(line, &id, route, matched, faults));
            self.trip_by_id.insert(id, sold.is_some().then_some(self.trips.len()));
            self.trips.extend(sold);
        });
        missing(has, "trips.txt", faults);
    }

    /// A trip of a route, if a part of the mapping sells it.
    fn trip(
        &self,
        line: &Line<'_>,
        id: &str,
        route: usize,
        matched: &mut Matched<'_>,
        faults: &mut Faults,
    ) -> Option<Trip> {
        let direction = line.read("direction_id", faults, |text| match text {
            "0" => Ok(0),
            "1" => Ok(1),
            _ => Err("0 or 1; it is taken as 0".to_owned()),
        });
        let direction = direction.unwrap_or(0);
        let sell = matched.trip(&self.routes.get(route)?.id, id, direction)?;
        Some(Trip {
            id: id.to_owned(),
            route,
            service: line.need("service_id", faults)?.to_owned(),
            direction,
            headsign: line.get("trip_headsign").to_owned(),
            block: line.get("block_id").to_owned(),
            sell,
            line: line.number(),
        })
    }

    fn read_stops(&mut self, source: &mut Source, faults: &mut Faults) {
        let has = each(source, "stops.txt", &["stop_id"], faults, |line, faults| {
            let Some(id) = line.need("stop_id", faults).map(str::to_owned) else { return };
            if self.stop_by_id.contains_key(&id) {
                return faults.push(line.fault("stop_id", "a stop stands once; the first is taken"));
            }
            let latitude = line.read("stop_lat", faults, |text| degrees(text, 90));
            let longitude = line.read("stop_lon", faults, |text| degrees(text, 180));
            let kind = Some(line.get("location_type")).filter(|kind| !["", "0"].contains(kind));
            let fare_zone = Some(line.get("zone_id")).filter(|zone| !zone.is_empty());
            self.stop_by_id.insert(id.clone(), self.stops.len());
            self.stops.push(Stop {
                name: line.get("stop_name").to_owned(),
                place: latitude.zip(longitude).map(|(latitude, longitude)| Place { latitude, longitude }),
                zone: line.read("stop_timezone", faults, super::super::read::zone),
                fare_zone: fare_zone.unwrap_or(&id).to_owned(),
                parent: line.get("parent_station").to_owned(),
                not_of_stops: kind.map(str::to_owned),
                line: line.number(),
                id,
            });
        });
        missing(has, "stops.txt", faults);
        self.inherit_zones(faults);
    }

    /// A platform has the zone of its station.
    fn inherit_zones(&mut self, faults: &mut Faults) {
        let mut zones = Vec::new();
        for (at, stop) in self.stops.iter().enumerate().filter(|(_, stop)| !stop.parent.is_empty()) {
            let parent = self.stop_by_id.get(&stop.parent).map(|parent| &self.stops[*parent]);
            let fault = |rule: &str| {
                let rule = format!("{rule}; it is {}", shown(&stop.parent));
                Fault::of_line("stops.txt", stop.line, rule).column("parent_station")
            };
            match parent {
                None => faults.push(fault("a stop of this file")),
                Some(parent) if parent.id == stop.id => faults.push(fault("another stop than itself")),
                Some(parent) if parent.parent == stop.id => {
                    faults.push(fault("a stop that is not in this one, as a circle is"));
                }
                Some(parent) => zones.extend(parent.zone.map(|zone| (at, zone))),
            }
        }
        for (at, zone) in zones {
            self.stops[at].zone.get_or_insert(zone);
        }
    }
}

fn missing(has: bool, file: &str, faults: &mut Faults) {
    if !has {
        faults.push(Fault::of_file(file, "this file is missing"));
    }
}

fn route_type(text: &str) -> Result<(), String> {
    let number = text.parse::<u16>().ok();
    let is_known = number.is_some_and(|number| ROUTE_TYPES.iter().any(|types| types.contains(&number)));
    is_known.then_some(()).ok_or_else(|| "a route type like 3 or 200; it is taken as a bus".to_owned())
}

fn agencies(source: &mut Source, mapping: &Mapping, faults: &mut Faults) -> Agencies {
    let mut agencies = Agencies::default();
    let has = each(source, "agency.txt", &[], faults, |line, faults| {
        let id = line.get("agency_id").to_owned();
        if agencies.zones.contains_key(&id) {
            return faults.push(line.fault("agency_id", "an agency stands once; the first is taken"));
        }
        let zone = zone_of(line).map_err(|rule| {
            // Another zone than the feed's would make all times wrong.
            if mapping.zone.is_none() {
                let rule = format!("{rule}; its departures are left out, unless the mapping has a zone");
                faults.push(Fault::of_line(line.file, line.number(), rule).column("agency_timezone"));
            }
        });
        agencies.zone = agencies.zone.or(zone.ok());
        agencies.zones.insert(id, zone.ok());
        let url = super::super::rows::url(line.get("agency_url")).ok();
        agencies.url = agencies.url.take().or(url);
    });
    if !has && mapping.zone.is_none() {
        faults.push(Fault::of_file("agency.txt", "this file is missing, and the mapping has no zone"));
    }
    agencies
}

fn zone_of(line: &Line<'_>) -> Result<Tz, String> {
    match line.get("agency_timezone") {
        "" => Err("it must not be empty".to_owned()),
        text => super::super::read::zone(text).map_err(|rule| format!("{rule}; it is {}", shown(text))),
    }
}
