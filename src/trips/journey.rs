//! Where and when a trip goes, as people read it: names in their language, and local times.

use super::{
    itineraries::{Itineraries, Itinerary, RunsAs, ServedStop},
    seat_map::TripDetail,
    views::Trip,
};
use crate::{
    network::Language,
    settings::{Booking, Trips},
};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::Serialize;

/// Where and when a trip goes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Journey<'a> {
    /// Its route; null for a trip of no route.
    pub route: Option<Named<'a>>,
    /// What the bus shows.
    pub direction_name: Option<&'a str>,
    /// The first stop.
    pub from: Option<NamedStop<'a>>,
    /// The last stop.
    pub to: Option<NamedStop<'a>>,
    /// The zone of the first stop, by its name at IANA.
    pub zone: &'static str,
    /// The departure by the clock of the first stop, with its offset.
    pub departs_local: String,
    /// The arrival by the clock of the last stop, with its offset.
    pub arrives_local: String,
}

/// A thing of the network.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Named<'a> {
    /// Its code in the network's files.
    pub code: &'a str,
    /// Its name, in a language of `Accept-Language` if it has one, else in the network's first.
    pub name: &'a str,
}

/// A stop.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct NamedStop<'a> {
    /// Its code in the network's files.
    pub code: &'a str,
    /// Its name, in a language of `Accept-Language` if it has one, else in the network's first.
    pub name: &'a str,
    /// Its zone.
    pub zone: &'static str,
}

/// Until when a trip is sold and refunded.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Deadlines {
    /// Until when its seats can be booked.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub bookable_until: DateTime<Utc>,
    /// Until when a rider may have a paid seat refunded.
    #[serde(serialize_with = "crate::domain::json::micros")]
    pub refundable_until: DateTime<Utc>,
    /// How much of the amount a rider gets back, percent.
    pub refund_percent: i16,
}

/// A stop of a trip, with its times.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StopTime<'a> {
    /// The stop.
    #[serde(flatten)]
    pub stop: NamedStop<'a>,
    /// North of the equator, degrees.
    pub latitude: Option<f64>,
    /// East of Greenwich, degrees.
    pub longitude: Option<f64>,
    /// When the bus arrives, by the stop's clock; null for the first stop, and if it is not known.
    pub arrives_local: Option<String>,
    /// When the bus departs, by the stop's clock; null for the last stop, and if it is not known.
    pub departs_local: Option<String>,
}

/// What shows journeys.
#[derive(Clone, Copy, Debug)]
pub struct JourneyContext<'a> {
    /// Of all routes.
    pub itineraries: &'a Itineraries,
    /// The language wanted; `None` for the network's first.
    pub language: Option<&'a Language>,
    /// The rules of trips that have none of their own.
    pub booking: &'a Booking,
    /// The zone of trips of no network.
    pub trips: &'a Trips,
}

impl<'a> JourneyContext<'a> {
    /// Where and when a trip goes.
    pub fn journey(
        &self,
        route: Option<&'a str>,
        direction: i16,
        (departs_at, arrives_at): (DateTime<Utc>, DateTime<Utc>),
    ) -> Journey<'a> {
        let itinerary = route.and_then(|route| self.itineraries.of(route, direction));
        let stops = itinerary.map_or(&[][..], |itinerary| itinerary.stops(departs_at));
        let (from, to) = (stops.first(), stops.last());
        let zone = |stop: Option<&ServedStop>| {
            let network = || self.itineraries.zone().unwrap_or(self.trips.zone);
            stop.map_or_else(network, |stop| stop.zone)
        };
        Journey {
            route: route.map(|code| Named {
                code,
                name: itinerary.map_or(code, |itinerary| self.name(&itinerary.route)),
            }),
            direction_name: itinerary.map(|itinerary| self.name(&itinerary.direction)),
            from: from.map(|stop| self.stop(stop)),
            to: to.map(|stop| self.stop(stop)),
            zone: zone(from).name(),
            departs_local: local(departs_at, zone(from)),
            arrives_local: local(arrives_at, zone(to)),
        }
    }

    /// The zone of the first stop of a trip; the network's for a trip of no route.
    pub fn zone_of(&self, route: Option<&str>, direction: i16, departs_at: DateTime<Utc>) -> Tz {
        let itinerary = route.and_then(|route| self.itineraries.of(route, direction));
        let first = itinerary.and_then(|itinerary| itinerary.stops(departs_at).first());
        first.map_or_else(|| self.itineraries.zone().unwrap_or(self.trips.zone), |stop| stop.zone)
    }

    /// What a direction of a route is called: the route and what the bus shows.
    pub fn direction_words(&self, itinerary: &'a Itinerary) -> String {
        format!("{} → {}", self.name(&itinerary.route), self.name(&itinerary.direction))
    }

    /// Until when a rider may have a seat refunded, with the rule of its trip or order if it has one.
    pub fn refundable_until(&self, departs_at: DateTime<Utc>, own_secs: Option<i32>) -> DateTime<Utc> {
        departs_at - secs(own_secs.map_or(self.booking.refund_cut_off_secs, f64::from))
    }

    /// Until when a trip is sold and refunded.
    pub fn deadlines(&self, trip: &Trip) -> Deadlines {
        let cut_off = trip.route.cut_off_secs.map_or(self.booking.cut_off_secs, f64::from);
        Deadlines {
            bookable_until: trip.departs_at - secs(cut_off),
            refundable_until: self.refundable_until(trip.departs_at, trip.route.refund_secs),
            refund_percent: trip.route.refund_percent.unwrap_or(WHOLE),
        }
    }

    /// A trip as a list shows it.
    pub fn listed(&self, trip: &'a Trip) -> ListedTrip<'a> {
        ListedTrip {
            trip,
            departure: self.departure(trip),
            journey: self.of_trip(trip),
            deadlines: self.deadlines(trip),
        }
    }

    /// A trip with its seats and stops.
    pub fn shown(&self, map: &'a TripDetail) -> ShownTrip<'a> {
        let trip = &map.trip;
        ShownTrip {
            map,
            departure: self.departure(trip),
            journey: self.of_trip(trip),
            deadlines: self.deadlines(trip),
            stops: self.stops(trip),
        }
    }

    fn departure(&self, trip: &Trip) -> Option<&'a str> {
        Some(self.itineraries.departure(trip.route.departure?)?.code.as_str())
    }

    /// Where and when a trip goes.
    pub fn of_trip(&self, trip: &'a Trip) -> Journey<'a> {
        self.journey(trip.route.code.as_deref(), trip.direction, (trip.departs_at, trip.arrives_at))
    }

    /// The stops of a trip in order. Their times are known if the trip takes as long as its departure.
    pub fn stops(&self, trip: &'a Trip) -> Vec<StopTime<'a>> {
        let itinerary =
            trip.route.code.as_deref().and_then(|route| self.itineraries.of(route, trip.direction));
        let stops = itinerary.map_or(&[][..], |itinerary| itinerary.stops(trip.departs_at));
        let times = self.times(trip, stops.len()).unwrap_or_else(|| {
            let (last, mut times) = (stops.len().saturating_sub(1), vec![(None, None); stops.len()]);
            if let Some(first) = times.first_mut() {
                first.1 = Some(trip.departs_at);
            }
            if let Some(end) = times.get_mut(last) {
                end.0 = Some(trip.arrives_at);
            }
            times
        });
        let degrees = |millionths: i32| f64::from(millionths) / 1e6;
        let stop = |(stop, (arrives, departs)): (&'a ServedStop, Served)| StopTime {
            stop: self.stop(stop),
            latitude: stop.place.map(|(latitude, _)| degrees(latitude)),
            longitude: stop.place.map(|(_, longitude)| degrees(longitude)),
            arrives_local: arrives.map(|at| local(at, stop.zone)),
            departs_local: departs.map(|at| local(at, stop.zone)),
        };
        stops.iter().zip(times).map(stop).collect()
    }

    /// When the bus arrives at each of its stops and when it departs; `stops` is their number.
    fn times(&self, trip: &Trip, stops: usize) -> Option<Vec<Served>> {
        let RunsAs { legs, dwells, .. } = self.itineraries.departure(trip.route.departure?)?;
        let mut at = trip.departs_at;
        let mut times = vec![(None, Some(at))];
        for (nr, leg) in legs.iter().enumerate() {
            at += TimeDelta::minutes((*leg).into());
            let arrives = at;
            at += TimeDelta::minutes(dwells.get(nr).copied().unwrap_or_default().into());
            times.push((Some(arrives), (nr + 1 < legs.len()).then_some(at)));
        }
        let arrives_at = times.last().and_then(|(arrives, _)| *arrives);
        (times.len() == stops && arrives_at == Some(trip.arrives_at)).then_some(times)
    }

    fn stop(&self, stop: &'a ServedStop) -> NamedStop<'a> {
        NamedStop { code: &stop.code, name: self.name(&stop.names), zone: stop.zone.name() }
    }

    fn name(&self, names: &'a crate::network::Names) -> &'a str {
        self.language.map_or(&names.default, |language| names.in_language(language))
    }
}

/// When a bus arrives at a stop, and when it departs.
type Served = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

/// A trip in a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Trip")]
pub struct ListedTrip<'a> {
    /// The trip.
    #[serde(flatten)]
    pub trip: &'a Trip,
    /// The code of its departure, which a feed has as `ticketing_trip_id`; null for a trip of none.
    pub departure: Option<&'a str>,
    /// Where and when it goes.
    #[serde(flatten)]
    pub journey: Journey<'a>,
    /// Until when it is sold and refunded.
    #[serde(flatten)]
    pub deadlines: Deadlines,
}

/// A trip with its seats and stops.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "TripDetail")]
pub struct ShownTrip<'a> {
    /// The trip with its seats.
    #[serde(flatten)]
    pub map: &'a TripDetail,
    /// The code of its departure, which a feed has as `ticketing_trip_id`; null for a trip of none.
    pub departure: Option<&'a str>,
    /// Where and when it goes.
    #[serde(flatten)]
    pub journey: Journey<'a>,
    /// Until when it is sold and refunded.
    #[serde(flatten)]
    pub deadlines: Deadlines,
    /// Its stops in order; none for a trip of no route.
    pub stops: Vec<StopTime<'a>>,
}

/// All of an amount, percent.
const WHOLE: i16 = 100;

/// A duration of settings, seconds; the settings bound it.
fn secs(secs: f64) -> TimeDelta {
    std::time::Duration::try_from_secs_f64(secs)
        .ok()
        .and_then(|d| TimeDelta::from_std(d).ok())
        .unwrap_or_default()
}

fn local(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, false)
}
