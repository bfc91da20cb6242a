//! Bookings of labels that fail, end or meet another model: jobs free by number and order.

use super::{
    import::{farebox, import, texts, trip_of, world},
    selling::{double_decker, map, seat, selling},
    written,
};
use crate::harness::{Process, count, until};
use serde_json::json;
use sqlx::AssertSqlSafe;

/// The seats that the jobs of bookings name.
const NAMED: &str = "select distinct (payload -> 'booking' ->> 'seats') from queue.job
                     where payload ? 'booking' order by 1";

#[tokio::test(flavor = "multi_thread")]
async fn each_failed_step_gives_the_seats_back_by_number() {
    let (world, trip) = selling("undo-steps").await;
    let rider = world.rider("100.00").await;
    let cases = [
        ("order_seats_cancel.after=error", "[]"),
        ("order_add_seats_cancle.before=error", "[]"),
        ("order_add_seats_cancle.after=error", "[5, 48]"),
        ("order_calc_money_cancle.before=error", "[5, 48]"),
        ("order_add_cancle.before=error", "[5, 48]"),
        ("order_add_cancle.after=error", "[5, 48]"),
    ];
    for (fault, named) in cases {
        let failed = rider.fault(fault).book(&trip, &["12D", "2A"]).await;
        assert_eq!(failed.problem(500, "003099")["rollback"], "queued", "{fault}");
        assert_eq!(texts(&world.pool, NAMED).await, [named], "{fault}");
        let worker = world.worker();
        world.drained().await;
        until("the timer is gone", || async {
            count(&world.pool, "select count(*) from queue.job where tag = 'order_unpaid'").await == 0
        })
        .await;
        drop(worker);
        assert_eq!(world.free_seats(&trip).await, 48, "{fault}");
        sqlx::query("delete from queue.job where payload ? 'booking'").execute(&world.pool).await.unwrap();
    }
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_after_its_claim_leaves_an_undo_that_knows_the_seats() {
    let (world, trip) = selling("undo-killed").await;
    let mut api = Process::api(&world.db.url, &[("FAREBOX__BOOKING__UNDO_AFTER_MS", "1000")]);
    let rider = world.rider("100.00").await;
    let dying = rider.at(&api.base()).fault("order_calc_money_cancle.before=abort");
    assert!(dying.try_post("/v1/orders", &json!({"trip_id": trip, "seats": ["2A", "12D"]})).await.is_err());
    api.wait();
    assert_eq!(texts(&world.pool, NAMED).await, ["[5, 48]"], "the undo and the timer");
    let _worker = world.worker();
    until("the seats are back", || async { world.free_seats(&trip).await == 48 }).await;
    world.drained().await;
    assert_eq!(count(&world.pool, "select count(*) from orders").await, 0);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_paid_in_time_is_free_again_by_its_label() {
    let (world, trip) = selling("undo-deadline").await;
    let (late, other) = (world.rider("100.00").await, world.rider("100.00").await);
    let order = late.booked(&trip, &["2A", "12D"]).await;
    world.pass_deadline(&order).await;
    // No worker runs: the booking itself gives the seats back.
    other.booked(&trip, &["12D"]).await;
    assert_eq!(late.get(&format!("/v1/orders/{order}")).await.expect(200)["status"], "closed");
    let order = late.booked(&trip, &["2A", "7A"]).await;
    world.pass_deadline(&order).await;
    let _worker = world.worker();
    until("the order is closed", || async { world.order(&order).await["status"] == "closed" }).await;
    assert_eq!(seat(&map(&other, &trip).await, "7A")["state"], "free");
    assert_eq!(world.free_seats(&trip).await, 47);
    world.verify().await;
}

/// Gives a trip another model, as an import does: the same labels under other numbers, other rows.
const OTHER_MODEL: &str = "
    with model as (insert into bus_model (code, name, names, layout, ended_at)
                   select 'other', name, names, layout, now() from bus_model returning id),
    seats as (insert into model_seat (model_id, number, label, class, for_sale, deck, \"row\", \"column\")
              select model.id, 49 - s.number, s.label, s.class, s.for_sale, s.deck, s.\"row\", s.\"column\"
              from model, model_seat s)
    update trip set model_id = model.id from model where trip.id = $1::uuid;
    delete from seat where trip_id = $1::uuid;
    insert into seat (trip_id, seat, blocked)
    select t.id, m.number, not m.for_sale from trip t join model_seat m on m.model_id = t.model_id
    where t.id = $1::uuid";

/// Runs [`OTHER_MODEL`] for this trip.
pub async fn give_another_model(conn: &mut sqlx::PgConnection, trip: &str) {
    for statement in OTHER_MODEL.split(';') {
        let statement = statement.replace("$1", &format!("'{trip}'"));
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *conn).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_waits_for_another_model_takes_the_seat_of_its_label() {
    let (world, trip) = selling("undo-race").await;
    let rider = world.rider("100.00").await;
    let mut import = world.pool.begin().await.unwrap();
    let lock = "select from seat where trip_id = $1::uuid order by seat for update";
    sqlx::query(lock).bind(&trip).execute(&mut *import).await.unwrap();
    let booking = {
        let (rider, trip) = (rider.clone(), trip.clone());
        tokio::spawn(async move { rider.book(&trip, &["2A", "3A"]).await })
    };
    until("the claim waits", || async { world.waiting_for_locks().await == 1 }).await;
    give_another_model(&mut import, &trip).await;
    import.commit().await.unwrap();
    let booked = booking.await.unwrap();
    assert_eq!(booked.expect(201)["amount"], "5.75");
    let orders = "select seats::text || labels::text from orders";
    // Ascending by number, of the model that the trip has now.
    assert_eq!(texts(&world.pool, orders).await, ["{40,44}{3A,2A}"]);
    let order = booked.body["id"].as_str().unwrap();
    assert_eq!(booked.body["prices"], json!(["1.50", "4.25"]));
    let owned = "select count(*) from seat where order_id is not null and seat in (40, 44)";
    assert_eq!(count(&world.pool, owned).await, 2);
    rider.cancel(order).await.expect(200);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_a_model_paints_are_labels() {
    let world = world().await;
    let mut files = double_decker("r,standard,1.50\n");
    let model = "[[model]]\ncode = \"m\"\nname = \"M\"\ndeck = [{ rows = [\"4 3 _ 2 1\"] }]\n";
    files.insert("models.toml", model.as_bytes().to_vec());
    import(&world.db, &written("undo-numbers", &files));
    farebox(&world.db, &["trips", "--days", "4"]).succeeded();
    let trip = trip_of(&world.pool, "d").await;
    let (rider, other) = (world.rider("100.00").await, world.rider("100.00").await);
    for (fault, named) in
        [("order_add_seats_cancle.before=error", "[1, 3]"), ("order_add_seats_cancle.after=error", "[2, 4]")]
    {
        rider.fault(fault).book(&trip, &["1", "3"]).await.problem(500, "003099");
        assert_eq!(texts(&world.pool, NAMED).await, [named], "{fault}");
        let worker = world.worker();
        world.drained().await;
        drop(worker);
        assert_eq!(world.free_seats(&trip).await, 4, "{fault}");
    }
    let booked = rider.book(&trip, &["1", "3"]).await;
    assert_eq!(booked.expect(201)["seats"], json!(["3", "1"]), "in the order of the bus");
    assert_eq!(texts(&world.pool, "select seats::text from orders").await, ["{2,4}"]);
    let lost = other.book(&trip, &["1", "2", "4"]).await;
    assert_eq!(lost.problem(409, "004000")["seats"], json!(["1"]));
    other.booked(&trip, &["4"]).await;
    assert_eq!(seat(&map(&other, &trip).await, "4")["state"], "mine");
    world.verify().await;
}
