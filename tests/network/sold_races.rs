//! Bookings, payments, timers and undos beside the move of seats that riders have.

use super::{
    import::{preview, trip_of, world},
    sold::{apply_only, finished, other_bus, selling},
};
use crate::harness::{Process, World, count, until};
use serde_json::json;

/// Workers that do nothing but carry the import on.
const ONLY_IMPORTS: [&str; 2] = ["--tags", "network_import"];

/// Applies the change without waiting.
fn change(world: &World, name: &str) {
    let path = other_bus(name);
    let (_, digest) = preview(&world.db, &path);
    apply_only(world, &path, &digest).succeeded();
}

async fn owned(world: &World) -> i64 {
    count(&world.pool, "select count(*) from seat where order_id is not null").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_unpaid_order_frees_its_moved_seat_when_it_expires() {
    let world = selling("races-expiry", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let (rider, other) = (world.rider("100.00").await, world.rider("100.00").await);
    let order = rider.booked(&trip, &["1A"]).await;
    // The number that the order moves to is another order's before.
    let next = other.booked(&trip, &["11D"]).await;
    let only = Process::worker(&world.db.url, &[], &ONLY_IMPORTS);
    change(&world, "races-expiry-other");
    finished(&world).await;
    drop(only);
    assert_eq!(world.order(&order).await["seats"], json!([44]));
    assert_eq!(world.order(&next).await["seats"], json!([7]));
    world.verify().await;
    world.pass_deadline(&order).await;
    let _worker = world.worker();
    world.drained().await;
    assert_eq!(world.order(&order).await["status"], "closed");
    assert_eq!(world.order(&next).await["status"], "unpaid");
    assert_eq!(owned(&world).await, 1);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_that_is_undone_after_the_move_frees_its_moved_seats() {
    let world = selling("races-undo", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let rider = world.rider("100.00").await;
    // The order is added, its client gets a failure, and the undo is to come.
    let failed = rider.fault("order_add_cancle.after=error").book(&trip, &["1A", "1B"]).await;
    failed.expect(500);
    let only = Process::worker(&world.db.url, &[], &ONLY_IMPORTS);
    change(&world, "races-undo-other");
    finished(&world).await;
    drop(only);
    let moved = "select count(*) from orders where seats = array[44, 45] and status = 'unpaid'";
    assert_eq!(count(&world.pool, moved).await, 1);
    let _worker = world.worker();
    world.drained().await;
    assert_eq!(owned(&world).await, 0);
    assert_eq!(count(&world.pool, "select count(*) from orders where status = 'closed'").await, 1);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_under_way_is_waited_for() {
    let world = selling("races-claim", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let rider = world.rider("100.00").await;
    let stays = rider.booked(&trip, &["2A"]).await;
    // Claimed, and never added: the undo gives the seat back, by the number that it was claimed by.
    rider.fault("order_calc_money_cancle.before=error").book(&trip, &["1A"]).await.expect(500);
    assert_eq!(owned(&world).await, 2);
    change(&world, "races-claim-other");
    let only = Process::worker(&world.db.url, &[], &ONLY_IMPORTS);
    until("the job has found the booking in the way", || async {
        count(&world.pool, "select count(*) from network_import_trip where tries > 0").await == 1
    })
    .await;
    assert_eq!(world.order(&stays).await["seats"], json!([5]), "nothing is moved yet");
    let _worker = world.worker();
    finished(&world).await;
    world.drained().await;
    drop(only);
    assert_eq!(world.order(&stays).await["seats"], json!([40]));
    assert_eq!(owned(&world).await, 1);
    world.verify().await;
}

/// Holds the trip's item, so that the job stands still when it has moved the seats and not committed.
async fn standing_in_the_move(
    world: &World,
    name: &str,
) -> (Process, sqlx::Transaction<'static, sqlx::Postgres>) {
    change(world, name);
    let mut holder = world.pool.begin().await.unwrap();
    sqlx::query("select from network_import_trip for update").execute(&mut *holder).await.unwrap();
    let only = Process::worker(&world.db.url, &[], &ONLY_IMPORTS);
    until("the seats are moved, in a transaction", || async {
        let sql = "select count(*) from pg_stat_activity where datname = current_database()
                   and wait_event_type = 'Lock' and query like '%free_refund%'";
        count(&world.pool, sql).await == 1
    })
    .await;
    (only, holder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_waits_for_a_seat_of_before_never_gets_the_one_with_its_number_then() {
    let world = selling("races-booking", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let stays = world.rider("100.00").await.booked(&trip, &["3A"]).await;
    let (_only, holder) = standing_in_the_move(&world, "races-booking-other").await;
    // As the claim's statement locks the free seat that it was asked for: 1A, which is 12A's number then.
    let claiming = tokio::spawn({
        let (pool, trip) = (world.pool.clone(), trip.clone());
        async move {
            let lock = "select seat from seat where trip_id = $1::uuid and seat = 1
                        and order_id is null and not blocked for update";
            sqlx::query_scalar::<_, i32>(lock).bind(trip).fetch_all(&pool).await.unwrap()
        }
    });
    until("the claim waits", || async { world.waiting_for_locks().await == 2 }).await;
    holder.rollback().await.unwrap();
    assert_eq!(claiming.await.unwrap(), [0; 0], "the seat that it waited for is gone");
    finished(&world).await;
    assert_eq!(owned(&world).await, 1);
    // 3A.
    assert_eq!(world.order(&stays).await["seats"], json!([36]));
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_beside_the_move_never_gets_another_seat_than_its_label() {
    let world = selling("races-label", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let (first, other) = (world.rider("100.00").await, world.rider("100.00").await);
    let stays = first.booked(&trip, &["3A"]).await;
    let (_only, holder) = standing_in_the_move(&world, "races-label-other").await;
    let booking = tokio::spawn({
        let (other, trip) = (other.clone(), trip.clone());
        async move { other.book(&trip, &["1A"]).await }
    });
    until("the claim waits", || async { world.waiting_for_locks().await == 2 }).await;
    holder.rollback().await.unwrap();
    // The row that the claim waited for is gone. The booking looks again: 1A has the number 44 now, and
    // number 1 is 12A.
    let booked = booking.await.unwrap();
    let order = booked.expect(201)["id"].as_str().unwrap().to_owned();
    assert_eq!(booked.body["seats"], json!(["1A"]));
    finished(&world).await;
    first.book(&trip, &["1A"]).await.problem(409, "004000");
    let row = world.order(&order).await;
    assert_eq!((&row["labels"], &row["seats"]), (&json!(["1A"]), &json!([44])));
    let moved = first.get(&format!("/v1/orders/{stays}")).await;
    assert_eq!(moved.expect(200)["seats"], json!(["3A"]));
    assert_eq!(owned(&world).await, 2);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_beside_the_move_sells_the_moved_seats() {
    let world = selling("races-paying", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["3A", "3B"]).await;
    let (_only, holder) = standing_in_the_move(&world, "races-paying-other").await;
    let paying = tokio::spawn({
        let (rider, order) = (rider.clone(), order.clone());
        async move { rider.pay(&order).await }
    });
    until("the payment waits", || async { world.waiting_for_locks().await == 2 }).await;
    holder.rollback().await.unwrap();
    paying.await.unwrap().expect(200);
    finished(&world).await;
    assert_eq!(world.order(&order).await["seats"], json!([36, 37]));
    let sold =
        "select count(*) from seat where order_id is not null and held_until is null and seat in (36, 37)";
    assert_eq!(count(&world.pool, sold).await, 2);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_under_way_is_waited_for() {
    let world = selling("races-debit", world().await).await;
    let trip = trip_of(&world.pool, "d").await;
    let rider = world.rider("100.00").await;
    let order = rider.booked(&trip, &["3A"]).await;
    // Debited, and not marked as paid: its undo finishes the payment.
    rider.fault("pay_cancle.before=error").pay(&order).await.expect(500);
    change(&world, "races-debit-other");
    let only = Process::worker(&world.db.url, &[], &ONLY_IMPORTS);
    until("the job has found the payment in the way, or has not", || async {
        let tried = "select count(*) from network_import_trip where tries > 0 or done_at is not null";
        count(&world.pool, tried).await == 1
    })
    .await;
    assert_eq!(world.order(&order).await["seats"], json!([9]), "nothing is moved yet");
    let _worker = world.worker();
    finished(&world).await;
    world.drained().await;
    drop(only);
    assert_eq!(world.order(&order).await["status"], "paid");
    assert_eq!(world.order(&order).await["seats"], json!([36]));
    world.verify().await;
}
