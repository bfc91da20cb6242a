//! What becomes of orders from the moment at which an import is applied, whether its job runs or not; and
//! the days of the network's zone.

use super::{
    Files,
    import::{farebox, import, network, preview, today, trip_of, world},
    sold::{apply_only, finished, sold_network},
    written,
};
use crate::harness::{Client, World, count, until};
use chrono::{DateTime, Days, TimeDelta, Utc};
use serde_json::{Value, json};

/// Unpaid orders of the route live until booking ends, an hour before departure; 80 of 100 are refunded.
fn at(departs: &str) -> Files {
    let mut files = sold_network(&format!("d,r,0,1,k,{departs},10 5\n"));
    let rules = "code,name,hold_secs,cut_off_secs,refund_secs,refund_percent\nr,R,2592000,3600,2592000,80\n";
    files.insert("routes.csv", rules.as_bytes().to_vec());
    files
}

async fn sold_at(departs: &str, name: &str) -> World {
    let world = world().await;
    import(&world.db, &written(name, &at(departs)));
    farebox(&world.db, &["trips", "--days", "4"]).succeeded();
    world
}

/// Applies this timetable, and leaves what is done with riders to workers.
fn apply(world: &World, departs: &str, name: &str) {
    let path = written(name, &at(departs));
    let (_, digest) = preview(&world.db, &path);
    apply_only(world, &path, &digest).succeeded();
}

async fn shown(rider: &Client, order: &str) -> Value {
    rider.get(&format!("/v1/orders/{order}")).await.expect(200).clone()
}

fn time(json: &Value) -> DateTime<Utc> {
    json.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_ends_with_the_booking_of_the_trip_as_it_is_now() {
    let world = sold_at("8:30", "moved-earlier").await;
    let rider = world.rider("10.00").await;
    let order = rider.booked(&trip_of(&world.pool, "d").await, &["1A"]).await;
    let before = shown(&rider, &order).await;
    assert_eq!(time(&before["departs_at"]) - time(&before["expires_at"]), TimeDelta::hours(1));
    let _worker = world.worker();
    apply(&world, "8:00", "moved-earlier-half");
    finished(&world).await;
    let after = shown(&rider, &order).await;
    assert_eq!(time(&before["departs_at"]) - time(&after["departs_at"]), TimeDelta::minutes(30));
    assert_eq!(time(&after["departs_at"]) - time(&after["expires_at"]), TimeDelta::hours(1));
    let held =
        "select count(*) from seat s join orders o on o.id = s.order_id where s.held_until = o.expires_at";
    assert_eq!(count(&world.pool, held).await, 1);
    let timed = "select count(*) from queue.job j join orders o on j.key = o.id::text
                 where j.tag = 'order_unpaid' and j.run_at = o.expires_at";
    until("its timer waits for the new deadline", || async { count(&world.pool, timed).await == 1 }).await;
    // A trip that is moved later leaves holds as they are.
    apply(&world, "9:00", "moved-earlier-later");
    finished(&world).await;
    assert_eq!(shown(&rider, &order).await["expires_at"], after["expires_at"]);
    rider.pay(&order).await.expect(200);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_pays_for_a_trip_that_has_departed() {
    let world = World::new().await;
    let (trip, rider) = (world.trip(4).await, world.rider("100.00").await);
    let order = rider.booked(&trip, &["1"]).await;
    // As an import had it, before its job came to the order.
    world.departs_in(&trip, TimeDelta::seconds(-1)).await;
    rider.pay(&order).await.problem(409, "006001");
    assert_eq!(rider.balance().await, "100.00");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_free_from_the_import_on() {
    let world = sold_at("8:00", "moved-window").await;
    let trip = trip_of(&world.pool, "d").await;
    let riders = [world.rider("10.00").await, world.rider("10.00").await];
    let bought = riders[0].booked(&trip, &["1A"]).await;
    riders[0].pay(&bought).await.expect(200);
    riders[0].refund(&bought).await.expect(409);
    apply(&world, "9:00", "moved-window-later");
    // No worker has come to the order yet. Who books now knows the trip as it is.
    let later = riders[1].booked(&trip, &["1B"]).await;
    riders[1].pay(&later).await.expect(200);
    assert_eq!(shown(&riders[1], &later).await["refund_percent"], json!(80));
    let moved = shown(&riders[0], &bought).await;
    assert_eq!((&moved["refund_percent"], &moved["refundable_until"]), (&json!(100), &moved["departs_at"]));
    riders[0].refund(&bought).await.expect(200);
    assert_eq!(riders[0].balance().await, "10.00", "no fee is kept");
    let refunded = shown(&riders[0], &bought).await;
    assert!(refunded["changes"][0]["what"].as_str().unwrap().contains("departs"), "{refunded}");
    let _worker = world.worker();
    finished(&world).await;
    let later = shown(&riders[1], &later).await;
    assert_eq!((&later["refund_percent"], later["changes"].as_array().map_or(0, Vec::len)), (&json!(80), 0));
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_those_of_the_networks_zone() {
    let world = world().await;
    let anybody = Client::stranger(&world.api.base());
    let day = today() + Days::new(2);
    let listed = async |day: chrono::NaiveDate| {
        let page = anybody.get(&format!("/v1/trips?date={day}")).await;
        page.expect(200)["items"].as_array().unwrap().len()
    };
    assert_eq!(listed(day).await, 0);
    for (zone, departs) in [("America/New_York", "23:30"), ("Pacific/Auckland", "0:30")] {
        let mut files = network(&format!("d,r,0,1,k,{departs},10 5\n"));
        let head = String::from_utf8(files["network.toml"].clone()).unwrap();
        files.insert("network.toml", head.replace("Asia/Shanghai", zone).into_bytes());
        let only = format!("code,days,from,until\nk,daily,{day},{day}\n");
        files.insert("calendars.csv", only.into_bytes());
        import(&world.db, &written(&format!("days-of-{}", &zone[..7]), &files));
        farebox(&world.db, &["trips", "--days", "5"]).succeeded();
        let days = [day - Days::new(1), day, day + Days::new(1)];
        let found = [listed(days[0]).await, listed(days[1]).await, listed(days[2]).await];
        assert_eq!(found, [0, 1, 0], "{zone}");
        let page = anybody.get(&format!("/v1/trips?date={day}&route=r")).await;
        assert_eq!(page.expect(200)["items"][0]["departure"], "d", "{}", page.text);
        let page = anybody.get(&format!("/v1/trips?date={day}&route=q")).await;
        assert_eq!(page.expect(200)["items"], json!([]));
    }
    let refused = anybody.get("/v1/trips?route=r%20s").await;
    assert_eq!(refused.problem(422, "003074")["field"], "route");
    world.verify().await;
}
