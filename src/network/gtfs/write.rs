//! A feed of a network, for planners. The same network always gives the same bytes.

use super::super::{
    currency::Amount,
    fault::{Fault, Faults},
    format::{NETWORK, STOPS},
    model::{Departure, Network},
    names::{Code, Names},
    write::{degrees, table_of},
    zipped,
};
use super::days_out::{self, Shape};
use chrono::NaiveDate;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::Path,
};

/// The id of the one agency and of its deep link.
const AGENCY: &str = "1";
/// A bus, as a type of route.
const BUS: &str = "3";
/// Fares are paid before boarding, and no transfer is included.
const PAID_BEFORE: (&str, &str) = ("1", "0");
/// Bytes of the digest that is the feed's version.
const VERSION_BYTES: usize = 8;

/// A file's name and its bytes.
pub type File = (&'static str, Vec<u8>);

/// Writes the feed into a zip, which takes the place of one that is there.
///
/// # Errors
/// The system's; what was there stays then.
pub fn to_zip(files: &[File], path: &Path) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    zipped::into(files, io::BufWriter::new(fs::File::create(&beside)?))?.flush()?;
    fs::rename(&beside, path)
}

/// The files of the feed; fares are those in force on the service day `on`.
///
/// # Errors
/// What a feed needs and the network does not have.
pub fn files(network: &Network, on: NaiveDate) -> Result<Vec<File>, Faults> {
    let mut faults = Faults::default();
    let Some(url) = &network.url else {
        faults.push(Fault::of_file(NETWORK, "a feed needs the operator's page on the web").column("url"));
        return Err(faults);
    };
    for (code, _) in network.stops.iter().filter(|(_, stop)| stop.place.is_none()) {
        let rule = format!("a feed needs the place of each stop; {code} has none");
        faults.push(Fault::of_file(STOPS.file, rule).column("latitude"));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let days = days_out::services(network);
    let mut files = vec![
        ("agency.txt", agency(network, url)),
        ("stops.txt", stops(network)),
        ("routes.txt", routes(network)),
        ("trips.txt", trips(network, &days)),
        ("stop_times.txt", stop_times(network, &days)),
        ("calendar.txt", days_out::calendar(&days)),
        ("calendar_dates.txt", days_out::calendar_dates(&days)),
    ];
    files.extend(fares(network, on));
    files.push(("translations.txt", translations(network)));
    if let Some(link) = &network.ticket_url {
        let header = ["ticketing_deep_link_id", "web_url"];
        files.push(("ticketing_deep_links.txt", table_of(&header, &[vec![AGENCY.to_owned(), link.clone()]])));
    }
    files.push(("feed_info.txt", feed_info(network, url, &days, &files)));
    Ok(files)
}

fn agency(network: &Network, url: &str) -> Vec<u8> {
    let header = [
        "agency_id",
        "agency_name",
        "agency_url",
        "agency_timezone",
        "agency_lang",
        "ticketing_deep_link_id",
    ];
    let link = network.ticket_url.as_ref().map_or("", |_| AGENCY);
    let row = [AGENCY, &network.name, url, network.zone.name(), language(network), link];
    table_of(&header, &[row.map(str::to_owned).to_vec()])
}

fn language(network: &Network) -> &str {
    network.languages.first().map_or("", super::super::names::Language::as_str)
}

fn stops(network: &Network) -> Vec<u8> {
    let header = ["stop_id", "stop_name", "stop_lat", "stop_lon", "zone_id", "stop_timezone"];
    let row = |(code, stop): (&Code, &super::super::Stop)| {
        let place = stop.place.map(|place| [degrees(place.latitude), degrees(place.longitude)]);
        let [latitude, longitude] = place.unwrap_or_default();
        let zone = stop.zone.map(|zone| zone.name().to_owned()).unwrap_or_default();
        // Fares are from stop to stop, so each stop is a zone of fares.
        vec![code.to_string(), stop.names.default.clone(), latitude, longitude, code.to_string(), zone]
    };
    table_of(&header, &network.stops.iter().map(row).collect::<Vec<_>>())
}

fn routes(network: &Network) -> Vec<u8> {
    let header =
        ["route_id", "agency_id", "route_long_name", "route_desc", "route_type", "ticketing_deep_link_id"];
    let link = network.ticket_url.as_ref().map_or("", |_| AGENCY);
    let row = |(code, route): (&Code, &super::super::Route)| {
        let description = route.description.as_deref().unwrap_or_default();
        [code.as_str(), AGENCY, &route.names.default, description, BUS, link].map(str::to_owned).to_vec()
    };
    table_of(&header, &network.routes.iter().map(row).collect::<Vec<_>>())
}

/// Each departure with the services under which it stands in the feed.
type Services<'a> = days_out::Services<'a>;

fn trips(network: &Network, days: &Services<'_>) -> Vec<u8> {
    let header = [
        "route_id",
        "service_id",
        "trip_id",
        "trip_headsign",
        "direction_id",
        "block_id",
        "ticketing_trip_id",
    ];
    let mut rows = Vec::new();
    for (code, departure, n, Shape { service, .. }) in days.trips() {
        let headsign = network.direction_of(departure).map(|direction| direction.names.default.clone());
        rows.push(vec![
            departure.route.to_string(),
            service.clone(),
            trip_id(code, n),
            headsign.unwrap_or_default(),
            (departure.direction % 2).to_string(),
            format!("bus-{}", departure.bus),
            code.to_string(),
        ]);
    }
    table_of(&header, &rows)
}

/// The id of a departure's trip: the first has the departure's code.
fn trip_id(code: &Code, n: usize) -> String {
    if n == 0 { code.to_string() } else { format!("{code}:{}", n + 1) }
}

fn stop_times(network: &Network, days: &Services<'_>) -> Vec<u8> {
    let header = ["trip_id", "arrival_time", "departure_time", "stop_id", "stop_sequence", "timepoint"];
    let clock = |minute: u32| format!("{:02}:{:02}:00", minute / 60, minute % 60);
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing into memory does not fail, and every row has the header's length.
    let _ = writer.write_record(header);
    for (code, departure, n, shape) in days.trips() {
        let id = trip_id(code, n);
        let stops = network.direction_of(departure).into_iter().flat_map(|direction| &direction.stops);
        for (at, stop) in stops.enumerate() {
            let (arrives, departs) = departure.times_at(at);
            let (arrives, departs) = (clock(shape.departs + arrives), clock(shape.departs + departs));
            let at = (at + 1).to_string();
            let _ = writer.write_record([id.as_str(), &arrives, &departs, stop.as_str(), &at, "1"]);
        }
    }
    writer.into_inner().unwrap_or_default()
}

/// The lowest fare of each direction that departures have.
fn fares(network: &Network, on: NaiveDate) -> [File; 2] {
    let mut by_direction: BTreeMap<(&Code, u16), (&Departure, BTreeSet<&str>)> = BTreeMap::new();
    for departure in network.departures.values() {
        let key = (&departure.route, departure.direction);
        let (_, classes) = by_direction.entry(key).or_insert_with(|| (departure, BTreeSet::new()));
        classes
            .extend(network.model_of(departure).into_iter().flat_map(super::super::BusModel::sold_classes));
    }
    let (mut prices, mut rules) = (BTreeMap::<Amount, String>::new(), Vec::new());
    for ((route, _), (departure, classes)) in by_direction {
        let lowest = classes.into_iter().filter_map(|class| network.fare(departure, class, on)).min();
        let stops = network
            .direction_of(departure)
            .map(|direction| (direction.stops.first(), direction.stops.last()));
        let (Some(amount), Some((Some(first), Some(last)))) = (lowest, stops) else { continue };
        let id = prices.entry(amount).or_insert_with(|| format!("fare-{}", amount.minor()));
        rules.push(vec![id.clone(), route.to_string(), first.to_string(), last.to_string()]);
    }
    let price = |(amount, id): (Amount, String)| {
        let (paid, transfers) = PAID_BEFORE;
        let row = [&id, &amount.to_string(), network.currency.code(), paid, transfers, AGENCY];
        row.map(str::to_owned).to_vec()
    };
    let prices: Vec<_> = prices.into_iter().map(price).collect();
    let attributes = ["fare_id", "price", "currency_type", "payment_method", "transfers", "agency_id"];
    [
        ("fare_attributes.txt", table_of(&attributes, &prices)),
        ("fare_rules.txt", table_of(&["fare_id", "route_id", "origin_id", "destination_id"], &rules)),
    ]
}

fn translations(network: &Network) -> Vec<u8> {
    let header = ["table_name", "field_name", "language", "translation", "record_id", "field_value"];
    let mut rows = BTreeSet::new();
    let mut add = |table: &str, field: &str, names: &Names, record: &str| {
        for (language, name) in &names.others {
            let value = if record.is_empty() { names.default.as_str() } else { "" };
            rows.insert([table, field, language.as_str(), name, record, value].map(str::to_owned).to_vec());
        }
    };
    for (code, stop) in &network.stops {
        add("stops", "stop_name", &stop.names, code.as_str());
    }
    for (code, route) in &network.routes {
        add("routes", "route_long_name", &route.names, code.as_str());
        for direction in route.directions.values() {
            add("trips", "trip_headsign", &direction.names, "");
        }
    }
    table_of(&header, &rows.into_iter().collect::<Vec<_>>())
}

fn feed_info(network: &Network, url: &str, days: &Services<'_>, files: &[File]) -> Vec<u8> {
    let mut digest = Sha256::new();
    for (name, bytes) in files {
        digest.update(name.as_bytes());
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    }
    let mut version = String::new();
    for byte in digest.finalize().iter().take(VERSION_BYTES) {
        let _ = write!(version, "{byte:02x}");
    }
    let (first, last) = days.span().unzip();
    let [first, last] = [first, last].map(|date| date.map(days_out::date).unwrap_or_default());
    let header = [
        "feed_publisher_name",
        "feed_publisher_url",
        "feed_lang",
        "feed_start_date",
        "feed_end_date",
        "feed_version",
    ];
    let row = [&network.name, url, language(network), &first, &last, &version];
    table_of(&header, &[row.map(str::to_owned).to_vec()])
}
