//! What of a mapping fits nothing of a feed. Most likely it is misspelt, and what it should sell is
//! not sold.

use super::super::fault::{Faults, shown};
use super::mapping::{Mapping, fits};

/// What has been fitted so far, by part of the mapping.
pub(super) struct Matched<'a> {
    mapping: &'a Mapping,
    parts: Vec<Part>,
}

/// What of one part has been fitted.
struct Part {
    routes: Vec<bool>,
    trips: Vec<bool>,
    directions: Vec<bool>,
    has_trip: bool,
}

impl Part {
    fn is_complete(&self) -> bool {
        self.has_trip && [&self.trips, &self.directions].into_iter().flatten().all(|fitted| *fitted)
    }
}

impl<'a> Matched<'a> {
    pub(super) fn of(mapping: &'a Mapping) -> Self {
        let part = |sell: &super::mapping::Sell| Part {
            routes: vec![false; sell.routes.len()],
            trips: vec![false; sell.trips.len()],
            directions: vec![false; sell.directions.as_ref().map_or(0, Vec::len)],
            has_trip: false,
        };
        Self { mapping, parts: mapping.sells.iter().map(part).collect() }
    }

    /// Notes a route of the feed; returns whether a part sells of it.
    pub(super) fn route(&mut self, id: &str) -> bool {
        let mut is_sold = false;
        for (sell, part) in self.mapping.sells.iter().zip(&mut self.parts) {
            for (pattern, fitted) in sell.routes.iter().zip(&mut part.routes) {
                let fits = fits(pattern, id);
                *fitted |= fits;
                is_sold |= fits;
            }
        }
        is_sold
    }

    /// Notes a trip of the feed; returns the part that sells it.
    pub(super) fn trip(&mut self, route: &str, id: &str, direction: u16) -> Option<usize> {
        let sells = &self.mapping.sells;
        let sold = sells.iter().position(|sell| sell.has_route(route) && sell.has_trip(id, direction));
        for (n, (sell, part)) in sells.iter().zip(&mut self.parts).enumerate() {
            if part.is_complete() || !sell.has_route(route) {
                continue;
            }
            part.has_trip |= sold == Some(n);
            for (pattern, fitted) in sell.trips.iter().zip(&mut part.trips) {
                *fitted |= fits(pattern, id);
            }
            for (known, fitted) in sell.directions.iter().flatten().zip(&mut part.directions) {
                *fitted |= *known == direction;
            }
        }
        sold
    }

    /// Adds a fault for all that fits nothing.
    pub(super) fn report(self, faults: &mut Faults) {
        for (n, (sell, part)) in (1..).zip(self.mapping.sells.iter().zip(&self.parts)) {
            let before = faults.count();
            let mut report = |key: &str, rule: String| {
                faults.push(self.mapping.fault(&format!("sell {n}{key}"), rule));
            };
            for (pattern, _) in sell.routes.iter().zip(&part.routes).filter(|(_, fitted)| !**fitted) {
                report(", routes", format!("a pattern of a route of the feed; it is {}", shown(pattern)));
            }
            // Without a route there is no trip.
            if part.routes.contains(&true) {
                for (pattern, _) in sell.trips.iter().zip(&part.trips).filter(|(_, fitted)| !**fitted) {
                    report(", trips", format!("a pattern of a trip of its routes; it is {}", shown(pattern)));
                }
                let directions = sell.directions.iter().flatten().zip(&part.directions);
                for (direction, _) in directions.filter(|(_, fitted)| !**fitted) {
                    report(", directions", format!("a direction of a trip of its routes; it is {direction}"));
                }
            }
            if !part.has_trip && faults.count() == before {
                let rule = "no trip of the feed is of this part; a trip is of the first part that has it";
                faults.push(self.mapping.fault(&format!("sell {n}"), rule));
            }
        }
    }
}
