//! The rules of routes in bookings and refunds, and what trips and orders say of their journeys.

use super::{
    Files,
    import::{farebox, import, network, today, trip_of, world},
    written,
};
use crate::harness::{Client, World, count};
use chrono::{DateTime, Days, TimeDelta, Utc};
use serde_json::{Value, json};

const DEPARTURES: &str = "d,r,0,1,k,8:00,10 5\ne,q,0,2,k,9:00,10 5\n";

/// Route r has rules of its own, route q those of the network.
fn with_rules(rules: &str) -> Files {
    let mut files = network(DEPARTURES);
    let head = String::from_utf8(files["network.toml"].clone()).unwrap();
    let defaults = "\n[defaults]\nhold_secs = 900\nrefund_secs = 7200\nrefund_percent = 90\n";
    files.insert("network.toml", format!("{head}{defaults}").into_bytes());
    let routes = format!(
        "code,name,hold_secs,cut_off_secs,refund_secs,refund_percent,name.ja\nr,Ring,{rules},環\nq,Quay,,,,,\n"
    );
    files.insert("routes.csv", routes.into_bytes());
    files
        .insert("directions.csv", "route,direction,name,name.ja\nr,0,Out,外\nq,0,Out,\n".as_bytes().to_vec());
    files.insert(
        "direction_stops.csv",
        b"route,direction,position,stop\nr,0,1,a\nr,0,2,b\nr,0,3,c\nq,0,1,c\nq,0,2,b\nq,0,3,a\n".to_vec(),
    );
    files.insert("stops.csv", "code,name,latitude,longitude,zone,name.ja\na,Alpha,1,2,,あ\nb,\"Beta, B\",-1.5,2,,\nc,Gamma,0,0,Asia/Tokyo,\n".as_bytes().to_vec());
    let model = "[[model]]\ncode = \"m\"\nname = \"M\"\ndeck = [{ rows = [\"1 2 _ 3 4\"] }]\n";
    files.insert("models.toml", model.as_bytes().to_vec());
    files.insert("fares.csv", b"route,class,amount\nr,standard,1.50\nq,standard,2.35\n".to_vec());
    files
}

async fn sold(rules: &str, name: &str) -> World {
    let world = world().await;
    import(&world.db, &written(name, &with_rules(rules)));
    farebox(&world.db, &["trips", "--days", "4"]).succeeded();
    world
}

fn at(json: &Value) -> DateTime<Utc> {
    json.as_str().unwrap().parse().unwrap()
}

async fn paid(rider: &Client, trip: &str, seats: &[&str]) -> String {
    let order = rider.booked(trip, seats).await;
    rider.pay(&order).await.expect(200);
    order
}

/// Kinds and amounts of the wallet's entries, newest first.
async fn entries(rider: &Client) -> Vec<String> {
    let page = rider.get("/v1/wallet/entries").await;
    let items = page.expect(200)["items"].as_array().unwrap();
    items
        .iter()
        .map(|e| format!("{} {}", e["kind"].as_str().unwrap(), e["amount"].as_str().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_holds_seats_and_ends_booking_by_its_own_rules() {
    let world = sold("120,3600,,", "rules-hold").await;
    let (ring, quay) = (trip_of(&world.pool, "d").await, trip_of(&world.pool, "e").await);
    let rider = world.rider("100.00").await;
    for (trip, secs) in [(&ring, 120), (&quay, 900)] {
        let booked = rider.book(trip, &["1"]).await;
        let order = booked.expect(201);
        assert_eq!(at(&order["expires_at"]) - at(&order["created_at"]), TimeDelta::seconds(secs));
    }
    let shown = rider.get(&format!("/v1/trips/{ring}")).await;
    let trip = shown.expect(200);
    assert_eq!(at(&trip["departs_at"]) - at(&trip["bookable_until"]), TimeDelta::hours(1));
    // The hold never outlives the end of booking, and then nobody books.
    world.departs_in(&ring, TimeDelta::minutes(61)).await;
    let booked = rider.book(&ring, &["2"]).await;
    let order = booked.expect(201);
    assert!(at(&order["expires_at"]) - at(&order["created_at"]) <= TimeDelta::seconds(60));
    world.departs_in(&ring, TimeDelta::minutes(59)).await;
    rider.book(&ring, &["3"]).await.problem(409, "006003");
    world.departs_in(&quay, TimeDelta::minutes(59)).await;
    rider.book(&quay, &["2"]).await.expect(201);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_keeps_the_fee_that_the_order_was_sold_with() {
    let world = sold(",,3600,80", "rules-fee").await;
    let (ring, quay) = (trip_of(&world.pool, "d").await, trip_of(&world.pool, "e").await);
    let rider = world.rider("100.00").await;
    let (first, second, third) = (
        paid(&rider, &ring, &["1", "2"]).await,
        paid(&rider, &quay, &["1"]).await,
        paid(&rider, &ring, &["3"]).await,
    );
    // What is changed later is for what is sold later.
    import(&world.db, &written("rules-fee-later", &with_rules(",,0,0")));
    let fourth = paid(&rider, &ring, &["4"]).await;
    let listed = rider.get(&format!("/v1/orders/{first}")).await;
    let order = listed.expect(200);
    assert_eq!((&order["refund_percent"], order.get("refund_fee")), (&json!(80), None));
    assert_eq!(at(&order["departs_at"]) - at(&order["refundable_until"]), TimeDelta::hours(1));
    let before = entries(&rider).await.len();
    for order in [&first, &second, &fourth] {
        rider.post(&format!("/v1/orders/{order}/refund"), &json!({})).await.expect(200);
    }
    // 3.00 less 20 of 100; 2.35 less 10 of 100 gives 2.115 back, rounded to 2.12; 1.50 less all of it.
    let made = entries(&rider).await;
    assert_eq!(
        made[..made.len() - before],
        [
            "refund_fee -1.50",
            "refund 1.50",
            "refund_fee -0.23",
            "refund 2.35",
            "refund_fee -0.60",
            "refund 3.00"
        ]
    );
    assert_eq!(rider.get(&format!("/v1/orders/{first}")).await.expect(200)["refund_fee"], "0.60");
    let wallet = rider.get("/v1/wallet").await;
    assert_eq!(wallet.expect(200)["balance"], "96.17", "{}", wallet.text);
    world.verify().await;
    // Too late for this order, in time by the settings.
    world.departs_in(&ring, TimeDelta::minutes(59)).await;
    rider.post(&format!("/v1/orders/{third}/refund"), &json!({})).await.problem(409, "006009");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_trip_is_refunded_without_a_fee() {
    let world = sold(",,3600,0", "rules-cancelled").await;
    let ring = trip_of(&world.pool, "d").await;
    let rider = world.rider("10.00").await;
    paid(&rider, &ring, &["1", "2"]).await;
    world.ops.post(&format!("/v1/ops/trips/{ring}/cancel"), &json!({"reason": "snow"})).await.expect(202);
    let _worker = world.worker();
    world.drained().await;
    assert_eq!(rider.get("/v1/wallet").await.expect(200)["balance"], "10.00");
    assert_eq!(count(&world.pool, "select count(*) from ledger_entry where kind = 'refund_fee'").await, 0);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trips_and_orders_name_their_journey_in_the_readers_language() {
    let world = sold(",,,", "rules-journey").await;
    let ring = trip_of(&world.pool, "d").await;
    let rider = world.rider("10.00").await;
    let order = rider.booked(&ring, &["1"]).await;
    let day = today() + Days::new(3);
    let english = json!({
        "route": {"code": "r", "name": "Ring"}, "direction_name": "Out", "zone": "Asia/Shanghai",
        "from": {"code": "a", "name": "Alpha", "zone": "Asia/Shanghai"},
        "to": {"code": "c", "name": "Gamma", "zone": "Asia/Tokyo"},
        "departs_local": format!("{day}T08:00:00+08:00"), "arrives_local": format!("{day}T09:15:00+09:00"),
    });
    let japanese = rider.reading("fr, ja-JP;q=0.8, en;q=0.7");
    for (client, route, from) in [(&rider, "Ring", "Alpha"), (&japanese, "環", "あ")] {
        let (trip, orders) = (format!("/v1/trips/{ring}"), format!("/v1/orders/{order}"));
        let list = client.get(&format!("/v1/trips?date={day}")).await;
        let listed = list.expect(200)["items"].as_array().unwrap();
        let own = client.get("/v1/orders").await;
        let mut answers = vec![listed.iter().find(|trip| trip["id"] == ring.as_str()).unwrap().clone()];
        answers.push(own.expect(200)["items"][0].clone());
        for path in [&trip, &orders] {
            answers.push(client.get(path).await.expect(200).clone());
        }
        for answer in answers {
            let mut expected = english.clone();
            expected["route"]["name"] = route.into();
            expected["from"]["name"] = from.into();
            if route != "Ring" {
                expected["direction_name"] = "外".into();
            }
            for (field, value) in expected.as_object().unwrap() {
                assert_eq!(&answer[field], value, "{field} of {answer}");
            }
        }
    }
    let stops = rider.get(&format!("/v1/trips/{ring}")).await;
    let stops = &stops.expect(200)["stops"];
    assert_eq!(stops[1]["arrives_local"], format!("{day}T08:10:00+08:00"));
    assert_eq!((&stops[1]["latitude"], &stops[0]["arrives_local"]), (&json!(-1.5), &Value::Null));
    // A name that changes is another one in the next answer of a server that is running.
    let mut files = with_rules(",,,");
    files.insert("routes.csv", b"code,name\nr,Circle\nq,Quay\n".to_vec());
    import(&world.db, &written("rules-journey-later", &files));
    assert_eq!(rider.get(&format!("/v1/trips/{ring}")).await.expect(200)["route"]["name"], "Circle");
    // So it is if the database's clock was set back before the import.
    let earlier = "update route set name = 'Loop' where code = 'r';
                   update network set imported_at = imported_at - interval '1 hour'";
    sqlx::raw_sql(earlier).execute(&world.pool).await.unwrap();
    assert_eq!(rider.get(&format!("/v1/trips/{ring}")).await.expect(200)["route"]["name"], "Loop");
    // An extra trip of no route has the zone of the network. No trip of its bus is made for that day.
    let departs = Utc::now() + TimeDelta::days(20);
    let extra = json!({"bus_id": 1, "direction": 0, "departs_at": departs, "arrives_at": departs + TimeDelta::minutes(5), "price": "1.00"});
    let made = world.ops.post("/v1/ops/trips", &extra).await;
    let id = made.expect(201)["id"].as_str().unwrap();
    let shown = rider.get(&format!("/v1/trips/{id}")).await;
    let shown = shown.expect(200);
    assert_eq!(
        (&shown["route"], &shown["zone"], &shown["stops"]),
        (&Value::Null, &json!("Asia/Shanghai"), &json!([]))
    );
}
