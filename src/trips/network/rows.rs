//! A network as rows of the tables, and back. Rows go to the database and come from it as JSON, by
//! the names of the columns.

use crate::{
    domain::Money,
    network::{BusModel, Calendar, Departure, Network, Rules, write},
};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Names in other languages, by their tags.
pub(in super::super) type OtherNames = BTreeMap<String, String>;

/// The row of `network`.
#[derive(Serialize, Deserialize)]
pub(super) struct HeadRow {
    pub(super) name: String,
    pub(super) zone: String,
    pub(super) currency: String,
    pub(super) decimals: u8,
    pub(super) languages: Vec<String>,
    pub(super) url: Option<String>,
    pub(super) ticket_url: Option<String>,
    #[serde(flatten)]
    pub(super) rules: RulesRow,
    pub(super) digest: String,
}

/// The columns of rules.
#[derive(Serialize, Deserialize)]
pub(super) struct RulesRow {
    pub(super) hold_secs: Option<u32>,
    pub(super) cut_off_secs: Option<u32>,
    pub(super) refund_secs: Option<u32>,
    pub(super) refund_percent: Option<u8>,
}

impl From<Rules> for RulesRow {
    fn from(Rules { hold_secs, cut_off_secs, refund_secs, refund_percent }: Rules) -> Self {
        Self { hold_secs, cut_off_secs, refund_secs, refund_percent }
    }
}

impl From<RulesRow> for Rules {
    fn from(RulesRow { hold_secs, cut_off_secs, refund_secs, refund_percent }: RulesRow) -> Self {
        Self { hold_secs, cut_off_secs, refund_secs, refund_percent }
    }
}

/// A row of `stop`.
#[derive(Debug, Serialize, Deserialize)]
pub(in super::super) struct StopRow {
    pub(in super::super) code: String,
    pub(in super::super) name: String,
    pub(in super::super) names: OtherNames,
    pub(in super::super) latitude: Option<i32>,
    pub(in super::super) longitude: Option<i32>,
    pub(in super::super) zone: Option<String>,
}

/// A row of `bus_model`.
#[derive(Serialize, Deserialize)]
pub(super) struct ModelRow {
    pub(super) code: String,
    pub(super) name: String,
    pub(super) names: OtherNames,
    pub(super) layout: Layout,
}

/// The layout of a bus model: its seats follow from it.
#[derive(Serialize, Deserialize)]
pub(super) struct Layout {
    pub(super) decks: Vec<Vec<String>>,
    pub(super) classes: BTreeMap<String, BTreeSet<String>>,
    pub(super) not_for_sale: BTreeSet<String>,
}

/// A row of `model_seat`.
#[derive(Serialize)]
pub(super) struct SeatRow {
    pub(super) code: String,
    pub(super) number: u16,
    pub(super) label: String,
    pub(super) class: String,
    pub(super) for_sale: bool,
    pub(super) deck: u8,
    pub(super) row: u16,
    pub(super) column: u16,
}

/// A row of `driver`.
#[derive(Serialize, Deserialize)]
pub(super) struct DriverRow {
    pub(super) code: String,
    pub(super) name: String,
    pub(super) phone: Option<String>,
}

/// A row of `bus`, with the code of its model.
#[derive(Serialize, Deserialize)]
pub(super) struct BusRow {
    pub(super) id: u32,
    pub(super) model: String,
    pub(super) plate: Option<String>,
    pub(super) driver: Option<String>,
}

/// A row of `route`.
#[derive(Serialize, Deserialize)]
pub(super) struct RouteRow {
    pub(super) code: String,
    pub(super) name: String,
    pub(super) names: OtherNames,
    pub(super) description: Option<String>,
    #[serde(flatten)]
    pub(super) rules: RulesRow,
}

/// A row of `direction`, with its stops in order.
#[derive(Serialize, Deserialize)]
pub(super) struct DirectionRow {
    pub(super) route: String,
    pub(super) number: u16,
    pub(super) name: String,
    pub(super) names: OtherNames,
    pub(super) stops: Vec<String>,
}

/// A row of `calendar`, with its exceptions.
#[derive(Serialize, Deserialize)]
pub(super) struct CalendarRow {
    pub(super) code: String,
    pub(super) days: u8,
    pub(super) first_day: Option<NaiveDate>,
    pub(super) last_day: Option<NaiveDate>,
    pub(super) dates: BTreeMap<NaiveDate, bool>,
}

/// A row of `timetable`.
#[derive(Serialize, Deserialize)]
pub(super) struct DepartureRow {
    pub(super) code: String,
    pub(super) route: String,
    pub(super) direction: u16,
    pub(super) bus_id: u32,
    pub(super) calendar: String,
    pub(super) departs_minute: u16,
    pub(super) arrives_minute: u32,
    pub(super) zone: String,
    pub(super) own_zone: Option<String>,
    pub(super) legs: Vec<u16>,
    pub(super) dwells: Vec<u16>,
}

/// A row of `fare_period` with the key of its fare.
#[derive(Serialize, Deserialize)]
pub(super) struct FareRow {
    pub(super) route: String,
    pub(super) direction: Option<u16>,
    pub(super) class: String,
    pub(super) first_day: Option<NaiveDate>,
    pub(super) last_day: Option<NaiveDate>,
    /// As it is stored: in hundreds of minor units.
    pub(super) amount: String,
}

/// A digest of the canonical files, in hexadecimal digits.
pub(super) fn digest(network: &Network) -> String {
    let mut digest = Sha256::new();
    for (name, bytes) in write::files(network) {
        digest.update(format!("{name} {}\n", bytes.len()));
        digest.update(bytes);
    }
    hex(&digest.finalize())
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn others(names: &crate::network::Names) -> OtherNames {
    names.others.iter().map(|(language, name)| (language.to_string(), name.clone())).collect()
}

fn text<T: ToString>(value: Option<&T>) -> Option<String> {
    value.map(ToString::to_string)
}

pub(super) fn head(network: &Network) -> HeadRow {
    HeadRow {
        name: network.name.clone(),
        zone: network.zone.to_string(),
        currency: network.currency.to_string(),
        decimals: network.currency.decimals(),
        languages: network.languages.iter().map(ToString::to_string).collect(),
        url: network.url.clone(),
        ticket_url: network.ticket_url.clone(),
        rules: network.defaults.into(),
        digest: digest(network),
    }
}

pub(super) fn stops(network: &Network) -> Vec<StopRow> {
    let rows = network.stops.iter().map(|(code, stop)| StopRow {
        code: code.to_string(),
        name: stop.names.default.clone(),
        names: others(&stop.names),
        latitude: stop.place.map(|place| place.latitude),
        longitude: stop.place.map(|place| place.longitude),
        zone: text(stop.zone.as_ref()),
    });
    rows.collect()
}

pub(super) fn model(code: &str, model: &BusModel) -> ModelRow {
    let classes = model.classes.iter().map(|(class, labels)| (class.to_string(), labels.clone()));
    ModelRow {
        code: code.to_owned(),
        name: model.names.default.clone(),
        names: others(&model.names),
        layout: Layout {
            decks: model.painted(),
            classes: classes.collect(),
            not_for_sale: model.not_for_sale.clone(),
        },
    }
}

pub(super) fn seats(code: &str, model: &BusModel) -> Vec<SeatRow> {
    let rows = model.seats().into_iter().map(|seat| SeatRow {
        code: code.to_owned(),
        number: seat.number,
        label: seat.label.to_owned(),
        class: seat.class.to_owned(),
        for_sale: seat.is_for_sale,
        deck: seat.deck,
        row: seat.row,
        column: seat.column,
    });
    rows.collect()
}

pub(super) fn drivers(network: &Network) -> Vec<DriverRow> {
    let rows = network.drivers.iter().map(|(code, driver)| DriverRow {
        code: code.to_string(),
        name: driver.name.clone(),
        phone: driver.phone.clone(),
    });
    rows.collect()
}

pub(super) fn buses(network: &Network) -> Vec<BusRow> {
    let rows = network.buses.iter().map(|(number, bus)| BusRow {
        id: *number,
        model: bus.model.to_string(),
        plate: bus.plate.clone(),
        driver: text(bus.driver.as_ref()),
    });
    rows.collect()
}

pub(super) fn routes(network: &Network) -> Vec<RouteRow> {
    let rows = network.routes.iter().map(|(code, route)| RouteRow {
        code: code.to_string(),
        name: route.names.default.clone(),
        names: others(&route.names),
        description: route.description.clone(),
        rules: route.rules.into(),
    });
    rows.collect()
}

pub(super) fn directions(network: &Network) -> Vec<DirectionRow> {
    let mut rows = Vec::new();
    for (code, route) in &network.routes {
        rows.extend(route.directions.iter().map(|(number, direction)| DirectionRow {
            route: code.to_string(),
            number: *number,
            name: direction.names.default.clone(),
            names: others(&direction.names),
            stops: direction.stops.iter().map(ToString::to_string).collect(),
        }));
    }
    rows
}

/// The directions whose stops `new` changes or ends, with the stops that they have.
pub(super) fn changed_stops(old: Option<&Network>, new: &Network) -> Vec<DirectionRow> {
    let mut before = old.map(directions).unwrap_or_default();
    before.retain(|row| {
        let direction =
            new.routes.get(row.route.as_str()).and_then(|route| route.directions.get(&row.number));
        let stops = direction.map(|direction| direction.stops.iter().map(|stop| stop.as_str()));
        stops.is_none_or(|stops| !stops.eq(row.stops.iter().map(String::as_str)))
    });
    before
}

pub(super) fn calendars(network: &Network) -> Vec<CalendarRow> {
    let row = |(code, calendar): (&crate::network::Code, &Calendar)| {
        let (first_day, last_day) = calendar.period.unzip();
        let (days, dates) = (calendar.days.bits(), calendar.exceptions.clone());
        CalendarRow { code: code.to_string(), days, first_day, last_day, dates }
    };
    network.calendars.iter().map(row).collect()
}

pub(super) fn departures(network: &Network) -> Vec<DepartureRow> {
    let row = |(code, departure): (&crate::network::Code, &Departure)| DepartureRow {
        code: code.to_string(),
        route: departure.route.to_string(),
        direction: departure.direction,
        bus_id: departure.bus,
        calendar: departure.calendar.to_string(),
        departs_minute: departure.departs.minutes(),
        arrives_minute: u32::from(departure.departs.minutes()) + departure.minutes(),
        zone: network.clock_of(departure).to_string(),
        own_zone: text(departure.zone.as_ref()),
        legs: departure.legs.clone(),
        dwells: departure.dwells.clone(),
    };
    network.departures.iter().map(row).collect()
}

pub(super) fn fares(network: &Network) -> Vec<FareRow> {
    let rows = network.fares.iter().map(|(key, fare)| FareRow {
        route: key.route.to_string(),
        direction: key.direction,
        class: key.class.to_string(),
        first_day: key.from,
        last_day: fare.until,
        amount: Money::of_minor(fare.amount.minor()).decimal().to_string(),
    });
    rows.collect()
}
