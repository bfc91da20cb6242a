//! A feed of real size: converted, checked, written again and read by gtfs-structures, with at most
//! 1 GB of memory.

use super::{Files, feed_out::mapping_of, from_gtfs, network, written};
use crate::harness::folder;
use farebox::network as model;
use gtfs_structures::Gtfs;
use std::{fmt::Write as _, path::Path, time::Instant};

const ROUTES: usize = 500;
/// Departures of each direction on each day: 20,000 trips a day in all.
const DEPARTURES: usize = 20;
const STOPS: usize = 12;
const ROUTE_ZONES: [&str; 3] = ["Europe/Berlin", "Europe/London", "America/New_York"];
/// MiB of addresses, all that the process reserves included.
const MEMORY: u64 = 1_000;

pub const MAPPING: &str = "
name = \"Big\"
currency = \"EUR\"
zone = \"Europe/Berlin\"
languages = [\"en\"]

[[model]]
code = \"m\"
name = \"M\"
deck = [{ rows = [\"1 2 _ 3 4\", \"5 6 _ 7 8\"] }]

[[sell]]
routes = [\"*\"]
model = \"m\"
buses = \"1-4000\"
fare = \"2.50\"
";

/// A third of the routes have one service for weekdays and one for weekends, at the same times.
pub fn feed() -> Files {
    let mut stops = String::from("stop_id,stop_name,stop_lat,stop_lon,stop_timezone\n");
    let mut routes = String::from("route_id,agency_id,route_short_name,route_long_name,route_type\n");
    let mut trips = String::from("route_id,service_id,trip_id,trip_headsign,direction_id,block_id\n");
    let mut times = String::from("trip_id,arrival_time,departure_time,stop_id,stop_sequence\n");
    for route in 0..ROUTES {
        let zone = ROUTE_ZONES[route % ROUTE_ZONES.len()];
        writeln!(routes, "r{route},a,{route},Line {route},3").unwrap();
        for stop in 0..STOPS {
            writeln!(
                stops,
                "s{route}-{stop},\"Stop {stop}, line {route}\",52.{stop:02},13.{route:03},{zone}"
            )
            .unwrap();
        }
        let services: &[&str] = if route % 3 == 0 { &["wd", "we"] } else { &["daily"] };
        for (direction, departure, service) in (0..2).flat_map(|direction| {
            (0..DEPARTURES).flat_map(move |n| services.iter().map(move |service| (direction, n, service)))
        }) {
            let id = format!("r{route}-{direction}-{departure}-{service}");
            writeln!(trips, "r{route},{service},{id},To {direction},{direction},").unwrap();
            // From 5:00 to past midnight.
            let start = 300 + departure * 65 + route % 13;
            for n in 0..STOPS {
                let stop = if direction == 0 { n } else { STOPS - 1 - n };
                let at = start + n * 4;
                let clock = format!("{:02}:{:02}:00", at / 60, at % 60);
                writeln!(times, "{id},{clock},{clock},s{route}-{stop},{}", n * 10).unwrap();
            }
        }
    }
    let days = "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n\
                daily,1,1,1,1,1,1,1,20260101,20261231\nwd,1,1,1,1,1,0,0,20260101,20261231\n\
                we,0,0,0,0,0,1,1,20260101,20261231\n";
    let dates = "service_id,date,exception_type\nwd,20260604,2\nwe,20260604,1\n";
    let agency =
        "agency_id,agency_name,agency_url,agency_timezone\na,Big,http://big.example/,Europe/Berlin\n";
    [
        ("agency.txt", agency.to_owned()),
        ("stops.txt", stops),
        ("routes.txt", routes),
        ("trips.txt", trips),
        ("stop_times.txt", times),
        ("calendar.txt", days.to_owned()),
        ("calendar_dates.txt", dates.to_owned()),
    ]
    .map(|(name, text)| (name, text.into_bytes()))
    .into()
}

#[test]
fn a_feed_of_real_size_goes_in_and_out() {
    let (path, to) = (written("big-feed", &feed()), folder("network-big"));
    let began = Instant::now();
    let ran = from_gtfs(MEMORY, &path, &mapping_of("big", MAPPING), &to, false).succeeded();
    eprintln!("converted in {:?}", began.elapsed());
    assert!(ran.out.contains("500 routes") && ran.out.contains(" 0 left out"), "{}", ran.out);
    let [command, from, day, days, two] = ["check", "--from", "2026-06-01", "--days", "7"].map(Path::new);
    let checked = network(MEMORY, &[command, &to, from, day, days, two]).succeeded();
    assert!(checked.out.contains("140000 trips in 7 days"), "20,000 a day: {}", checked.out);
    let zip = folder("network-big.zip");
    let [command, out, on] = ["to-gtfs", "--to", "--on"].map(Path::new);
    network(MEMORY, &[command, &to, out, &zip, on, day]).succeeded();
    compare(&Gtfs::from_path(&path).unwrap(), &Gtfs::from_path(&zip).unwrap());
    let network = model::read(&to).unwrap().network;
    // The times are the agency's, wherever the stops are.
    let day = "2026-06-01".parse().unwrap();
    let departs = |code: &str| network.times(&network.departures[code], day).unwrap().0.to_rfc3339();
    assert_eq!(departs("r2-0-0-daily"), "2026-06-01T03:02:00+00:00");
    assert_eq!(departs("r1-0-19-daily"), "2026-06-01T23:36:00+00:00");
}

/// The same trips, with the same times at the same stops, on the same days.
fn compare(before: &Gtfs, after: &Gtfs) {
    assert_eq!((before.trips.len(), before.stops.len()), (after.trips.len(), after.stops.len()));
    for (id, trip) in &before.trips {
        let other = &after.trips[id];
        let times = |trip: &gtfs_structures::Trip| {
            let stops = trip.stop_times.iter();
            stops
                .map(|time| (time.stop.id.clone(), time.arrival_time, time.departure_time))
                .collect::<Vec<_>>()
        };
        assert_eq!(times(trip), times(other), "{id}");
        assert_eq!((&trip.route_id, &trip.service_id), (&other.route_id, &other.service_id), "{id}");
    }
    for (id, days) in &before.calendar {
        let other = &after.calendar[id];
        assert_eq!(
            (days.start_date, days.end_date, days.monday, days.sunday),
            (other.start_date, other.end_date, other.monday, other.sunday)
        );
    }
    let dates = |gtfs: &Gtfs, id: &str| gtfs.calendar_dates.get(id).map(Vec::len);
    for id in ["daily", "wd", "we"] {
        assert_eq!(dates(before, id), dates(after, id));
    }
}
