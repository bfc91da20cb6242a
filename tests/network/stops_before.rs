//! Trips that have departed keep the stops that they had.

use super::{
    import::{farebox, import, network, trip_of, world},
    written,
};
use crate::harness::{Client, World};
use chrono::TimeDelta;
use serde_json::Value;

const DEPARTURES: &str = "d,r,0,1,k,8:00,10 5\ne,r,0,2,k,9:00,10 5\n";

/// Both departures by these stops.
fn by(name: &str, departures: &str, stops: [&str; 3]) -> std::path::PathBuf {
    let mut files = network(departures);
    let [first, second, third] = stops;
    let lines = format!("route,direction,position,stop\nr,0,1,{first}\nr,0,2,{second}\nr,0,3,{third}\n");
    files.insert("direction_stops.csv", lines.into_bytes());
    written(&format!("stops-before-{name}"), &files)
}

async fn stops(client: &Client, trip: &str) -> Vec<String> {
    let shown = client.get(&format!("/v1/trips/{trip}")).await;
    let stops = shown.expect(200)["stops"].as_array().unwrap().clone();
    stops.iter().map(|stop| stop["code"].as_str().unwrap().to_owned()).collect()
}

fn ends(journey: &Value) -> [&str; 2] {
    ["from", "to"].map(|end| journey[end]["code"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_that_has_departed_keeps_its_stops() {
    let world: World = world().await;
    import(&world.db, &by("first", DEPARTURES, ["a", "b", "c"]));
    farebox(&world.db, &["trips", "--days", "4"]).succeeded();
    let (gone, ahead) = (trip_of(&world.pool, "d").await, trip_of(&world.pool, "e").await);
    let rider = world.rider("10.00").await;
    let order = rider.booked(&gone, &["1"]).await;
    rider.pay(&order).await.expect(200);
    world.departs_in(&gone, TimeDelta::hours(-1)).await;

    import(&world.db, &by("second", DEPARTURES, ["c", "a", "b"]));
    assert_eq!(stops(&rider, &gone).await, ["a", "b", "c"]);
    assert_eq!(stops(&rider, &ahead).await, ["c", "a", "b"]);
    let listed = rider.get(&format!("/v1/orders/{order}")).await;
    assert_eq!(ends(listed.expect(200)), ["a", "c"], "{}", listed.text);

    // The same stops again are no change, and those of the second time are not these.
    import(&world.db, &by("third", DEPARTURES, ["a", "c", "b"]));
    assert_eq!(stops(&rider, &gone).await, ["a", "b", "c"]);
    assert_eq!(stops(&rider, &ahead).await, ["a", "c", "b"]);

    // Without its direction a trip has the last stops that it had.
    let mut files = network("f,q,0,1,k,8:00,10 5\ng,q,0,2,k,9:00,10 5\n");
    files.insert("routes.csv", b"code,name\nq,Quay\n".to_vec());
    files.insert("directions.csv", b"route,direction,name\nq,0,Out\n".to_vec());
    files.insert(
        "direction_stops.csv",
        b"route,direction,position,stop\nq,0,1,a\nq,0,2,b\nq,0,3,c\n".to_vec(),
    );
    files.insert("fares.csv", b"route,class,amount\nq,standard,2.00\n".to_vec());
    import(&world.db, &written("stops-before-fourth", &files));
    assert_eq!(stops(&rider, &gone).await, ["a", "b", "c"]);
    assert_eq!(stops(&rider, &ahead).await, ["a", "c", "b"]);
    world.verify().await;
}
