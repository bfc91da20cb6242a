//! Extra trips beside a network: their route and rules, and what imports say of them.

use super::{
    Files,
    import::{farebox, import, network, preview, today, world},
    written,
};
use crate::harness::World;
use chrono::Days;
use serde_json::{Value, json};

const DEPARTURE: &str = "d,r,0,1,k,8:00,10 5\n";

/// A network whose defaults keep a fifth of a refund, and whose route keeps a tenth.
fn with_rules(departures: &str) -> Files {
    let mut files = network(departures);
    let head = String::from_utf8(files["network.toml"].clone()).unwrap();
    files.insert("network.toml", format!("{head}\n[defaults]\nrefund_percent = 80\n").into_bytes());
    files.insert("routes.csv", b"code,name,refund_percent\nr,Ring,90\n".to_vec());
    files
}

/// An extra trip of this bus in five days, from 12:00 to 13:00 UTC.
fn extra(bus: i32, more: &Value) -> Value {
    let day = today() + Days::new(5);
    let mut body = json!({
        "bus_id": bus, "direction": 0, "price": "2.00",
        "departs_at": format!("{day}T12:00:00Z"), "arrives_at": format!("{day}T13:00:00Z"),
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn added(world: &World, body: &Value) -> Value {
    let made = world.ops.post("/v1/ops/trips", body).await;
    let trip = made.expect(201)["id"].as_str().unwrap().to_owned();
    world.ops.get(&format!("/v1/trips/{trip}")).await.expect(200).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extra_trip_has_the_stops_and_rules_of_its_route() {
    let world = world().await;
    import(&world.db, &written("extra-route", &with_rules(DEPARTURE)));
    let of_route = added(&world, &extra(1, &json!({ "route": "r" }))).await;
    assert_eq!((&of_route["route"]["name"], &of_route["refund_percent"]), (&json!("Ring"), &json!(90)));
    assert_eq!((&of_route["from"]["code"], &of_route["to"]["code"]), (&json!("a"), &json!("c")));
    assert_eq!(of_route["stops"].as_array().unwrap().len(), 3);
    let of_none = added(&world, &extra(2, &json!({}))).await;
    assert_eq!((&of_none["route"], &of_none["refund_percent"]), (&Value::Null, &json!(80)));
    assert_eq!(of_none["zone"], of_route["zone"], "that of the network");
    for (more, field) in [
        (json!({ "route": "q" }), "/route"),
        (json!({ "route": "r", "direction": 1 }), "/direction"),
        (json!({ "bus_id": 3 }), "/bus_id"),
    ] {
        let refused = world.ops.post("/v1/ops/trips", &extra(2, &more)).await;
        assert_eq!(refused.problem(422, "003074")["field"], field, "{}", refused.text);
    }
    // A bus that ended takes nobody.
    let mut files = with_rules(DEPARTURE);
    files.insert("buses.csv", b"number,model\n1,m\n".to_vec());
    import(&world.db, &written("extra-route-fewer", &files));
    let refused = world.ops.post("/v1/ops/trips", &extra(2, &json!({}))).await;
    assert_eq!(refused.problem(422, "003074")["field"], "/bus_id");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_names_extra_trips_whose_bus_changes() {
    let world = world().await;
    import(&world.db, &written("extra-stays", &with_rules(DEPARTURE)));
    let trip = added(&world, &extra(2, &json!({}))).await["id"].as_str().unwrap().to_owned();
    let rider = world.rider("10.00").await;
    let order = rider.booked(&trip, &["1"]).await;
    rider.pay(&order).await.expect(200);
    let mut files = with_rules(DEPARTURE);
    files.insert("buses.csv", b"number,model\n1,m\n2,n\n".to_vec());
    let models = String::from_utf8(files["models.toml"].clone()).unwrap();
    let other = "\n[[model]]\ncode = \"n\"\nname = \"N\"\ndeck = [{ rows = [\"7\"] }]\n";
    files.insert("models.toml", format!("{models}{other}").into_bytes());
    let (shown, _) = preview(&world.db, &written("extra-stays-other", &files));
    let named =
        format!("the extra trip {trip}: keeps its seats, and its bus 2 gets those of n; 1 seats sold");
    assert!(shown.contains(&named), "{named}\n{shown}");
    files = with_rules(DEPARTURE);
    files.insert("buses.csv", b"number,model\n1,m\n".to_vec());
    let fewer = written("extra-stays-fewer", &files);
    let (shown, _) = preview(&world.db, &fewer);
    assert!(shown.contains(&format!("the extra trip {trip}: stays as it is, and its bus 2 ends")), "{shown}");
    import(&world.db, &fewer);
    let again = farebox(&world.db, &["network", "import", fewer.to_str().unwrap()]).succeeded().out;
    assert!(again.contains("nothing to change"), "{again}");
    assert_eq!(rider.get(&format!("/v1/orders/{order}")).await.expect(200)["status"], "paid");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_departure_that_needs_the_bus_of_an_extra_trip_is_refused() {
    let world = world().await;
    import(&world.db, &written("extra-bus", &with_rules(DEPARTURE)));
    let trip = added(&world, &extra(2, &json!({}))).await["id"].as_str().unwrap().to_owned();
    // 12:30 UTC is 20:30 there.
    let added = written("extra-bus-added", &with_rules(&format!("{DEPARTURE}e,r,0,2,k,20:30,10 5\n")));
    let day = today() + Days::new(5);
    let refused = farebox(&world.db, &["network", "import", added.to_str().unwrap()]);
    refused
        .refused(&format!("bus 2 would be on two trips at once: the extra trip {trip} until {day} 13:00Z"));
    refused.refused(&format!("and e on {day} from {day} 12:30Z"));
    let before = written("extra-bus-before", &with_rules(&format!("{DEPARTURE}e,r,0,2,k,19:45,10 5\n")));
    import(&world.db, &before);
    world.verify().await;
}
