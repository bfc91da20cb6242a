//! A rider's orders, sorted by what the rider needs.

use super::{field, walk};
use crate::harness::{Client, World};
use serde_json::json;

/// Moves a trip so that it leaves in this number of minutes.
async fn leaves_in(world: &World, trip: &str, minutes: i32) {
    sqlx::query(
        "update trip set departs_at = date_trunc('minute', now()) + make_interval(mins => $2),
                         arrives_at = date_trunc('minute', now()) + make_interval(mins => $2 + 30) where id = $1::uuid",
    )
    .bind(trip)
    .bind(minutes)
    .execute(&world.pool)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_riders_orders_are_sorted_by_what_the_rider_needs() {
    let world = World::new().await;
    let rider = world.rider("500.00").await;
    let mut trips = Vec::new();
    for _ in 0..6 {
        trips.push(world.trip(4).await);
    }
    let mut orders = Vec::new();
    for trip in &trips {
        let order = rider.booked(trip, &["1"]).await;
        rider.pay(&order).await.expect(200);
        orders.push(order);
    }
    the_next_ride_comes_first(&world, &rider, &trips, &orders).await;
    the_last_ride_is_evaluated_first(&world, &rider, &trips, &orders).await;
    what_must_be_paid_soonest_comes_first(&world, &rider).await;
}

/// Booked in one order, leaving in another; two leave at the same minute.
async fn the_next_ride_comes_first(world: &World, rider: &Client, trips: &[String], orders: &[String]) {
    for (trip, minutes) in trips.iter().zip([600, 120, 480, 120, 360, 240]) {
        leaves_in(world, trip, minutes).await;
    }
    let upcoming = [1, 3, 5, 4, 2, 0].map(|at: usize| orders[at].as_str());
    for limit in [1, 2, 5, 100] {
        let seen = walk(rider, "/v1/orders?list=upcoming&", limit).await;
        let ids: Vec<&str> = seen.iter().map(|order| order["id"].as_str().unwrap()).collect();
        assert_eq!(ids, upcoming, "{limit} a page");
    }
    let page = rider.get("/v1/orders?list=upcoming").await;
    let next_ride = &page.expect(200)["items"][0];
    let trip = rider.get(&format!("/v1/trips/{}", trips[1])).await;
    for name in ["departs_at", "arrives_at", "bus_id", "direction"] {
        assert_eq!(next_ride[name], trip.expect(200)[name], "{name}");
        let alone = rider.get(&format!("/v1/orders/{}", orders[1])).await;
        assert_eq!(alone.expect(200)[name], trip.body[name], "{name}");
    }

    // A cursor holds though its order has left the list meanwhile.
    let first = rider.get("/v1/orders?list=upcoming&limit=2").await;
    let next = first.expect(200)["next"].as_str().unwrap().to_owned();
    assert_eq!(next, upcoming[1]);
    rider.refund(&next).await.expect(200);
    let second = rider.get(&format!("/v1/orders?list=upcoming&limit=2&after={next}")).await;
    assert_eq!(field(second.expect(200), "id"), upcoming[2..4]);
    let strange = rider.get(&format!("/v1/orders?list=upcoming&after={}", uuid::Uuid::now_v7())).await;
    assert_eq!(strange.problem(422, "003074")["field"], "after");
}

async fn the_last_ride_is_evaluated_first(
    world: &World,
    rider: &Client,
    trips: &[String],
    orders: &[String],
) {
    for (trip, minutes) in trips.iter().zip([-600, -120, -480, -120, -360, -240]) {
        leaves_in(world, trip, minutes).await;
    }
    for limit in [1, 100] {
        let seen = walk(rider, "/v1/orders?list=to_evaluate&", limit).await;
        let ids: Vec<&str> = seen.iter().map(|order| order["id"].as_str().unwrap()).collect();
        assert_eq!(ids, [1, 5, 4, 2, 0].map(|at: usize| orders[at].as_str()));
    }
    for order in [4, 1, 0] {
        let path = format!("/v1/orders/{}/evaluation", orders[order]);
        rider.post(&path, &json!({"rating": 5})).await.expect(201);
    }
    let evaluated = rider.get("/v1/orders?list=evaluated").await;
    assert_eq!(field(evaluated.expect(200), "id"), [1, 4, 0].map(|at: usize| orders[at].as_str()));
}

/// A trip that leaves soon is to be paid sooner than one that was booked before.
async fn what_must_be_paid_soonest_comes_first(world: &World, rider: &Client) {
    let (late, soon) = (world.trip(4).await, world.trip_in(chrono::Duration::minutes(14), 4).await);
    let unpaid = [rider.booked(&late, &["1"]).await, rider.booked(&soon, &["1"]).await];
    let deadline =
        "update orders set expires_at = created_at + make_interval(mins => $2) where id = $1::uuid";
    for (order, minutes) in unpaid.iter().zip([9, 4]) {
        sqlx::query(deadline).bind(order).bind(minutes).execute(&world.pool).await.unwrap();
    }
    let listed = rider.get("/v1/orders?list=unpaid").await;
    assert_eq!(field(listed.expect(200), "id"), [&unpaid[1], &unpaid[0]]);
}
