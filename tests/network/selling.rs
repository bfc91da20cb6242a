//! Seats of a painted model: sold by label, at a price for each class.

use super::{
    Files,
    import::{farebox, import, network, preview, texts, today, trip_of, world},
    written,
};
use crate::harness::{Answer, Client, World, count};
use chrono::Days;
use serde_json::{Value, json};

/// Two decks of six rows, "1A" to "12D". Seat "6D" is not for sale.
const MODEL: &str = "[[model]]\ncode = \"m\"\nname = \"Double\"\nnot_for_sale = [\"6D\"]\n\n\
    [model.classes]\nbusiness = [\"1A\", \"1B\", \"2A\", \"2B\"]\n\n";

/// A network of the double-decker with these fares, with departures `d` and `e`.
pub fn double_decker(fares: &str) -> Files {
    let mut files = network("d,r,0,1,k,8:00,10 5\ne,r,0,2,k,9:00,10 5\n");
    let deck = |rows: std::ops::RangeInclusive<u8>| {
        let rows: Vec<String> = rows.map(|n| format!("\"{n}A {n}B _ {n}C {n}D\"")).collect();
        format!("[[model.deck]]\nrows = [{}]\n", rows.join(", "))
    };
    files.insert("models.toml", format!("{MODEL}{}{}", deck(1..=6), deck(7..=12)).into_bytes());
    files.insert("fares.csv", format!("route,class,amount\n{fares}").into_bytes());
    files
}

pub const FARES: &str = "r,standard,1.50\nr,business,4.25\n";

/// A world that sells the double-decker, and a trip of it.
pub async fn selling(name: &str) -> (World, String) {
    let world = world().await;
    import(&world.db, &written(name, &double_decker(FARES)));
    farebox(&world.db, &["trips", "--days", "4"]).succeeded();
    let trip = trip_of(&world.pool, "d").await;
    (world, trip)
}

/// A seat of a map.
pub fn seat<'a>(map: &'a Value, label: &str) -> &'a Value {
    map["seats"].as_array().unwrap().iter().find(|seat| seat["seat"] == label).unwrap()
}

pub async fn map(client: &Client, trip: &str) -> Value {
    client.get(&format!("/v1/trips/{trip}")).await.expect(200).clone()
}

fn money(order: &Value) -> (&Value, &Value, &Value, &Value) {
    (&order["seats"], &order["prices"], &order["unit_price"], &order["amount"])
}

fn refused(answer: &Answer, rule: &str) {
    answer.problem(422, "003074");
    assert_eq!(answer.body["field"], "/seats", "{}", answer.text);
    assert!(answer.body["rule"].as_str().unwrap().contains(rule), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_shows_labels_classes_and_prices_where_they_are() {
    let (world, trip) = selling("sell-map").await;
    let rider = world.rider("0").await;
    let bus = map(&rider, &trip).await;
    let prices = json!([{"class": "business", "price": "4.25"}, {"class": "standard", "price": "1.50"}]);
    assert_eq!((&bus["price"], &bus["prices"], &bus["capacity"]), (&json!("1.50"), &prices, &json!(48)));
    let deck = json!({"rows": 6, "columns": 5, "aisles": [3]});
    assert_eq!(bus["layout"], json!({"rows": 6, "left": 2, "right": 2, "decks": [deck, deck]}));
    let labels: Vec<&str> =
        bus["seats"].as_array().unwrap().iter().map(|seat| seat["seat"].as_str().unwrap()).collect();
    assert_eq!((labels.len(), labels[0], labels[4], labels[47]), (48, "1A", "2A", "12D"));
    let expected = json!({"seat": "2A", "row": 2, "side": "left", "state": "free", "deck": 1, "column": 1,
                          "class": "business", "price": "4.25"});
    assert_eq!(seat(&bus, "2A"), &expected);
    let expected = json!({"seat": "7D", "row": 1, "side": "right", "state": "free", "deck": 2, "column": 5,
                          "class": "standard", "price": "1.50"});
    assert_eq!(seat(&bus, "7D"), &expected);
    assert_eq!(seat(&bus, "6D")["state"], "blocked");
    assert_eq!(bus["free_seats"], 47);

    let day = today() + Days::new(3);
    let listed = rider.get(&format!("/v1/trips?date={day}")).await;
    let trips = listed.expect(200)["items"].as_array().unwrap();
    assert_eq!((trips.len(), &trips[0]["price"], &trips[0]["prices"]), (2, &json!("1.50"), &prices));

    // A trip of a bus without a model is shown as ever, and has one class.
    let plain = map(&rider, &world.trip(20).await).await;
    assert_eq!(plain["prices"], json!([{"class": "standard", "price": "4.00"}]));
    assert_eq!(plain["layout"], json!({"rows": 5, "left": 2, "right": 2}));
    assert_eq!(plain["seats"][6], json!({"seat": "7", "row": 2, "side": "right", "state": "free"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_of_two_classes_are_booked_by_label_paid_and_refunded() {
    let (world, trip) = selling("sell-book").await;
    let (rider, other) = (world.rider("100.00").await, world.rider("100.00").await);
    let _worker = world.worker();
    let booked = rider.key("two classes").book(&trip, &["12D", "2A", "2B"]).await;
    let order = booked.expect(201);
    let (labels, each) = (json!(["2A", "2B", "12D"]), json!(["4.25", "4.25", "1.50"]));
    assert_eq!(money(order), (&labels, &each, &Value::Null, &json!("10.00")));
    let id = order["id"].as_str().unwrap();
    let again = rider.key("two classes").book(&trip, &["12D", "2A", "2B"]).await;
    assert_eq!((again.status.as_u16(), &again.text), (201, &booked.text));
    // An order of one class has one price.
    let plain = other.book(&trip, &["1D", "1C"]).await;
    assert_eq!(plain.expect(201)["seats"], json!(["1C", "1D"]));
    assert_eq!((&plain.body["unit_price"], &plain.body["amount"]), (&json!("1.50"), &json!("3.00")));
    assert!(plain.body.get("prices").is_none());

    // The numbers are keys, and only those of the labels.
    let numbers = "select seats::text || labels::text from orders order by id";
    assert_eq!(texts(&world.pool, numbers).await, ["{5,6,48}{2A,2B,12D}", "{3,4}{1C,1D}"]);
    let owned = format!("{{{}}}", "5,6,48");
    let sql = "select array_agg(seat order by seat)::text from seat where order_id = $1::uuid";
    let owns: String = sqlx::query_scalar(sql).bind(id).fetch_one(&world.pool).await.unwrap();
    assert_eq!(owns, owned);

    let lost = other.book(&trip, &["3A", "12D", "2A"]).await;
    assert_eq!(lost.problem(409, "004000")["seats"], json!(["2A", "12D"]));
    let not_sold = other.book(&trip, &["6D", "6C"]).await;
    assert_eq!(not_sold.problem(409, "004000")["seats"], json!(["6D"]));
    for unknown in ["5", "13A", "1a", "2А"] {
        refused(&other.book(&trip, &["3A", unknown]).await, &format!("the trip has no seat {unknown}"));
    }
    assert_eq!(world.free_seats(&trip).await, 48 - 5);

    rider.pay(id).await.expect(200);
    assert_eq!(rider.balance().await, "90.00");
    let shown = rider.get(&format!("/v1/orders/{id}")).await;
    assert_eq!(money(shown.expect(200)), (&labels, &each, &Value::Null, &json!("10.00")));
    let listed = rider.get("/v1/orders?list=upcoming").await;
    assert_eq!(money(&listed.expect(200)["items"][0]), (&labels, &each, &Value::Null, &json!("10.00")));
    assert_eq!(seat(&map(&rider, &trip).await, "12D")["state"], "mine");
    world.drained().await;
    world.verify().await;

    rider.refund(id).await.expect(200);
    assert_eq!(rider.balance().await, "100.00");
    assert_eq!(seat(&map(&rider, &trip).await, "12D")["state"], "free");
    assert_eq!(world.ledger(id).await.len(), 2);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_by_class_follow_the_fares_and_not_what_is_sold() {
    let (world, trip) = selling("sell-fares").await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["1A", "3A"]).await;
    let prices = "select distinct concat_ws(' ', price, class_prices) from trip where departs_at > now()";
    let both = r#"1.50 {"business": "4.25", "standard": "1.50"}"#;
    assert_eq!(texts(&world.pool, prices).await, [both]);
    let same = written("sell-fares", &double_decker(FARES));
    let shown = farebox(&world.db, &["network", "import", same.to_str().unwrap()]).succeeded().out;
    assert!(shown.contains("nothing to change"), "{shown}");

    // The lowest fare may be of any class.
    let dearer = written("sell-dearer", &double_decker("r,standard,9.00\nr,business,4.25\n"));
    let (shown, _) = preview(&world.db, &dearer);
    assert!(shown.contains("another price"), "{shown}");
    import(&world.db, &dearer);
    let both = r#"4.25 {"business": "4.25", "standard": "9.00"}"#;
    assert_eq!(texts(&world.pool, prices).await, [both]);
    let now = rider.book(&trip, &["1B", "3B"]).await;
    assert_eq!(
        (&now.expect(201)["prices"], &now.body["amount"]),
        (&json!(["4.25", "9.00"]), &json!("13.25"))
    );
    let before = rider.get(&format!("/v1/orders/{order}")).await;
    assert_eq!(before.expect(200)["amount"], "5.75");

    // Equal fares are one price again.
    import(&world.db, &written("sell-equal", &double_decker("r,standard,2.00\nr,business,2.00\n")));
    assert_eq!(texts(&world.pool, prices).await, ["2.00"]);
    // Trips that are made now have them too.
    import(&world.db, &written("sell-fares", &double_decker(FARES)));
    farebox(&world.db, &["trips", "--days", "6"]).succeeded();
    assert_eq!(texts(&world.pool, prices).await.len(), 1);
    assert_eq!(count(&world.pool, "select count(*) from trip where class_prices is null").await, 0);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extra_trip_has_the_seats_of_its_model_and_prices_by_class() {
    let (world, _) = selling("sell-extra").await;
    let rider = world.rider("100.00").await;
    let departs = chrono::Utc::now() + chrono::Duration::hours(30);
    let new = |more: Value| {
        let mut body = json!({"bus_id": 1, "direction": 0, "departs_at": departs,
                              "arrives_at": departs + chrono::Duration::minutes(20), "price": "3.00"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    sqlx::query("update trip set cancelled_at = now()").execute(&world.pool).await.unwrap();
    let bad = [
        (json!({"capacity": 20}), "/capacity"),
        (json!({"prices": {"first": "9.00"}}), "/prices/first"),
        (json!({"prices": {"business": "0"}}), "/prices/business"),
        (json!({"prices": {"business": "10000000000"}}), "/prices/business"),
    ];
    for (more, field) in bad {
        let refused = world.ops.post("/v1/ops/trips", &new(more)).await;
        assert_eq!(refused.problem(422, "003074")["field"], field, "{}", refused.text);
    }
    let body = new(json!({"prices": {"business": "7.50"}, "capacity": 48}));
    let made = world.ops.post("/v1/ops/trips", &body).await;
    let prices = json!([{"class": "business", "price": "7.50"}, {"class": "standard", "price": "3.00"}]);
    assert_eq!((&made.expect(201)["prices"], &made.body["price"]), (&prices, &json!("3.00")));
    assert_eq!(seat(&made.body, "6D")["state"], "blocked");
    let trip = made.body["id"].as_str().unwrap();
    let booked = rider.book(trip, &["1A", "12A"]).await;
    assert_eq!(booked.expect(201)["amount"], "10.50");

    // One price for all, and no classes where there is no model.
    let mut plain = new(json!({"bus_id": 2}));
    let made = world.ops.post("/v1/ops/trips", &plain).await;
    assert_eq!(made.expect(201)["prices"], json!([{"class": "standard", "price": "3.00"}]));
    assert_eq!(made.body["seats"].as_array().unwrap().len(), 48);
    plain["bus_id"] = json!(world.bus().await);
    plain["prices"] = json!({"business": "7.50"});
    let refused = world.ops.post("/v1/ops/trips", &plain).await;
    assert_eq!(refused.problem(422, "003074")["field"], "/prices");
    world.verify().await;
}
