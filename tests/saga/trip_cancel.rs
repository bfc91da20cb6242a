//! Cancelling a trip: all its orders end, each once, whatever dies or happens meanwhile.

use crate::harness::{Client, Process, World, count, until};
use farebox::{
    booking::{self, claim},
    domain::{Error, OrderId, Refusal, RiderId, SeatSet, TripId},
};
use farebox_jobs::Booking;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Barrier;

async fn cancel(world: &World, trip: &str) -> Value {
    let answer = world
        .ops
        .post(&format!("/v1/ops/trips/{trip}/cancel"), &json!({"reason": "the bus broke down"}))
        .await;
    answer.expect(202).clone()
}

async fn progress(world: &World, trip: &str) -> Value {
    world.ops.get(&format!("/v1/ops/trips/{trip}/cancellation")).await.expect(200).clone()
}

async fn finished(world: &World, trip: &str) -> Value {
    until("every order has ended", || async { progress(world, trip).await["finished_at"].is_string() }).await;
    world.drained().await;
    progress(world, trip).await
}

const OPEN: &str = "select count(*) from seat where not blocked";

#[tokio::test(flavor = "multi_thread")]
async fn every_order_ends_once_though_workers_are_killed_in_the_middle() {
    let world = World::new().await;
    // More seats than one transaction of the job reads.
    let trip = world.trip(1_200).await;
    let rider = world.rider("1000.00").await;
    let orders = paid_and_unpaid_orders(&rider, &trip).await;
    assert_eq!(rider.balance().await, "928.00");
    let begun = cancel(&world, &trip).await;
    let counts = |p: &Value| ["orders", "refunded", "closed", "left"].map(|field| p[field].as_i64().unwrap());
    assert_eq!(counts(&begun), [18, 0, 0, 18]);
    assert_eq!(counts(&cancel(&world, &trip).await), [18, 0, 0, 18], "once more is no more");
    rider.book(&trip, &["100"]).await.problem(409, "006004");
    rider.pay(&orders[1]).await.problem(409, "006004");
    let block = json!({"seats": ["100"], "reason": "no"});
    world.ops.post(&format!("/v1/ops/trips/{trip}/seats/release"), &block).await.problem(409, "006004");

    // Somebody holds an order of the second window: the job ends the first window's and is killed there.
    let mut holder = world.pool.begin().await.unwrap();
    sqlx::query("select from orders where id = $1::uuid for update")
        .bind(&orders[8])
        .execute(&mut *holder)
        .await
        .unwrap();
    let short_lease = ("FAREBOX__WORKER__LEASE_MS", "300");
    let mut first = Process::worker(&world.db.url, &[short_lease], &[]);
    until("the second window waits", || async {
        let ended = count(&world.pool, "select count(*) from orders where status in ('closed', 'refunded')")
            .await
            == 6;
        ended && world.waiting_for_locks().await > 0
    })
    .await;
    first.kill();
    assert_eq!(counts(&progress(&world, &trip).await), [18, 3, 3, 12]);
    holder.rollback().await.unwrap();
    // The next dies at its first refund, and one more after the job's end.
    for fault in ["undo.pay_back_cancle.before=abort", "undo.trip_cancel.after=abort"] {
        let mut dying = Process::worker(&world.db.url, &[short_lease, ("FAREBOX_FAULTS", fault)], &[]);
        assert!(!dying.wait().success(), "{fault}");
    }
    let _workers = [world.worker(), world.worker()];
    let end = finished(&world, &trip).await;
    assert_eq!(counts(&end), [18, 9, 9, 0]);
    each_has_ended_once(&world, &orders).await;
    assert_eq!(rider.balance().await, "1000.00");
    assert_eq!(count(&world.pool, OPEN).await, 0);
    let twice = "select count(*) from ledger_entry where kind = 'refund'";
    assert_eq!(count(&world.pool, twice).await, 9);
    rider.pay(&orders[1]).await.problem(409, "006004");
    let shown = rider.get(&format!("/v1/trips/{trip}")).await;
    assert_eq!((&shown.expect(200)["status"], &shown.body["free_seats"]), (&json!("cancelled"), &json!(0)));
    world.verify().await;
}

/// In three windows of the job, every second order is paid.
async fn paid_and_unpaid_orders(rider: &Client, trip: &str) -> Vec<String> {
    let mut orders = Vec::new();
    for first in [1, 600, 1_150] {
        for n in 0..6 {
            let seats = [first + 2 * n, first + 2 * n + 1].map(|seat: i32| seat.to_string());
            let order = rider.booked(trip, &[&seats[0], &seats[1]]).await;
            if n % 2 == 0 {
                rider.pay(&order).await.expect(200);
            }
            orders.push(order);
        }
    }
    orders
}

/// Paid ones are given back, unpaid ones are closed.
async fn each_has_ended_once(world: &World, orders: &[String]) {
    for (n, order) in orders.iter().enumerate() {
        let (status, ledger) = (world.order(order).await["status"].clone(), world.ledger(order).await);
        if n % 2 == 0 {
            assert_eq!(
                (status, ledger),
                (json!("refunded"), vec!["payment".to_owned(), "refund".to_owned()])
            );
        } else {
            assert_eq!((status, ledger), (json!("closed"), vec![]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_booked_or_paid_in_that_moment_ends_too() {
    let world = World::new().await;
    let trip = world.trip(20).await;
    let (a, b) = (world.rider("100.00").await, world.rider("100.00").await);
    let debited = b.booked(&trip, &["2"]).await;
    let claiming = a.fault("order_calc_money_cancle.before=sleep:2000");
    let paying = b.fault("pay_cancle.before=sleep:2000");
    let booked = tokio::spawn({
        let trip = trip.clone();
        async move { claiming.book(&trip, &["1"]).await }
    });
    let paid = tokio::spawn({
        let order = debited.clone();
        async move { paying.pay(&order).await }
    });
    until("one seat is claimed, one order debited", || async {
        world.free_seats(&trip).await == 18 && b.balance().await == "96.00"
    })
    .await;
    cancel(&world, &trip).await;
    let _worker = world.worker();
    // The claim's order is added after the cancelling; the debited order is closed under its payment.
    let order = booked.await.unwrap().expect(201)["id"].as_str().unwrap().to_owned();
    paid.await.unwrap().problem(409, "006004");
    finished(&world, &trip).await;
    assert_eq!(world.order(&order).await["status"], "closed");
    assert_eq!(world.order(&debited).await["status"], "closed");
    assert_eq!(world.ledger(&debited).await, ["payment", "payment_reversed"]);
    assert_eq!((a.balance().await, b.balance().await), ("100.00".to_owned(), "100.00".to_owned()));
    assert_eq!(count(&world.pool, OPEN).await, 0);
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn riders_who_book_and_pay_against_the_cancelling_lose_nothing() {
    let world = World::new().await;
    let _workers = [world.worker(), world.worker()];
    let mut riders = Vec::new();
    for _ in 0..8 {
        riders.push(world.rider("100.00").await);
    }
    for round in 0..5 {
        let trip = world.trip(20).await;
        let together = Arc::new(Barrier::new(riders.len() + 1));
        let tries: Vec<_> = riders
            .iter()
            .enumerate()
            .map(|(n, rider)| {
                let (rider, trip, together) = (rider.clone(), trip.clone(), Arc::clone(&together));
                tokio::spawn(async move { book_and_pay(rider, trip, n + 1, &together).await })
            })
            .collect();
        together.wait().await;
        if round % 2 == 0 {
            until("some have booked", || async { world.free_seats(&trip).await <= 18 }).await;
        }
        cancel(&world, &trip).await;
        for tried in tries {
            tried.await.unwrap();
        }
        finished(&world, &trip).await;
    }
    let live = "select count(*) from orders where status not in ('closed', 'refunded')";
    assert_eq!(count(&world.pool, live).await, 0);
    assert_eq!(count(&world.pool, OPEN).await, 0);
    for rider in riders {
        assert_eq!(rider.balance().await, "100.00");
    }
    world.verify().await;
}

async fn book_and_pay(rider: Client, trip: String, seat: usize, together: &Barrier) {
    together.wait().await;
    let booked = rider.book(&trip, &[&seat.to_string()]).await;
    if booked.status == 409 {
        return;
    }
    let order = booked.expect(201)["id"].as_str().unwrap().to_owned();
    let paid = rider.pay(&order).await;
    assert!([200, 409].contains(&paid.status.as_u16()), "{}", paid.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_cancel_and_only_what_is_not_over() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let rider = world.rider("0").await;
    let path = format!("/v1/ops/trips/{trip}/cancel");
    let why = json!({"reason": "snow"});
    rider.post(&path, &why).await.problem(403, "003091");
    rider.get(&format!("/v1/ops/trips/{trip}/cancellation")).await.problem(403, "003091");
    world.ops.get(&format!("/v1/ops/trips/{trip}/cancellation")).await.problem(404, "003070");
    world.ops.post(&path, &json!({"reason": ""})).await.problem(422, "003074");
    world
        .ops
        .post(&format!("/v1/ops/trips/{}/cancel", uuid::Uuid::now_v7()), &why)
        .await
        .problem(404, "003070");
    let past = world.trip_in(chrono::Duration::hours(-3), 4).await;
    world.ops.post(&format!("/v1/ops/trips/{past}/cancel"), &why).await.problem(409, "006020");
    // A trip without orders ends with its first pass.
    cancel(&world, &trip).await;
    let _worker = world.worker();
    let end = finished(&world, &trip).await;
    assert_eq!((&end["orders"], &end["reason"]), (&json!(0), &json!("the bus broke down")));
    world.verify().await;
}

/// The trip is cancelled after the booking's check has seen it open.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_comes_after_the_cancelling_takes_nothing() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    cancel(&world, &trip).await;
    let (order_id, rider_id) = (OrderId::new(), RiderId::new());
    let trip_id = TripId(trip.parse().unwrap());
    let seats = SeatSet::parse(&["1".to_owned()], 1).unwrap();
    let request = Arc::new(booking::Request { order_id, rider_id, trip_id, seats, key: None });
    let claimed =
        claim::run(&world.saga, &request, &Booking { order_id, rider_id, trip_id, seats: vec![1] }).await;
    assert!(matches!(claimed, Err(Error::Refused(Refusal::TripCancelled))), "{claimed:?}");
    assert_eq!(world.free_seats(&trip).await, 4);
}
