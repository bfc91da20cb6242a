//! Refunds of what an import changed, where a route's rules keep a fee.

use super::{
    Files,
    import::{farebox, import, trip_of, world},
    sold::{finished, sold_network},
    written,
};
use serde_json::{Value, json};

const BEFORE: &str = "d,r,0,1,k,8:00,10 5\ne,r,0,2,k,9:00,10 5\n";
const LATER: &str = "d,r,0,1,k,8:30,10 5\ne,r,0,2,k,9:00,10 5\n";

/// The route gives 80 of 100 back, until thirty days before departure.
fn with_fee(departures: &str) -> Files {
    let mut files = sold_network(departures);
    files.insert("routes.csv", b"code,name,refund_secs,refund_percent\nr,R,2592000,80\n".to_vec());
    files
}

/// The rules that an answer tells of an order.
fn rules(order: &Value) -> (&Value, bool) {
    (&order["refund_percent"], order["refundable_until"] == order["departs_at"])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_import_changed_is_refunded_without_the_routes_fee() {
    let world = world().await;
    import(&world.db, &written("sold-fee", &with_fee(BEFORE)));
    farebox(&world.db, &["trips", "--days", "4"]).succeeded();
    let rider = world.rider("100.00").await;
    let changed = rider.booked(&trip_of(&world.pool, "d").await, &["1A", "1B"]).await;
    let other = rider.booked(&trip_of(&world.pool, "e").await, &["1A"]).await;
    for order in [&changed, &other] {
        rider.pay(order).await.expect(200);
        let shown = rider.get(&format!("/v1/orders/{order}")).await;
        assert_eq!(rules(shown.expect(200)), (&json!(80), false));
        rider.refund(order).await.expect(409);
    }
    let _worker = world.worker();
    import(&world.db, &written("sold-fee-later", &with_fee(LATER)));
    finished(&world).await;
    let listed = rider.get("/v1/orders").await;
    let listed = listed.expect(200)["items"].as_array().unwrap();
    for (order, expected) in [(&changed, (&json!(100), true)), (&other, (&json!(80), false))] {
        let shown = rider.get(&format!("/v1/orders/{order}")).await;
        assert_eq!(rules(shown.expect(200)), expected);
        let in_list = listed.iter().find(|one| one["id"] == **order).unwrap();
        assert_eq!(rules(in_list), expected);
    }
    rider.refund(&other).await.expect(409);
    let refunded = rider.refund(&changed).await;
    assert_eq!(refunded.expect(200)["status"], "refunded");
    assert_eq!(rider.balance().await, "98.50", "no fee is taken");
    assert_eq!(world.ledger(&changed).await, ["payment", "refund"]);
    // What is booked of the changed trip afterwards has the route's rules.
    let later = rider.booked(&trip_of(&world.pool, "d").await, &["1A"]).await;
    let shown = rider.get(&format!("/v1/orders/{later}")).await;
    assert_eq!(rules(shown.expect(200)), (&json!(80), false));
    world.verify().await;
}
