//! What an operator changed of one trip, when a network is imported later.

use super::{
    Files,
    import::{farebox, import, preview, trip_of, world},
    one_trip::{changed, state},
    sold::{finished, selling, sold_network},
    written,
};
use crate::harness::World;
use serde_json::json;

const DEPARTURES: &str = "d,r,0,1,k,8:00,10 5\ne,r,0,2,k,9:00,10 5\n";

/// The network with both models, with this in place of that in one of its files.
fn with(file: &'static str, from: &str, to: &str) -> Files {
    let mut files = sold_network(DEPARTURES);
    let text = String::from_utf8(files[file].clone()).unwrap();
    assert!(text.contains(from), "no {from} in {text}");
    files.insert(file, text.replace(from, to).into_bytes());
    files
}

/// Importing the same network again changes nothing.
fn nothing_to_change(world: &World, name: &str, files: &Files) {
    let path = written(name, files);
    let same = farebox(&world.db, &["network", "import", path.to_str().unwrap()]).succeeded();
    assert!(same.out.contains("nothing to change"), "{}", same.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_keeps_a_bus_and_a_price_of_the_trips_own() {
    let world = selling("kept", world().await).await;
    let (trip, priced) = (trip_of(&world.pool, "d").await, trip_of(&world.pool, "e").await);
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["1A"]).await;
    rider.pay(&order).await.expect(200);
    let _worker = world.worker();
    changed(&world, &trip, json!({ "bus_id": 3 }), 202).await;
    finished(&world).await;
    changed(&world, &priced, json!({ "price": "7.00" }), 200).await;
    nothing_to_change(&world, "kept-same", &sold_network(DEPARTURES));
    assert_eq!(state(&world, &trip).await, "3 1.50 t f");

    // Other times and other fares: the bus stays on the one trip, the price on the other.
    let mut files = with("departures.csv", ",8:00,", ",8:20,");
    files.insert("fares.csv", b"route,class,amount\nr,standard,2.00\n".to_vec());
    import(&world.db, &written("kept-times", &files));
    finished(&world).await;
    assert_eq!(state(&world, &trip).await, "3 2.00 t f");
    assert_eq!(state(&world, &priced).await, "2 7.00 f t");
    let at = "select (departs_at at time zone 'Asia/Shanghai')::time::text from trip where id = $1::uuid";
    let at: String = sqlx::query_scalar(at).bind(&trip).fetch_one(&world.pool).await.unwrap();
    assert_eq!(at, "08:20:00");
    nothing_to_change(&world, "kept-times-same", &files);

    // The bus gets other seats.
    let seats = with("models.toml", "13A", "14A");
    import(&world.db, &written("kept-seats", &seats));
    finished(&world).await;
    assert_eq!(state(&world, &trip).await, "3 1.50 t f");
    assert_eq!(state(&world, &priced).await, "2 7.00 f t");
    rider.book(&trip, &["14A"]).await.expect(201);

    // A departure of the files that wants the bus meanwhile.
    let mut taken = sold_network(&format!("{DEPARTURES}f,r,0,3,k,23:00,10 5\n"));
    import(&world.db, &written("kept-more", &taken));
    farebox(&world.db, &["trips", "--days", "4"]).succeeded();
    taken.insert(
        "departures.csv",
        format!("code,route,direction,bus,calendar,departs,legs\n{DEPARTURES}f,r,0,3,k,8:05,10 5\n")
            .into_bytes(),
    );
    let refused = farebox(&world.db, &["network", "import", written("kept-taken", &taken).to_str().unwrap()]);
    refused.refused("bus 3 would be on two trips at once: d on ");
    assert!(refused.err.contains("and f on "), "{}", refused.err);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_whose_bus_has_ended_follows_its_departure() {
    let world = selling("kept-ended", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    changed(&world, &trip, json!({ "bus_id": 3, "price": "7.00" }), 200).await;
    assert_eq!(state(&world, &trip).await, "3 7.00 t t");
    let path = written("kept-ended-now", &with("buses.csv", "3,n\n", ""));
    let (shown, _) = preview(&world.db, &path);
    assert!(shown.contains("trips that change: 1"), "{shown}");
    import(&world.db, &path);
    assert_eq!(state(&world, &trip).await, "1 7.00 f t", "the price is of the same classes");
    // The bus that comes back is not taken again.
    import(&world.db, &written("kept-ended-back", &sold_network(DEPARTURES)));
    assert_eq!(state(&world, &trip).await, "1 7.00 f t");
    // Another class: the price follows too.
    let mut classes =
        with("models.toml", "name = \"M\"\n", "name = \"M\"\nclasses = { business = [\"1A\"] }\n");
    classes.insert("fares.csv", b"route,class,amount\nr,standard,2.00\nr,business,5.00\n".to_vec());
    import(&world.db, &written("kept-ended-classes", &classes));
    assert_eq!(state(&world, &trip).await, "1 2.00 5.00 f f");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_with_another_class_needs_a_price_of_it_and_keeps_it() {
    let world = selling("kept-class", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let models = "\n[[model]]\ncode = \"l\"\nname = \"L\"\ndeck = [{ rows = [\"1A 1B _ 1C\"] }]\n\
                  classes = { business = [\"1C\"] }\n";
    let with_model = |departures: &str, fare: &str| {
        let mut files = sold_network(departures);
        files.get_mut("models.toml").unwrap().extend(models.as_bytes());
        files.insert("buses.csv", b"number,model\n1,m\n2,m\n3,n\n4,l\n".to_vec());
        files.insert("fares.csv", format!("route,class,amount\nr,standard,{fare}\n").into_bytes());
        files
    };
    import(&world.db, &written("kept-class-model", &with_model(DEPARTURES, "1.50")));
    let [previews, _] = super::one_trip::addresses(&trip);
    let refused = world.ops.post(&previews, &json!({ "bus_id": 4 })).await;
    let problem = refused.problem(422, "003074");
    assert_eq!(problem["field"], "/prices");
    assert_eq!(problem["rule"], "the trip has no price yet of these classes: business");
    changed(&world, &trip, json!({ "bus_id": 4, "prices": { "business": "9.00" } }), 200).await;
    assert_eq!(state(&world, &trip).await, "4 1.50 9.00 t t");
    import(&world.db, &written("kept-class-fare", &with_model(DEPARTURES, "2.00")));
    assert_eq!(state(&world, &trip).await, "4 1.50 9.00 t t");
    // One class alone, and back to the departure's bus: the price is kept for seats of the same class.
    changed(&world, &trip, json!({ "prices": { "standard": "3.00" } }), 200).await;
    assert_eq!(state(&world, &trip).await, "4 3.00 9.00 t t");
    changed(&world, &trip, json!({ "bus_id": 1 }), 200).await;
    assert_eq!(state(&world, &trip).await, "1 3.00 f t");
    let rider = world.rider("100.00").await;
    assert_eq!(rider.book(&trip, &["1A"]).await.expect(201)["amount"], "3.00");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_is_given_back_to_its_departure() {
    let world = selling("kept-follow", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let rider = world.rider("100.00").await;
    let _worker = world.worker();
    changed(&world, &trip, json!({ "bus_id": 3, "price": "7.00" }), 200).await;
    let order = rider.booked(&trip, &["13A"]).await;
    let done = changed(&world, &trip, json!({ "follow": true }), 202).await;
    assert_eq!(done["what"], json!(["bus 3 to 1", "other seats, of m", "price 7.00 to 1.50"]));
    finished(&world).await;
    assert_eq!(state(&world, &trip).await, "1 1.50 f f");
    assert_eq!(world.order(&order).await["status"], "closed");
    // A price that is the fare again: only the trip's following changes.
    changed(&world, &trip, json!({ "price": "7.00" }), 200).await;
    changed(&world, &trip, json!({ "price": "1.50" }), 200).await;
    assert_eq!(state(&world, &trip).await, "1 1.50 f t");
    let preview = super::one_trip::previewed(&world, &trip, &json!({ "follow": true })).await;
    assert_eq!((&preview["kind"], &preview["what"]), (&json!("follows"), &json!([])));
    let done = changed(&world, &trip, json!({ "follow": true }), 200).await;
    assert_eq!(done["changes"], true);
    assert_eq!(state(&world, &trip).await, "1 1.50 f f");
    let audited = "select count(*) from audit where act = 'trip_change'";
    assert_eq!(crate::harness::count(&world.pool, audited).await, 5);
    world.verify().await;
}
