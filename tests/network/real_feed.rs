//! A real feed (tests/network/feeds): converted, imported, sold, exported and changed.

use super::{
    SMALL,
    feed_out::mapping_of,
    from_gtfs,
    import::{farebox, import, preview, texts, trip_of, world},
    network,
};
use crate::harness::{Client, World, count, folder, until};
use chrono::{Days, NaiveDate, Utc};
use farebox::network as model;
use gtfs_structures::Gtfs;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const FEED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/network/feeds/donanbus.zip");
/// All of the feed is read, whatever is sold of it. MiB of addresses.
const MEMORY: u64 = SMALL + 200;
/// There and back, and a circle that serves stops twice.
const ROUTES: &str = "[\"1311*\"]\nmodel = \"large\"\nbuses = \"1-20\"\nfare = \"rules\"\n\n\
                      [[sell]]\nroutes = [\"130110\"]\nmodel = \"small\"\nbuses = \"21-40\"\nfare = \"rules\"\n";

fn today() -> NaiveDate {
    Utc::now().with_timezone(&chrono_tz::Asia::Tokyo).date_naive()
}

/// The feed began two weeks ago. `sell` is what follows `routes =`.
fn mapping(name: &str, sell: &str) -> PathBuf {
    let start = today() - Days::new(14);
    let text = format!(
        "name = \"道南バス\"\ncurrency = \"JPY\"\nlanguages = [\"ja\", \"ja-Hrkt\"]\nstart_date = \"{start}\"\n\n\
         [[model]]\ncode = \"large\"\nname = \"Large\"\ndeck = [{{ rows = [\"1A 1B _ 1C 1D\", \"2A 2B _ 2C 2D\"] }}]\n\n\
         [[model]]\ncode = \"small\"\nname = \"Small\"\ndeck = [{{ rows = [\"1A _ 1B\", \"2A _ 2B\"] }}]\n\n\
         [[sell]]\nroutes = {sell}"
    );
    mapping_of(&format!("real-{name}"), &text)
}

/// The folder of what these lines sell.
fn sold(name: &str, sell: &str) -> PathBuf {
    let to = folder(&format!("network-real-{name}"));
    let _ = fs::remove_dir_all(&to);
    from_gtfs(MEMORY, Path::new(FEED), &mapping(name, sell), &to, false).succeeded();
    to
}

#[test]
fn what_a_real_feed_has_wrong_is_told_and_the_rest_is_offered() {
    let to = folder("network-real-all");
    let _ = fs::remove_dir_all(&to);
    let all = mapping("all", "[\"*\"]\nmodel = \"large\"\nbuses = \"1-200\"\nfare = \"rules\"\n");
    let ran = from_gtfs(MEMORY, Path::new(FEED), &all, &to, false);
    ran.refused("fare_rules.txt: no fare of route 102400 from 0211_C to 0361_B; its trips are left out");
    ran.refused("fare_rules.txt: no fare of route 131700 from 0391_B to 0211_A; its trips are left out");
    ran.refused("nothing was written; 537 departures can be used");
    assert!(!to.exists());
    let ran = from_gtfs(MEMORY, Path::new(FEED), &all, &to, true).succeeded();
    assert!(ran.out.contains("537 departures") && ran.out.contains("4 left out"), "{}", ran.out);
    let [command, days, two_weeks] = ["check", "--days", "14"].map(Path::new);
    network(MEMORY, &[command, &to, days, two_weeks]).succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_feed_is_imported_sold_exported_and_changed() {
    let world = world().await;
    let given = sold("given", ROUTES);
    let network = model::read(&given).unwrap().network;
    assert_eq!((network.routes.len(), network.departures.len()), (3, 54));
    let (shown, _) = preview(&world.db, &given);
    assert!(shown.contains("departures added: 54: ") && shown.contains("54 departures"), "{shown}");
    assert_eq!(count(&world.pool, "select count(*) from timetable").await, 0, "a preview changes nothing");
    import(&world.db, &given);
    farebox(&world.db, &["trips", "--days", "25"]).succeeded();
    runs_as_the_feed_says(&world, &network).await;

    let rider = world.rider("0").await;
    until("the API knows the currency", async || {
        rider.get("/v1/wallet").await.expect(200)["currency"] == "JPY"
    })
    .await;
    let there = is_shown_in_japanese(&rider, &network).await;
    world.top_up(rider.id, "5000", "first").await.expect(201);
    let order = paid(&rider, &there, &["1A"], "450").await;
    let circle = trip_of(&world.pool, "130110_weekday_3").await;
    paid(&rider, &circle, &["1B", "2A"], "840").await;

    goes_out_as_it_came_in(&world, &network);
    changes_are_named(&world, (&there, &circle)).await;
    let kept = rider.get(&format!("/v1/orders/{order}")).await;
    assert_eq!(kept.expect(200)["amount"], "450", "an order keeps its price");
    world.verify().await;
}

/// Each day has the trips of its service, at the times of the feed; the first exception is ahead.
async fn runs_as_the_feed_says(world: &World, network: &model::Network) {
    let exceptions = &network.calendars["weekday"].exceptions;
    let holiday = *exceptions.keys().next().unwrap();
    assert!(holiday > today() && !exceptions[&holiday], "{holiday}");
    let made: Vec<(String, NaiveDate, String)> = sqlx::query_as(
        "select d.code, t.service_date, to_char(t.departs_at at time zone 'Asia/Tokyo', 'FMHH24:MI')
         from trip t join timetable d on d.id = t.timetable_id",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    let mut made_on: BTreeMap<NaiveDate, Vec<&str>> = BTreeMap::new();
    for (code, day, departs) in &made {
        assert_eq!(network.departures[code.as_str()].departs.to_string(), *departs, "{code}");
        made_on.entry(*day).or_default().push(code);
    }
    for day in (1..24).map(|n| today() + Days::new(n)) {
        let is_weekend = chrono::Datelike::weekday(&day).number_from_monday() > 5;
        let service = if exceptions.contains_key(&day) || is_weekend { "weekend" } else { "weekday" };
        let expected = network.departures.iter().filter(|(_, d)| d.calendar.as_str() == service);
        let mut made = made_on.remove(&day).unwrap_or_default();
        made.sort_unstable();
        assert_eq!(made, expected.map(|(code, _)| code.as_str()).collect::<Vec<_>>(), "{day}");
    }
}

/// The list of a day, in both languages of the feed; returns a trip of it.
async fn is_shown_in_japanese(rider: &Client, network: &model::Network) -> String {
    let holiday = network.calendars["weekday"].exceptions.keys().next().unwrap();
    let path = format!("/v1/trips?date={holiday}&limit=500");
    let mut id = String::new();
    for (language, from, to) in
        [("ja", "東町ターミナル", "資料館前"), ("ja-Hrkt", "ひがしまちたーみなる", "しりょうかんまえ")]
    {
        let listed = rider.reading(language).get(&path).await;
        let trips = listed.expect(200)["items"].as_array().unwrap();
        assert_eq!(trips.len(), 28, "the weekend's trips");
        let trip = trips.iter().find(|trip| trip["route"]["code"] == "131100").unwrap();
        assert_eq!((&trip["from"]["name"], &trip["to"]["name"]), (&from.into(), &to.into()), "{trip}");
        assert_eq!(trip["route"]["name"], "ターミナル資料館線２　往（若草小）");
        assert_eq!((&trip["price"], &trip["currency"]), (&"450".into(), &"JPY".into()));
        assert_eq!(trip["departs_local"], format!("{holiday}T07:10:00+09:00"));
        trip["id"].as_str().unwrap().clone_into(&mut id);
    }
    let trip = rider.reading("ja").get(&format!("/v1/trips/{id}")).await;
    let stops = trip.expect(200)["stops"].as_array().unwrap();
    assert_eq!((stops.len(), &stops[0]["code"]), (42, &"0211_D".into()));
    id
}

/// Books these seats and pays them.
async fn paid(rider: &Client, trip: &str, seats: &[&str], amount: &str) -> String {
    let booked = rider.reading("ja").book(trip, seats).await;
    assert_eq!(booked.expect(201)["amount"], amount, "{}", booked.text);
    let order = booked.body["id"].as_str().unwrap().to_owned();
    assert_eq!(rider.pay(&order).await.expect(200)["status"], "paid");
    order
}

/// The database's network as a feed has the sold trips of the feed, with their stops, times and fares.
fn goes_out_as_it_came_in(world: &World, given: &model::Network) {
    let (to, zip) = (folder("network-real-exported"), folder("network-real-out.zip"));
    let _ = fs::remove_dir_all(&to);
    farebox(&world.db, &["network", "export", "--to", to.to_str().unwrap()]).succeeded();
    assert_eq!(model::read(&to).unwrap().network, *given);
    let on = today().to_string();
    let [command, to_option, on_option, day] = ["to-gtfs", "--to", "--on", &on].map(Path::new);
    network(MEMORY, &[command, &to, to_option, &zip, on_option, day]).succeeded();
    let (before, after) = (Gtfs::from_path(FEED).unwrap(), Gtfs::from_path(&zip).unwrap());
    let is_sold = |route: &str| route.starts_with("1311") || route == "130110";
    let trips = before.trips.values().filter(|trip| is_sold(&trip.route_id));
    let times = |trip: &gtfs_structures::Trip| -> Vec<_> {
        let stops = trip.stop_times.iter();
        stops.map(|time| (time.stop.id.clone(), time.arrival_time, time.departure_time)).collect()
    };
    let expected: BTreeMap<_, _> = trips.map(|trip| (&trip.id, (&trip.service_id, times(trip)))).collect();
    let trips = after.trips.values();
    let found: BTreeMap<_, _> = trips.map(|trip| (&trip.id, (&trip.service_id, times(trip)))).collect();
    assert_eq!(found, expected);
    for service in ["weekday", "weekend"] {
        assert_eq!(after.calendar_dates[service].len(), before.calendar_dates[service].len());
    }
    // To a tenth of a metre.
    let place = |gtfs: &Gtfs| gtfs.stops["0211_D"].latitude.map(|degrees| format!("{degrees:.6}"));
    assert_eq!((&after.stops["0211_D"].name, place(&after)), (&before.stops["0211_D"].name, place(&before)));
    let mut fares: Vec<_> = after.fare_attributes.values().map(|fare| fare.price.as_str()).collect();
    fares.sort_unstable();
    assert_eq!(fares, ["420", "450"]);
}

/// Another fare is for what is not sold yet. Another model of the circle's buses touches its riders.
async fn changes_are_named(world: &World, (there, circle): (&str, &str)) {
    let fare = sold("fare", &ROUTES.replacen("fare = \"rules\"", "fare = \"480\"", 1));
    let (shown, _) = preview(&world.db, &fare);
    let ahead = "select count(*)::text from trip where departs_at > now() and route like '1311%'";
    let ahead = texts(&world.pool, ahead).await.pop().unwrap();
    let expected = format!("trips that have another price for what is not sold yet: {ahead}");
    assert!(shown.contains(&expected) && !shown.contains("riders have seats"), "{expected} in {shown}");
    import(&world.db, &fare);
    let price = "select distinct price::text from trip where departs_at > now() and route like '1311%'";
    assert_eq!(texts(&world.pool, price).await, ["4.80"], "hundreds of yen");

    let other = ROUTES.replacen("fare = \"rules\"", "fare = \"480\"", 1).replace("\"small\"", "\"large\"");
    let (shown, _) = preview(&world.db, &sold("model", &other));
    assert!(shown.contains("departures changed: 17: ") && shown.contains("(seats)"), "{shown}");
    let line = shown.lines().find(|line| line.contains(circle)).unwrap_or_else(|| panic!("{shown}"));
    assert!(line.contains("130110_weekday_3 on ") && line.contains("other seats, of large"), "{line}");
    assert!(line.contains("2 seats sold, 0 held, 1 riders, 840 paid"), "{line}");
    assert!(!shown.contains(there), "nothing changes for the riders of the other route: {shown}");
}
