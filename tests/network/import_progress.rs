//! An import that touches riders, over HTTP and in the console: its answer, its progress and its page.

use super::{
    Files,
    import::{import, preview, texts, trip_of, world},
    over_http::{IMPORTS, import_of, previewed, upload, zip},
    sold::{apply_only, finished, selling, sold_network},
    written,
};
use crate::harness::{Browser, Client, World};
use serde_json::{Value, json};

/// The change: `d` half an hour later by a bus of the other model, and no `e`.
fn changed() -> Files {
    sold_network("d,r,0,3,k,8:30,10 5\n")
}

/// A world in which a rider has paid for 1A, another for 12C, which has no place after the change.
async fn sold(name: &str) -> (World, Client, [String; 2]) {
    let world = selling(name, world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let rider = world.rider("100.00").await;
    let stays = rider.booked(&trip, &["1A"]).await;
    let lost = rider.booked(&trip, &["12C"]).await;
    for order in [&stays, &lost] {
        rider.pay(order).await.expect(200);
    }
    (world, rider, [stays, lost])
}

async fn progress(world: &World, id: &Value) -> Value {
    let shown = world.ops.get(&format!("{IMPORTS}/{}", id.as_str().unwrap())).await;
    shown.expect(200).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_touches_riders_is_accepted_and_its_progress_is_read() {
    let (world, rider, [stays, lost]) = sold("progress-http").await;
    let preview = previewed(&world, &changed()).await;
    let touched = &preview["touched"][0];
    assert_eq!(
        touched["without_place"],
        json!([{ "order_id": lost, "rider": "rider0", "seats": ["12C"], "is_paid": true, "money": "1.50" }])
    );
    let riders = &preview["of_riders"];
    let sums = ["orders_moved", "orders_ended", "refunded"].map(|field| riders[field].clone());
    assert_eq!(sums, [json!(1), json!(1), json!("1.50")]);

    let key = world.ops.key("the change");
    let answer = key.post(IMPORTS, &import_of(&preview)).await;
    let accepted = answer.expect(202);
    let import = &accepted["import"];
    let state = ["trips", "done", "moved", "refunded", "reason", "finished_at"];
    let running = [json!(1), json!(0), json!(0), json!(0), json!("the summer's timetable"), Value::Null];
    assert_eq!(state.map(|field| import[field].clone()), running, "{accepted}");
    assert_eq!(progress(&world, &import["id"]).await, *import);
    let again = key.post(IMPORTS, &import_of(&preview)).await;
    assert_eq!(again.expect(202), accepted);
    // The same digest with another key finds the import that was applied.
    let found = world.ops.post(IMPORTS, &import_of(&preview)).await;
    assert_eq!((&found.expect(202)["changes"], &found.body["import"]), (&json!(false), import));
    // Another one waits for it.
    let (status, problem) = upload(&world, &world.ops, zip(&sold_network("d,r,0,1,k,8:00,10 5\n"))).await;
    assert_eq!((status, &problem["code"], &problem["import_id"]), (409, &json!("006072"), &import["id"]));
    let unknown = format!("{IMPORTS}/{}", uuid::Uuid::now_v7());
    world.ops.get(&unknown).await.problem(404, "003070");

    let _worker = world.worker();
    finished(&world).await;
    world.drained().await;
    let done = progress(&world, &import["id"]).await;
    let state = ["done", "moved", "refunded", "closed"].map(|field| done[field].clone());
    assert_eq!(state, [json!(1), json!(1), json!(1), json!(0)], "{done}");
    assert!(done["finished_at"].is_string(), "{done}");
    let found = world.ops.post(IMPORTS, &import_of(&preview)).await;
    assert_eq!(found.expect(200)["import"], done);
    let shown = rider.get(&format!("/v1/orders/{stays}")).await;
    assert_eq!(shown.expect(200)["seats"], json!(["1A"]));
    assert_eq!(world.order(&stays).await["seats"], json!([44]));
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_names_who_loses_a_seat_and_shows_the_running_import() {
    let (world, _rider, _) = sold("progress-console").await;
    let preview = previewed(&world, &changed()).await;
    let browser = Browser::signed_in(&world, "ops").await;
    browser.goto(&format!("/console/network/previews/{}", preview["id"].as_str().unwrap())).await;
    browser.sees("Seats without a place").await;
    browser.sees("12C").await;
    browser.sees("rider0").await;
    browser.fill("Reason", "a bigger bus").await;
    browser.click("Apply").await;
    browser.sees("workers move and refund the riders").await;
    browser.sees("a bigger bus").await;
    browser.sees("0 of 1 trips").await;
    browser.check().await;
    let _worker = world.worker();
    browser.sees("1 of 1 trips").await;
    browser.click("中文").await;
    browser.sees("已完成").await;
    browser.check().await;
    world.verify().await;
}

/// A model whose seats have two classes.
fn of_two_classes(departures: &str) -> Files {
    let mut files = sold_network(departures);
    let text = String::from_utf8(files["models.toml"].clone()).unwrap();
    let classes = "[[model]]\ncode = \"n\"\nname = \"N\"\nnot_for_sale = [\"12C\"]\n[model.classes]\nbusiness = [\"12A\", \"12B\"]\n";
    let text = text.replace("[[model]]\ncode = \"n\"\nname = \"N\"\nnot_for_sale = [\"12C\"]\n", classes);
    files.insert("models.toml", text.into_bytes());
    files.insert("fares.csv", b"route,class,amount\nr,standard,1.50\nr,business,4.00\n".to_vec());
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_without_a_model_gets_labels_and_prices_of_classes_when_its_riders_move() {
    let world = selling("progress-classes", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    // As trips of before networks are, with the numbers 1 to 48 as labels.
    let plain = "update trip set model_id = null where id = $1::uuid";
    sqlx::query(plain).bind(&trip).execute(&world.pool).await.unwrap();
    let rider = world.rider("100.00").await;
    let files = {
        let mut files = of_two_classes("d,r,0,3,k,8:00,10 5\ne,r,0,2,k,9:00,10 5\n");
        let text = String::from_utf8(files["models.toml"].clone()).unwrap();
        // 13A to 13D become 1 to 4, from the back to the front.
        let text = text.replace("13A 13B _ 13C 13D", "4 3 _ 2 1");
        files.insert("models.toml", text.into_bytes());
        files
    };
    let order = rider.booked(&trip, &["2", "4"]).await;
    rider.pay(&order).await.expect(200);
    let _worker = world.worker();
    import(&world.db, &written("progress-classes-other", &files));
    finished(&world).await;
    let row = world.order(&order).await;
    assert_eq!((&row["labels"], &row["seats"]), (&json!(["2", "4"]), &json!([50, 48])));
    let shown = rider.get(&format!("/v1/orders/{order}")).await;
    assert_eq!((&shown.expect(200)["seats"], &shown.body["amount"]), (&json!(["2", "4"]), &json!("3.00")));
    let next = rider.book(&trip, &["12A", "3"]).await;
    assert_eq!(next.expect(201)["prices"], json!(["4.00", "1.50"]));
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_of_a_preview_have_the_decimals_of_the_currency() {
    let (world, _rider, [_, lost]) = sold("progress-yen").await;
    // The same stored amounts, in a currency without decimals.
    sqlx::query("update network set currency = 'JPY', decimals = 0").execute(&world.pool).await.unwrap();
    let mut files = changed();
    let head = String::from_utf8(files["network.toml"].clone()).unwrap().replace("EUR", "JPY");
    files.insert("network.toml", head.into_bytes());
    files.insert("fares.csv", b"route,class,amount\nr,standard,200\n".to_vec());
    let path = written("progress-yen-other", &files);
    let (shown, digest) = preview(&world.db, &path);
    let lost = format!("order {lost} of rider0, 150 refunded");
    for text in [lost.as_str(), "price 150 to 200", "300 paid", "150 is refunded"] {
        assert!(shown.contains(text), "no {text:?} in {shown}");
    }
    apply_only(&world, &path, &digest).succeeded();
    let stored = "select concat_ws(' ', preview #>> '{0,money}', preview #>> '{0,without_place,0,money}')
                  from network_import order by id desc limit 1";
    assert_eq!(texts(&world.pool, stored).await, ["300 150"]);
}
