//! Another bus, or other prices, for one trip.

use super::{
    import::{import, texts, trip_of, world},
    over_http::IMPORTS,
    sold::{finished, labels, selling, sold_network},
    written,
};
use crate::harness::{Client, Process, World, count, until};
use serde_json::{Value, json};

/// The addresses for a trip: of previews, and of changes.
pub(super) fn addresses(trip: &str) -> [String; 2] {
    ["change-previews", "changes"].map(|what| format!("/v1/ops/trips/{trip}/{what}"))
}

/// The preview of a change.
pub(super) async fn previewed(world: &World, trip: &str, change: &Value) -> Value {
    world.ops.post(&addresses(trip)[0], change).await.expect(200).clone()
}

/// A change with the digest of its preview and a reason.
pub(super) fn with_digest(change: &Value, preview: &Value) -> Value {
    let mut body = change.clone();
    body["digest"] = preview["digest"].clone();
    body["reason"] = json!("a flat tyre");
    body
}

/// Previews a change and applies it.
pub(super) async fn changed(world: &World, trip: &str, change: Value, status: u16) -> Value {
    let preview = previewed(world, trip, &change).await;
    let done = world.ops.post(&addresses(trip)[1], &with_digest(&change, &preview)).await;
    done.expect(status).clone()
}

/// What a change writes, but for the queue.
pub(super) async fn tables(world: &World) -> String {
    let sql = "select jsonb_build_array((select jsonb_agg(t order by t.id) from trip t), (select count(*) from audit),
        (select jsonb_agg(s order by s.trip_id, s.seat) from seat s), (select count(*) from network_import))::text";
    sqlx::query_scalar(sql).fetch_one(&world.pool).await.unwrap()
}

/// The bus, the prices and what of them is its own, of a trip.
pub(super) async fn state(world: &World, trip: &str) -> String {
    let sql = "select concat_ws(' ', bus_id, price, class_prices ->> 'business', own_bus, own_price)
               from trip where id = $1::uuid";
    sqlx::query_scalar(sql).bind(trip).fetch_one(&world.pool).await.unwrap()
}

async fn paid(rider: &Client, trip: &str, seats: &[&str]) -> String {
    let order = rider.booked(trip, seats).await;
    rider.pay(&order).await.expect(200);
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_move_by_label_to_another_bus_and_what_has_no_place_is_named_first() {
    let world = selling("one-bus", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let [previews, changes] = addresses(&trip);
    let (rider, other) = (world.rider("100.00").await, world.rider("100.00").await);
    let stays = paid(&rider, &trip, &["1A", "12B"]).await;
    let lost = paid(&other, &trip, &["1B", "12C"]).await;
    let swap = json!({ "bus_id": 3 });
    let first = previewed(&world, &trip, &swap).await;
    let held = other.booked(&trip, &["12D"]).await;
    let before = (tables(&world).await, labels(&world.pool).await);
    world.ops.post(&changes, &with_digest(&swap, &first)).await.problem(409, "006071");
    let preview = previewed(&world, &trip, &swap).await;
    assert_eq!(tables(&world).await, before.0, "a preview and a stale change change nothing");

    let shown = ["trip_id", "departure", "kind", "what", "seats_sold", "seats_held", "riders", "money"];
    let what = json!(["bus 1 to 3", "other seats, of n"]);
    let values =
        [json!(trip), json!("d"), json!("changes"), what, json!(4), json!(1), json!(2), json!("6.00")];
    assert_eq!(shown.map(|field| preview[field].clone()), values, "{preview}");
    let mut named = preview["without_place"].as_array().unwrap().clone();
    named.sort_by_key(|one| one["is_paid"] == false);
    let of = |order: &str, seat: &str, is_paid: bool, money: &str| json!({ "order_id": order, "rider": "rider1", "seats": [seat], "is_paid": is_paid, "money": money });
    assert_eq!(named, [of(&lost, "12C", true, "3.00"), of(&held, "12D", false, "0.00")]);
    let sums = ["orders_moved", "orders_ended", "refunded", "currency"].map(|field| preview[field].clone());
    assert_eq!(sums, [json!(1), json!(2), json!("3.00"), json!("EUR")]);

    let key = world.ops.key("the swap");
    let accepted = key.post(&changes, &with_digest(&swap, &preview)).await.expect(202).clone();
    assert_eq!((&accepted["changes"], &accepted["what"]), (&json!(true), &preview["what"]));
    let import = &accepted["import"];
    assert_eq!((&import["trip_id"], &import["trips"], &import["done"]), (&json!(trip), &json!(1), &json!(0)));
    assert_eq!(*key.post(&changes, &with_digest(&swap, &preview)).await.expect(202), accepted);
    let again = world.ops.post(&changes, &with_digest(&swap, &preview)).await;
    assert_eq!((&again.expect(202)["changes"], &again.body["import"]), (&json!(false), import));
    let another = trip_of(&world.pool, "e").await;
    let busy = world.ops.post(&addresses(&another)[0], &json!({ "price": "2.00" })).await;
    assert_eq!(busy.problem(409, "006072")["import_id"], import["id"]);
    world.ops.post(&previews, &swap).await.problem(409, "006072");

    let _worker = world.worker();
    finished(&world).await;
    world.drained().await;
    let kept: Vec<String> = before.1.into_iter().filter(|line| line.starts_with(&stays)).collect();
    assert_eq!(labels(&world.pool).await, kept);
    assert_eq!(world.order(&stays).await["seats"], json!([44, 2]));
    assert_eq!(world.order(&stays).await["free_refund"], true);
    assert_eq!(world.order(&lost).await["status"], "refunded");
    assert_eq!(world.order(&held).await["status"], "closed");
    assert_eq!((rider.balance().await, other.balance().await), ("97.00".into(), "100.00".into()));
    let order = rider.get(&format!("/v1/orders/{stays}")).await.expect(200).clone();
    assert_eq!(order["changes"][0]["what"], "bus 1 to 3, other seats, of n");
    let shown = world.ops.get(&format!("/v1/trips/{trip}")).await.expect(200).clone();
    assert_eq!((&shown["bus_id"], &shown["capacity"]), (&json!(3), &json!(51)));
    let progress = world.ops.get(&format!("{IMPORTS}/{}", import["id"].as_str().unwrap())).await;
    let done = ["done", "moved", "refunded", "closed"].map(|field| progress.expect(200)[field].clone());
    assert_eq!(done, [json!(1), json!(1), json!(1), json!(1)]);
    let audited = "select concat_ws(' ', reason, detail -> 'what' ->> 0, count(*) over ()) from audit
                   where act = 'trip_change' and actor_id is not null";
    assert_eq!(texts(&world.pool, audited).await, ["a flat tyre bus 1 to 3 1"]);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_in_the_move_is_carried_on() {
    let world = selling("one-kill", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let order = paid(&world.rider("100.00").await, &trip, &["1A", "3B"]).await;
    let before = labels(&world.pool).await;
    changed(&world, &trip, json!({ "bus_id": 3 }), 202).await;
    let mut holder = world.pool.begin().await.unwrap();
    sqlx::query("select from network_import_trip for update").execute(&mut *holder).await.unwrap();
    let short_lease = [("FAREBOX__WORKER__LEASE_MS", "300")];
    let mut first = Process::worker(&world.db.url, &short_lease, &[]);
    until("the seats are moved, in a transaction", || async {
        let sql = "select count(*) from pg_stat_activity where datname = current_database()
                   and wait_event_type = 'Lock' and query like '%free_refund%'";
        count(&world.pool, sql).await == 1
    })
    .await;
    first.kill();
    assert_eq!(world.order(&order).await["seats"], json!([1, 10]), "nothing is moved yet");
    holder.rollback().await.unwrap();
    let _second = Process::worker(&world.db.url, &short_lease, &[]);
    finished(&world).await;
    assert_eq!(labels(&world.pool).await, before);
    assert_eq!(world.order(&order).await["seats"], json!([44, 37]));
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_price_is_for_what_is_not_sold_yet_and_touches_no_order() {
    let world = selling("one-price", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let rider = world.rider("100.00").await;
    let before = paid(&rider, &trip, &["1A"]).await;
    let change = json!({ "price": "2.50" });
    let preview = previewed(&world, &trip, &change).await;
    assert_eq!((&preview["kind"], &preview["what"]), (&json!("price"), &json!(["price 1.50 to 2.50"])));
    let sold = ["seats_sold", "riders", "money", "orders_moved", "orders_ended", "refunded"];
    let values = [json!(1), json!(1), json!("1.50"), json!(1), json!(0), json!("0.00")];
    assert_eq!(sold.map(|field| preview[field].clone()), values, "{preview}");
    // A seat that is sold meanwhile keeps its price, so the preview is not stale.
    paid(&rider, &trip, &["2A"]).await;
    let done = world.ops.post(&addresses(&trip)[1], &with_digest(&change, &preview)).await;
    assert!(done.expect(200)["import"]["finished_at"].is_string(), "{}", done.text);
    let jobs = "select count(*) from queue.job where tag = 'network_import'";
    assert_eq!(count(&world.pool, jobs).await, 0);
    let after = rider.book(&trip, &["1B"]).await;
    assert_eq!(after.expect(201)["amount"], "2.50");
    assert_eq!(world.order(&before).await["amount"], json!(1.5));
    assert_eq!(count(&world.pool, "select count(*) from order_change").await, 0);
    let listed = world.ops.get(&format!("/v1/trips/{trip}")).await;
    assert_eq!(listed.expect(200)["price"], "2.50");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_on_another_trip_is_refused_and_both_are_named() {
    let world = selling("one-taken", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let at: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("select departs_at + interval '10 minutes' from trip where id = $1::uuid")
            .bind(&trip)
            .fetch_one(&world.pool)
            .await
            .unwrap();
    let body = json!({ "bus_id": 3, "direction": 0, "departs_at": at, "price": "4.00",
                       "arrives_at": at + chrono::Duration::hours(1) });
    let extra = world.ops.post("/v1/ops/trips", &body).await.expect(201)["id"].as_str().unwrap().to_owned();
    let before = tables(&world).await;
    let refused = world.ops.post(&addresses(&trip)[0], &json!({ "bus_id": 3 })).await;
    let problem = refused.problem(409, "006022");
    assert_eq!((&problem["field"], &problem["trip_id"]), (&json!("/bus_id"), &json!(extra)));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("bus 3 would be on two trips at once: d on "), "{detail}");
    assert!(detail.contains(&format!("and the extra trip {extra} from ")), "{detail}");
    // The extra trip may not get the departure's bus either.
    let refused = world.ops.post(&addresses(&extra)[0], &json!({ "bus_id": 1 })).await;
    assert_eq!(refused.problem(409, "006022")["trip_id"], json!(trip));
    // A preview is stale once the bus is taken.
    let free = trip_of(&world.pool, "e").await;
    let change = json!({ "bus_id": 1 });
    let preview = previewed(&world, &free, &change).await;
    let body = json!({ "bus_id": 1, "direction": 0, "departs_at": at + chrono::Duration::minutes(30),
                       "arrives_at": at + chrono::Duration::hours(2), "price": "4.00" });
    assert_eq!(tables(&world).await, before);
    world.ops.post("/v1/ops/trips", &body).await.expect(201);
    world.ops.post(&addresses(&free)[1], &with_digest(&change, &preview)).await.problem(409, "006022");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extra_trip_gets_another_bus_and_other_prices() {
    let world = selling("one-extra", world().await).await;
    let at = chrono::Utc::now() + chrono::Duration::days(9);
    let body = json!({ "bus_id": 1, "direction": 0, "departs_at": at, "price": "4.00",
                       "arrives_at": at + chrono::Duration::hours(1) });
    let extra = world.ops.post("/v1/ops/trips", &body).await.expect(201)["id"].as_str().unwrap().to_owned();
    let rider = world.rider("100.00").await;
    let order = paid(&rider, &extra, &["2A"]).await;
    let change = json!({ "bus_id": 3, "price": "5.00" });
    let preview = previewed(&world, &extra, &change).await;
    assert_eq!((&preview["departure"], &preview["day"]), (&Value::Null, &Value::Null));
    assert_eq!(preview["what"], json!(["bus 1 to 3", "other seats, of n", "price 4.00 to 5.00"]));
    let worker = world.worker();
    changed(&world, &extra, change, 202).await;
    finished(&world).await;
    assert_eq!(world.order(&order).await["seats"], json!([40]));
    assert_eq!(state(&world, &extra).await, "3 5.00 f f");
    // An extra trip has the version of its model that it was sold by, also when its price changes.
    let mut files = sold_network("d,r,0,1,k,8:00,10 5\ne,r,0,2,k,9:00,10 5\n");
    let models = String::from_utf8(files["models.toml"].clone()).unwrap().replace("13A", "14A");
    files.insert("models.toml", models.into_bytes());
    import(&world.db, &written("one-extra-models", &files));
    changed(&world, &extra, json!({ "price": "6.00" }), 200).await;
    assert_eq!(rider.book(&extra, &["13A"]).await.expect(201)["amount"], "6.00");
    // Its bus has other seats now.
    changed(&world, &extra, json!({ "bus_id": 3 }), 202).await;
    finished(&world).await;
    world.drained().await;
    rider.book(&extra, &["14A"]).await.expect(201);
    assert_eq!(world.order(&order).await["status"], "paid");
    drop(worker);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_without_a_model_changes_its_bus_and_its_price() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("20.00").await;
    let order = paid(&rider, &trip, &["3"]).await;
    let (bus, small) = (world.bus().await, world.bus().await);
    sqlx::query("update bus set capacity = 3 where id = $1").bind(small).execute(&world.pool).await.unwrap();
    let refused = world.ops.post(&addresses(&trip)[0], &json!({ "bus_id": small })).await;
    assert_eq!(refused.problem(422, "003074")["rule"], "a bus of at least 4 seats: the trip has so many");
    let refused = world.ops.post(&addresses(&trip)[0], &json!({ "prices": { "business": "5.00" } })).await;
    assert_eq!(refused.problem(422, "003074")["field"], "/prices");
    let _worker = world.worker();
    changed(&world, &trip, json!({ "bus_id": bus, "price": "5.00" }), 202).await;
    finished(&world).await;
    assert_eq!(state(&world, &trip).await, format!("{bus} 5.00 f f"));
    assert_eq!(rider.book(&trip, &["4"]).await.expect(201)["amount"], "5.00");
    let shown = rider.get(&format!("/v1/orders/{order}")).await;
    assert_eq!(shown.expect(200)["changes"].as_array().map(Vec::len), Some(1), "{}", shown.text);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_breaks_a_rule_names_the_field_and_changes_nothing() {
    let world = selling("one-bad", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let [previews, changes] = addresses(&trip);
    sqlx::query("update bus set ended_at = now() where id = 2").execute(&world.pool).await.unwrap();
    let before = tables(&world).await;
    let refused = [
        (json!({}), "", "one of bus_id, price, prices, follow"),
        (json!({ "prices": {} }), "", "one of bus_id"),
        (json!({ "bus_id": 99 }), "/bus_id", "there is no such bus"),
        (json!({ "bus_id": 2 }), "/bus_id", "a bus of the network: it has this one no more"),
        (json!({ "bus_id": 1 }), "/bus_id", "nothing would change"),
        (json!({ "bus_id": "1" }), "/bus_id", "invalid type"),
        (json!({ "price": "1.50" }), "/price", "nothing would change"),
        (json!({ "prices": { "standard": "1.50" } }), "/prices", "nothing would change"),
        (json!({ "price": "0.00" }), "/price", "an amount above zero"),
        (json!({ "price": "1.505" }), "/price", "at most 2 decimal places"),
        (json!({ "price": "10000000000.00" }), "/price", "at most"),
        (json!({ "prices": { "a/b": "0" } }), "/prices/a~1b", "an amount above zero"),
        (
            json!({ "prices": { "vip": "2.00" } }),
            "/prices/vip",
            "classes that the bus's model sells: standard",
        ),
        (json!({ "bus_id": 3, "follow": true }), "/follow", "no other field beside it"),
        (json!({ "follow": true }), "/follow", "nothing would change"),
        (json!({ "colour": "red" }), "/colour", "this field is not taken"),
    ];
    for (change, field, rule) in &refused {
        let answer = world.ops.post(&previews, change).await;
        let problem = answer.problem(422, "003074");
        assert_eq!(problem["field"], *field, "{change}: {problem}");
        assert!(problem["rule"].as_str().unwrap().contains(rule), "{change}: {problem}");
        let body = with_digest(change, &json!({ "digest": "none" }));
        assert_eq!(world.ops.post(&changes, &body).await.problem(422, "003074")["field"], *field);
    }
    let change = json!({ "price": "2.00" });
    let mut body = with_digest(&change, &previewed(&world, &trip, &change).await);
    body["reason"] = json!("");
    assert_eq!(world.ops.post(&changes, &body).await.problem(422, "003074")["field"], "/reason");
    body.as_object_mut().unwrap().remove("reason");
    world.ops.post(&changes, &body).await.problem(422, "003073");
    let unknown = addresses(&uuid::Uuid::now_v7().to_string());
    world.ops.post(&unknown[0], &change).await.problem(404, "003070");
    assert_eq!(tables(&world).await, before, "nothing was changed");

    let gone = world.trip_in(chrono::Duration::hours(-2), 4).await;
    world.ops.post(&addresses(&gone)[0], &change).await.problem(409, "006003");
    let cancelled = trip_of(&world.pool, "e").await;
    let why = json!({ "reason": "snow" });
    world.ops.post(&format!("/v1/ops/trips/{cancelled}/cancel"), &why).await.expect(202);
    world.ops.post(&addresses(&cancelled)[0], &change).await.problem(409, "006004");
    let extra = world.trip(4).await;
    let follow = world.ops.post(&addresses(&extra)[0], &json!({ "follow": true })).await;
    assert_eq!(follow.problem(422, "003074")["field"], "/follow");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_trip_asks_for_the_password_again() {
    let world = World::with(&[("FAREBOX__ACCOUNTS__CONFIRM_SECS", "300")]).await;
    let trip = world.trip(4).await;
    let change = json!({ "price": "5.00" });
    let preview = previewed(&world, &trip, &change).await;
    sqlx::query("update session set confirmed_at = now() - interval '6 minutes'")
        .execute(&world.pool)
        .await
        .unwrap();
    let [_, changes] = addresses(&trip);
    world.ops.post(&changes, &with_digest(&change, &preview)).await.problem(403, "003092");
    let password = json!({ "password": crate::harness::PASSWORD });
    world.ops.post("/v1/sessions/current/confirmation", &password).await.expect(204);
    world.ops.post(&changes, &with_digest(&change, &preview)).await.expect(200);
}
