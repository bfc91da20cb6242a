//! A small feed in, a network, and a feed out, which gtfs-structures reads.

use super::{Files, SMALL, from_gtfs, network, small, written};
use crate::harness::folder;
use farebox::network::{self as model};
use gtfs_structures::Gtfs;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The mapping of the small feed.
pub const MAPPING: &str = "
name = \"Small\"
currency = \"JPY\"
languages = [\"ja\", \"en\"]
start_date = \"2026-06-01\"
ticket_url = \"https://example.org/book\"

[[model]]
code = \"m\"
name = \"M\"
deck = [{ rows = [\"1 2 _ 3 4\"] }]

[[sell]]
routes = [\"r*\"]
model = \"m\"
buses = \"101-104\"
fare = \"rules\"
rules = { cut_off_secs = 600 }
";

/// A feed that is right: times past midnight, a stop served twice, exceptions, frequencies, fares.
pub fn feed() -> Files {
    let texts = [
        (
            "agency.txt",
            "agency_id,agency_name,agency_url,agency_timezone,agency_lang\n1,駅バス,http://bus.example/,Asia/Tokyo,ja\n",
        ),
        (
            "stops.txt",
            "stop_id,stop_name,stop_lat,stop_lon,zone_id\nA,駅,42.1,140.1,\nB 1,病院,42.2,140.2,z\nC,港,42.3,140.3,\n",
        ),
        (
            "routes.txt",
            "route_id,agency_id,route_short_name,route_long_name,route_type,unknown\nr1,1,1,港線,3,x\nx,1,X,,3,\n",
        ),
        (
            "trips.txt",
            "route_id,service_id,trip_id,trip_headsign,direction_id,block_id\nr1,wd,t1,港,0,b\nr1,only,t2,,1,b\n\
             r1,wd,f1,港,0,\nx,wd,x1,,0,\n",
        ),
        (
            "stop_times.txt",
            "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n\
             t1,8:05:00,8:05:00,A,10\nt1,8:11:30,8:13:30,B 1,20\nt1,8:30:00,8:30:00,C,30\n\
             t2,24:10:00,24:10:00,C,1\nt2,,,B 1,3\nt2,25:30:00,25:30:00,C,4\n\
             f1,0:00:00,0:00:00,A,1\nf1,0:20:00,0:20:00,C,2\nx1,1:00:00,1:00:00,A,1\nx1,2:00:00,2:00:00,C,2\n",
        ),
        (
            "calendar.txt",
            "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n\
             wd,1,1,1,1,1,0,0,20200401,20210331\n",
        ),
        ("calendar_dates.txt", "service_id,date,exception_type\nwd,20200429,2\nonly,20200429,1\n"),
        ("frequencies.txt", "trip_id,start_time,end_time,headway_secs\nf1,10:00:00,11:00:00,1800\n"),
        (
            "fare_attributes.txt",
            "fare_id,price,currency_type,payment_method,transfers\nf,250.00,JPY,0,0\ng,100,JPY,0,0\n",
        ),
        (
            "fare_rules.txt",
            "fare_id,route_id,origin_id,destination_id,contains_id\nf,r1,A,C,\ng,r1,C,C,\ng,x,,,\ng,r1,A,z,\n",
        ),
        (
            "translations.txt",
            "table_name,field_name,language,translation,record_id,field_value\nstops,stop_name,en,Station,A,\n\
             trips,trip_headsign,en,Port,,港\nstops,stop_name,fr,Gare,A,\n",
        ),
    ];
    texts.into_iter().map(|(name, text)| (name, text.as_bytes().to_vec())).collect()
}

pub fn small_feed(name: &str) -> PathBuf {
    written(&format!("feed-{name}"), &feed())
}

pub fn mapping(name: &str) -> PathBuf {
    mapping_of(name, MAPPING)
}

pub fn mapping_of(name: &str, text: &str) -> PathBuf {
    mapping_at(&format!("network-mapping-{name}"), "gtfs-mapping.toml", text)
}

pub fn mapping_at(name: &str, file: &str, text: &str) -> PathBuf {
    let path = folder(name);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join(file), text).unwrap();
    path.join(file)
}

/// Makes a feed of a network.
pub fn to_gtfs(path: &Path, name: &str) -> PathBuf {
    let zip = folder(&format!("network-{name}.zip"));
    let [command, to, on, day] = ["to-gtfs", "--to", "--on", "2026-06-01"].map(Path::new);
    network(SMALL, &[command, path, to, &zip, on, day]).succeeded();
    zip
}

#[test]
fn a_feed_becomes_a_network() {
    let to = folder("network-of-feed");
    let ran = from_gtfs(SMALL, &small_feed("in"), &mapping("in"), &to, false).succeeded();
    assert!(ran.out.contains("4 departures") && ran.out.contains("3 trips of the feed are sold, 0 left out"));
    let network = model::read(&to).unwrap().network;
    let departure = |code: &str| {
        let d = &network.departures[code];
        format!("{} {} {} {} {:?} {:?}", d.direction, d.bus, d.calendar, d.departs, d.legs, d.dwells)
    };
    assert_eq!(departure("t1"), "2 101 wd 8:05 [6, 17] [2]");
    assert_eq!(departure("t2"), "1 101 only 24:10 [40, 40] []");
    assert_eq!(
        (departure("f1:1000"), departure("f1:1030")),
        ("0 101 wd 10:00 [20] []".into(), "0 101 wd 10:30 [20] []".into())
    );
    let route = &network.routes["r1"];
    assert_eq!((route.names.default.as_str(), route.rules.cut_off_secs), ("1 港線", Some(600)));
    let stops =
        |number: u16| route.directions[&number].stops.iter().map(model::Code::as_str).collect::<Vec<_>>();
    assert_eq!(stops(1)[0], stops(1)[2], "a stop is served twice");
    assert!(stops(1)[1].starts_with("B_1."), "a code of an id that is none: {:?}", stops(1));
    let en = "en".parse().unwrap();
    assert_eq!(
        (network.stops["A"].names.in_language(&en), route.directions[&0].names.in_language(&en)),
        ("Station", "Port")
    );
    // 1 April 2020 was a Wednesday; the first of June 2026 is a Monday, so it is the third.
    let wd = &network.calendars["wd"];
    assert_eq!(wd.all_dates().next().unwrap().to_string(), "2026-06-03");
    assert!(!wd.runs_on("2026-07-01".parse().unwrap()) && wd.runs_on("2026-06-30".parse().unwrap()));
    assert_eq!(
        network.calendars["only"].all_dates().map(|d| d.to_string()).collect::<Vec<_>>(),
        ["2026-07-01"]
    );
    let fare =
        |code: &str| network.fare(&network.departures[code], "standard", "2026-07-01".parse().unwrap());
    assert_eq!(
        (fare("t1").unwrap().to_string(), fare("t2").unwrap().to_string()),
        ("250".into(), "100".into())
    );
    assert_eq!(network.url.as_deref(), Some("http://bus.example/"));
    super::check(&to).succeeded();
}

#[test]
fn agencies_have_their_own_clocks() {
    let mut files = feed();
    let agencies = "agency_id,agency_name,agency_url,agency_timezone\n1,A,http://a.example/,Asia/Tokyo\n\
                    2,B,http://b.example/,Asia/Kolkata\n";
    files.insert("agency.txt", agencies.into());
    files.get_mut("routes.txt").unwrap().extend(b"r2,2,,Two,3,\n");
    files.get_mut("trips.txt").unwrap().extend(b"r2,wd,u1,,0,\n");
    files.get_mut("stop_times.txt").unwrap().extend(b"u1,8:00:00,8:00:00,A,1\nu1,9:00:00,9:00:00,C,2\n");
    files.get_mut("fare_rules.txt").unwrap().extend(b"f,r2,A,C,\n");
    let to = folder("network-agencies");
    from_gtfs(SMALL, &written("feed-agencies", &files), &mapping("agencies"), &to, false).succeeded();
    let network = model::read(&to).unwrap().network;
    let at = |code: &str| network.times(&network.departures[code], "2026-06-03".parse().unwrap()).unwrap().0;
    assert_eq!(at("t1").to_rfc3339(), "2026-06-02T23:05:00+00:00");
    assert_eq!(at("u1").to_rfc3339(), "2026-06-03T02:30:00+00:00");
    // A feed has one zone: 8:00 in India is 11:30 in Japan.
    let gtfs = Gtfs::from_path(to_gtfs(&to, "agencies")).unwrap();
    assert_eq!(gtfs.trips["u1"].stop_times[0].departure_time, Some((11 * 60 + 30) * 60));
}

#[test]
fn a_network_becomes_a_feed_of_the_same_trips() {
    let to = folder("network-round");
    from_gtfs(SMALL, &small_feed("round"), &mapping("round"), &to, false).succeeded();
    let zip = to_gtfs(&to, "round-1");
    assert_eq!(fs::read(&zip).unwrap(), fs::read(to_gtfs(&to, "round-2")).unwrap(), "the same bytes");
    let gtfs = Gtfs::from_path(&zip).unwrap();
    assert_eq!((gtfs.trips.len(), gtfs.stops.len(), gtfs.routes.len(), gtfs.calendar.len()), (4, 3, 1, 1));
    let times: Vec<_> = gtfs.trips["t1"]
        .stop_times
        .iter()
        .map(|time| {
            (
                time.stop.id.as_str().to_owned(),
                time.arrival_time.unwrap() / 60,
                time.departure_time.unwrap() / 60,
            )
        })
        .collect();
    assert_eq!((times[0].1, times[1].1, times[1].2, times[2].1), (485, 491, 493, 510));
    assert_eq!(gtfs.trips["t2"].stop_times[0].departure_time, Some((24 * 60 + 10) * 60));
    assert_eq!(gtfs.fare_attributes["fare-250"].price, "250");
    assert_eq!(gtfs.routes["r1"].ticketing_deep_link_id.as_deref(), Some("1"));
    assert_eq!(gtfs.get_trip("t2").unwrap().block_id.as_deref(), Some("bus-101"));
    // And in again, by the same mapping without a shift.
    let again = folder("network-round-again");
    let text = MAPPING.replace("start_date = \"2026-06-01\"", "shift_days = 0");
    from_gtfs(SMALL, &zip, &mapping_of("again", &text), &again, false).succeeded();
    let (mut first, mut second) = (model::read(&to).unwrap().network, model::read(&again).unwrap().network);
    second.url.clone_from(&first.url);
    for route in first.routes.values_mut().chain(second.routes.values_mut()) {
        route.directions.values_mut().for_each(|direction| direction.names.default.clear());
    }
    assert_eq!(first, second);
}

#[test]
fn a_departure_by_another_clock_stands_once_for_each_difference() {
    let mut files = small();
    files.insert(
        "stops.csv",
        "code,name,latitude,longitude,zone\na,A,1,1,America/New_York\nb,B,2,2,\nc,C,3,3,\n".into(),
    );
    let zip = to_gtfs(&written("clocks", &files), "clocks");
    let gtfs = Gtfs::from_path(&zip).unwrap();
    // New York and Berlin are six hours apart, and five for some weeks of spring and autumn.
    let departs = |trip: &str| gtfs.trips[trip].stop_times[0].departure_time.unwrap() / 3_600;
    let days = |trip: &str| gtfs.calendar_dates[&gtfs.trips[trip].service_id].len();
    let mut trips = [("d", departs("d"), days("d")), ("d:2", departs("d:2"), days("d:2"))];
    trips.sort_by_key(|trip| trip.1);
    assert_eq!(trips, [("d", 13, 28), ("d:2", 14, 337)]);
    // By a clock that is ahead, a departure may be on the day before.
    let head = "code,route,direction,bus,calendar,departs,legs,zone\n";
    files.insert("departures.csv", format!("{head}d,r,0,1,k,1:00,10 5,Asia/Tokyo\n").into());
    files.insert("calendars.csv", "code,days,from,until\nk,daily,2026-06-01,2026-06-02\n".into());
    let gtfs = Gtfs::from_path(to_gtfs(&written("ahead", &files), "ahead")).unwrap();
    assert_eq!(gtfs.trips["d"].stop_times[0].departure_time, Some(18 * 3_600));
    let dates = &gtfs.calendar_dates[&gtfs.trips["d"].service_id];
    assert_eq!(
        dates.iter().map(|date| date.date.to_string()).collect::<Vec<_>>(),
        ["2026-05-31", "2026-06-01"]
    );
}

#[test]
fn what_a_feed_needs_is_asked_for() {
    let mut files = small();
    files.insert("stops.csv", "code,name\na,A\nb,B\nc,C\n".into());
    let zip = folder("network-needs.zip");
    let run = |path: &Path| network(SMALL, &[Path::new("to-gtfs"), path, Path::new("--to"), &zip]);
    run(&written("placeless", &files))
        .refused("stops.csv: latitude: a feed needs the place of each stop; a has none");
    let head = String::from_utf8(small()["network.toml"].clone()).unwrap();
    files.insert("network.toml", head.replace("url = \"https://example.org/\"\n", "").into());
    run(&written("no-url", &files)).refused("network.toml: url: a feed needs the operator's page");
    assert!(!zip.exists());
}
