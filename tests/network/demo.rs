//! The demo network's folder has what databases of before the network have in their tables.

use super::check;
use crate::harness::Database;
use farebox::network::{self, Network};
use sqlx::PgPool;
use std::path::Path;

pub fn demo() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/demo-network"))
}

#[test]
fn the_demo_network_is_right_and_written_as_it_is_read() {
    let checked = check(demo()).succeeded();
    assert!(checked.out.contains("17 departures") && checked.out.contains("1020 trips in 60 days"));
    let network = network::read(demo()).unwrap().network;
    for (name, bytes) in network::write::files(&network) {
        let is = String::from_utf8(std::fs::read(demo().join(name)).unwrap()).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), is, "{name}");
    }
}

/// A line of the timetable: id, bus, direction, minute, minutes, price.
type Line = (i32, i32, i16, i32, i32, String);

fn lines(network: &Network) -> Vec<Line> {
    let of = |(code, departure): (&network::Code, &network::Departure)| {
        let day = "2026-06-01".parse().unwrap();
        (
            code.as_str().trim_start_matches('d').parse().unwrap(),
            i32::try_from(departure.bus).unwrap(),
            i16::try_from(departure.direction).unwrap(),
            departure.departs.minutes().into(),
            i32::try_from(departure.minutes()).unwrap(),
            network.fare(departure, "standard", day).unwrap().to_string(),
        )
    };
    network.departures.iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_network_is_what_tests_have_as_departures_of_before() {
    let network = network::read(demo()).unwrap().network;
    let db = Database::fresh().await;
    let pool = PgPool::connect(&db.url).await.unwrap();
    let timetable =
        "select id, bus_id, direction, departs_minute, minutes, price::text from timetable order by id";
    let timetable: Vec<Line> = sqlx::query_as(timetable).fetch_all(&pool).await.unwrap();
    assert_eq!(lines(&network), timetable);
    let buses = "select id, driver_name, driver_phone, capacity from bus order by id";
    let buses: Vec<(i32, String, String, i32)> = sqlx::query_as(buses).fetch_all(&pool).await.unwrap();
    let of_network = network.buses.iter().map(|(number, bus)| {
        let driver = &network.drivers[bus.driver.as_ref().unwrap()];
        let seats = network.models[&bus.model].seats();
        assert!(seats.iter().all(|seat| seat.label == seat.number.to_string() && seat.is_for_sale));
        let (number, seats) = (i32::try_from(*number).unwrap(), i32::try_from(seats.len()).unwrap());
        (number, driver.name.clone(), driver.phone.clone().unwrap(), seats)
    });
    assert_eq!(of_network.collect::<Vec<_>>(), buses);
}
