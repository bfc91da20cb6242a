//! Importing a change of trips whose seats riders have.

use super::{
    Files, Ran,
    import::{apply, farebox, import, network, preview, texts, trip_of, world},
    written,
};
use crate::harness::{Client, Process, World, count, until};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::path::{Path, PathBuf};

/// Seats of a row of both models.
const ROWS: u16 = 12;

/// A model with rows 1 to 12, and one that has them from the back to the front, with a row more. The other
/// one does not sell 12C and has no 12D.
fn models() -> Vec<u8> {
    let row = |row: u16| format!("    \"{row}A {row}B _ {row}C {row}D\",\n");
    let rows: String = (1..=ROWS).map(row).collect();
    let back: String = (1..ROWS).rev().map(row).collect();
    format!(
        "[[model]]\ncode = \"m\"\nname = \"M\"\n[[model.deck]]\nrows = [\n{rows}]\n\n\
         [[model]]\ncode = \"n\"\nname = \"N\"\nnot_for_sale = [\"12C\"]\n\
         [[model.deck]]\nrows = [\n    \"12A 12B _ 12C .\",\n{back}{}]\n",
        row(13)
    )
    .into_bytes()
}

/// The label of a seat of the first model.
pub(super) fn label(number: u16) -> String {
    let column = ["A", "B", "C", "D"][usize::from((number - 1) % 4)];
    format!("{}{column}", (number - 1) / 4 + 1)
}

/// A network with both models: buses 1 and 2 of the first, bus 3 of the other.
pub fn sold_network(departures: &str) -> Files {
    let mut files = network(departures);
    files.insert("models.toml", models());
    files.insert("buses.csv", b"number,model\n1,m\n2,m\n3,n\n".to_vec());
    files
}

/// A world that sells a departure `d` of bus 1 at eight, and `e` of bus 2 at nine.
pub async fn selling(name: &str, world: World) -> World {
    import(&world.db, &written(name, &sold_network("d,r,0,1,k,8:00,10 5\ne,r,0,2,k,9:00,10 5\n")));
    farebox(&world.db, &["trips", "--days", "4"]).succeeded();
    world
}

/// The change: `d` half an hour later by a bus of the other model, and no `e`.
pub fn other_bus(name: &str) -> PathBuf {
    written(name, &sold_network("d,r,0,3,k,8:30,10 5\n"))
}

/// Applies the change without waiting for workers.
pub(super) fn apply_only(world: &World, path: &Path, digest: &str) -> Ran {
    farebox(&world.db, &["network", "import", path.to_str().unwrap(), "--preview", digest, "--wait", "0"])
}

/// Waits until the newest import is finished.
pub async fn finished(world: &World) {
    until("the import is finished", || async {
        count(&world.pool, "select count(*) from network_import where finished_at is null").await == 0
    })
    .await;
}

/// Each order with the labels of the seats that it owns.
pub(super) async fn labels(pool: &PgPool) -> Vec<String> {
    let sql = "select s.order_id || ' ' || string_agg(coalesce(m.label, s.seat::text), ',' order by m.label)
               from seat s join trip t on t.id = s.trip_id
               left join model_seat m on m.model_id = t.model_id and m.number = s.seat
               where s.order_id is not null group by s.order_id order by 1";
    texts(pool, sql).await
}

/// What imports changed for a rider's order, as the order's page shows it.
async fn changes(rider: &Client, order: &str) -> Vec<String> {
    let shown = rider.get(&format!("/v1/orders/{order}")).await.expect(200).clone();
    let what = |change: &Value| change["what"].as_str().unwrap().to_owned();
    shown["changes"].as_array().unwrap().iter().map(what).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn riders_of_a_changed_trip_see_why_and_may_refund_until_departure() {
    let long = [("FAREBOX__BOOKING__REFUND_CUT_OFF_SECS", "2592000")];
    let world = World::with(&long).await;
    sqlx::raw_sql("delete from timetable; delete from bus").execute(&world.pool).await.unwrap();
    let world = selling("sold-shown", world).await;
    let trip = trip_of(&world.pool, "d").await;
    let rider = world.rider("100.00").await;
    let moved = rider.booked(&trip, &["1A", "12D"]).await;
    let other = rider.booked(&trip_of(&world.pool, "e").await, &["2A"]).await;
    for order in [&moved, &other] {
        rider.pay(order).await.expect(200);
        rider.refund(order).await.expect(409);
    }
    let _worker = world.worker();
    let later = sold_network("d,r,0,1,k,8:30,10 5\ne,r,0,2,k,9:00,10 5\n");
    import(&world.db, &written("sold-shown-later", &later));
    finished(&world).await;
    let shown = changes(&rider, &moved).await;
    assert!(shown.len() == 1 && shown[0].contains("departs ") && shown[0].contains(" to "), "{shown:?}");
    assert_eq!(changes(&rider, &other).await, [""; 0], "nothing of this trip changed");
    let timeline = world.ops.get(&format!("/v1/ops/orders/{moved}/timeline")).await.expect(200).to_string();
    assert!(timeline.contains("\"kind\":\"change\""), "{timeline}");
    rider.refund(&other).await.expect(409);
    assert_eq!(rider.refund(&moved).await.expect(200)["status"], "refunded");
    assert_eq!(rider.balance().await, "98.50");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_move_by_label_and_what_has_no_place_is_named_first() {
    let world = selling("sold-labels", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let (rider, other) = (world.rider("100.00").await, world.rider("100.00").await);
    // 1A and 12B stay; 12C and 12D have no place.
    let stays = rider.booked(&trip, &["1A", "12B"]).await;
    let lost = other.booked(&trip, &["1B", "12C"]).await;
    let held = other.booked(&trip, &["12D"]).await;
    for (rider, order) in [(&rider, &stays), (&other, &lost)] {
        rider.pay(order).await.expect(200);
    }
    // An operator blocked 11A, which both models sell.
    let block = json!({"seats": ["11A"], "reason": "wet"});
    world.ops.post(&format!("/v1/ops/trips/{trip}/seats/block"), &block).await.expect(200);
    let before = labels(&world.pool).await;
    let (shown, digest) = preview(&world.db, &other_bus("sold-labels-other"));
    for text in [
        format!("no place for 12C: order {lost} of rider1, 3.00 refunded"),
        format!("no place for 12D: order {held} of rider1, closed"),
        "1 orders move, 2 end; 3.00 is refunded".to_owned(),
    ] {
        assert!(shown.contains(&text), "no {text:?} in {shown}");
    }
    let worker = world.worker();
    apply(&world.db, &other_bus("sold-labels-other"), &digest).succeeded();
    finished(&world).await;
    world.drained().await;
    drop(worker);
    let kept: Vec<String> = before.into_iter().filter(|line| line.starts_with(&stays)).collect();
    assert_eq!(labels(&world.pool).await, kept);
    assert_eq!(world.order(&stays).await["seats"], json!([44, 2]));
    assert_eq!(world.order(&lost).await["status"], "refunded");
    assert_eq!(world.order(&held).await["status"], "closed");
    let shown = changes(&other, &lost).await;
    assert!(shown.len() == 1 && shown[0].ends_with("seats without a place: 12C"), "{shown:?}");
    assert_eq!((rider.balance().await, other.balance().await), ("97.00".into(), "100.00".into()));
    let blocked = "select m.label from seat s join trip t on t.id = s.trip_id
                   join model_seat m on m.model_id = t.model_id and m.number = s.seat
                   where s.blocked and s.order_id is null and t.id = (select trip_id from network_import_trip)
                   order by 1";
    assert_eq!(texts(&world.pool, blocked).await, ["11A", "12C"]);
    let made = "select capacity from trip where id = (select trip_id from network_import_trip)";
    assert_eq!(sqlx::query_scalar::<_, i32>(made).fetch_one(&world.pool).await.unwrap(), 51);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_import_changes_nothing_and_another_waits_for_the_first() {
    let world = selling("sold-again", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["1A"]).await;
    rider.pay(&order).await.expect(200);
    let change = other_bus("sold-again-other");
    let (_, stale) = preview(&world.db, &change);
    let second = rider.booked(&trip, &["1B"]).await;
    apply_only(&world, &change, &stale).refused("the preview is stale");
    let (_, digest) = preview(&world.db, &change);
    let applied = apply_only(&world, &change, &digest).succeeded();
    assert!(applied.out.contains("running, 0 of 1 trips with riders done"), "{}", applied.out);
    assert!(applied.out.contains("workers carry it on"), "{}", applied.out);
    let first = "select id::text from network_import order by id desc limit 1";
    let id = texts(&world.pool, first).await.remove(0);

    let rows = "select (select count(*) from network_import) + (select count(*) from audit)
                + (select count(*) from queue.job where tag = 'network_import')";
    let before = count(&world.pool, rows).await;
    let again = apply_only(&world, &change, &digest).succeeded();
    assert!(again.out.contains("this preview was imported before: nothing to change"), "{}", again.out);
    let back = written("sold-again-back", &sold_network("d,r,0,1,k,8:00,10 5\ne,r,0,2,k,9:00,10 5\n"));
    let refused = farebox(&world.db, &["network", "import", back.to_str().unwrap()]);
    refused.refused(&format!("import {id} is not finished, so nothing was changed: 0 of its 1 trips"));
    assert_eq!(count(&world.pool, rows).await, before);
    let unseen = "select id::text from network_import i where not exists(
                  select from queue.job j where j.tag = 'network_import' and j.key = i.id::text) and finished_at is null";
    assert_eq!(texts(&world.pool, unseen).await, [""; 0]);

    let _worker = world.worker();
    finished(&world).await;
    let listed = farebox(&world.db, &["network", "imports"]).succeeded().out;
    let line = listed.lines().find(|line| line.starts_with(&id)).unwrap_or_else(|| panic!("{listed}"));
    assert!(
        line.ends_with("finished, 1 of 1 trips with riders done: 2 orders moved, 0 refunded, 0 closed"),
        "{line}"
    );
    let again = apply(&world.db, &change, &digest).succeeded();
    assert!(again.out.contains("this preview was imported before: nothing to change"), "{}", again.out);
    assert_eq!(world.order(&second).await["seats"], json!([45]));
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_would_be_on_two_trips_is_named_with_both_before() {
    let world = selling("sold-buses", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let extra = "select departs_at + interval '20 minutes' from trip where id = $1::uuid";
    let at: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar(extra).bind(&trip).fetch_one(&world.pool).await.unwrap();
    let body = json!({"bus_id": 3, "direction": 0, "departs_at": at, "arrives_at": at + chrono::Duration::hours(1),
                      "price": "4.00", "capacity": 51});
    let extra = world.ops.post("/v1/ops/trips", &body).await.expect(201)["id"].as_str().unwrap().to_owned();
    let refused = farebox(&world.db, &["network", "import", other_bus("sold-buses-other").to_str().unwrap()]);
    refused.refused("bus 3 would be on two trips at once: the extra trip");
    assert!(refused.err.contains(&extra) && refused.err.contains("and d on "), "{}", refused.err);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_whose_job_is_gone_is_carried_on() {
    let world = selling("sold-gone", world().await).await;
    let rider = world.rider("100.00").await;
    rider.booked(&trip_of(&world.pool, "d").await, &["1A"]).await;
    let change = other_bus("sold-gone-other");
    let (_, digest) = preview(&world.db, &change);
    apply_only(&world, &change, &digest).succeeded();
    sqlx::query("delete from queue.job where tag = 'network_import'").execute(&world.pool).await.unwrap();
    assert_eq!(broken(&world.pool).await, ["imports_are_carried_on"]);
    let _worker = Process::worker(&world.db.url, &[], &[]);
    finished(&world).await;
    world.verify().await;
}

/// The invariants that do not hold.
async fn broken(pool: &PgPool) -> Vec<&'static str> {
    let verdicts = farebox::verify::verify(pool, farebox::verify::Scope::Whole).await.unwrap();
    verdicts.iter().filter(|verdict| !verdict.holds).map(|verdict| verdict.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_without_its_history_row_or_a_seat_outside_the_model_shows() {
    let world = selling("sold-broken", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    world.rider("100.00").await.booked(&trip, &["1A"]).await;
    let worker = world.worker();
    import(&world.db, &other_bus("sold-broken-other"));
    finished(&world).await;
    drop(worker);
    assert_eq!(broken(&world.pool).await, [""; 0]);
    let stray = "insert into seat (trip_id, seat) select trip_id, 99 from network_import_trip";
    sqlx::query(stray).execute(&world.pool).await.unwrap();
    assert_eq!(broken(&world.pool).await, ["trips_are_of_the_network", "imports_touch_whole_trips"]);
    let gone = "delete from seat where seat = 99; alter table order_change disable trigger order_change_is_append_only;
                delete from order_change; alter table order_change enable trigger order_change_is_append_only";
    sqlx::raw_sql(gone).execute(&world.pool).await.unwrap();
    assert_eq!(broken(&world.pool).await, ["imports_touch_whole_trips"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_that_an_operator_cancels_before_its_riders_moved_ends() {
    let world = selling("sold-cancelled", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["1A"]).await;
    rider.pay(&order).await.expect(200);
    let change = other_bus("sold-cancelled-other");
    let (_, digest) = preview(&world.db, &change);
    apply_only(&world, &change, &digest).succeeded();
    let why = json!({"reason": "snow"});
    world.ops.post(&format!("/v1/ops/trips/{trip}/cancel"), &why).await.expect(202);
    let _worker = world.worker();
    finished(&world).await;
    world.drained().await;
    assert_eq!(world.order(&order).await["status"], "refunded");
    assert_eq!(rider.balance().await, "100.00");
    assert_eq!(changes(&rider, &order).await.len(), 1);
    let counts = "select concat_ws(' ', moved, refunded, closed) from network_import_trip";
    assert_eq!(texts(&world.pool, counts).await, ["0 1 0"]);
    world.verify().await;
}
