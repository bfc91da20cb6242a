//! What operators do with a trip's seats, and its manifest.

use crate::harness::{World, count, until};
use serde_json::{Value, json};

fn state<'a>(trip: &'a Value, seat: &str) -> &'a Value {
    &trip["seats"].as_array().unwrap().iter().find(|s| s["seat"] == seat).unwrap()["state"]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_seat_is_not_sold_and_a_sold_one_not_blocked() {
    let world = World::new().await;
    let trip = world.trip(8).await;
    let (rider, other) = (world.rider("0").await, world.rider("0").await);
    rider.booked(&trip, &["1"]).await;
    let (block, release) =
        (format!("/v1/ops/trips/{trip}/seats/block"), format!("/v1/ops/trips/{trip}/seats/release"));
    let of = |seats: &[&str]| json!({"seats": seats, "reason": "a broken belt"});

    let refused = world.ops.post(&block, &of(&["2", "1"])).await;
    assert_eq!(refused.problem(409, "004000")["seats"], json!(["1"]));
    let done = world.ops.post(&block, &of(&["3", "2"])).await;
    assert_eq!(done.expect(200)["blocked"], json!(["2", "3"]), "and the refused one changed nothing");
    world.ops.post(&block, &of(&["2"])).await.expect(200);
    let lost = other.book(&trip, &["2", "4"]).await;
    assert_eq!(lost.problem(409, "004000")["seats"], json!(["2"]));
    let shown = other.get(&format!("/v1/trips/{trip}")).await;
    assert_eq!(shown.expect(200)["free_seats"], 5);
    assert_eq!((state(&shown.body, "2"), state(&shown.body, "4")), (&json!("blocked"), &json!("free")));
    let both = sqlx::query("update seat set order_id = gen_random_uuid(), held_until = now() where blocked");
    let both = both.execute(&world.pool).await.unwrap_err().to_string();
    assert!(both.contains("seat_blocked_has_no_owner"), "{both}");

    let back = world.ops.post(&release, &of(&["2"])).await;
    assert_eq!(back.expect(200)["blocked"], json!(["3"]));
    other.booked(&trip, &["2"]).await;

    rider.post(&block, &of(&["5"])).await.problem(403, "003091");
    assert_eq!(world.ops.post(&block, &of(&["5", "9"])).await.problem(422, "003074")["field"], "/seats");
    let no_reason = world.ops.post(&block, &json!({"seats": ["5"], "reason": " "})).await;
    assert_eq!(no_reason.problem(422, "003074")["field"], "/reason");
    let nowhere = format!("/v1/ops/trips/{}/seats/block", uuid::Uuid::now_v7());
    world.ops.post(&nowhere, &of(&["5"])).await.problem(404, "003070");
    let events = "select count(*) from trip_event where reason = 'a broken belt'";
    assert_eq!(count(&world.pool, events).await, 2, "what changed something is written down");
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_under_way_sees_a_seat_being_blocked() {
    let world = World::new().await;
    let trip = world.trip(8).await;
    let rider = world.rider("0").await;
    let mut blocking = world.pool.begin().await.unwrap();
    sqlx::query("update seat set blocked = true where trip_id = $1::uuid and seat = 1")
        .bind(&trip)
        .execute(&mut *blocking)
        .await
        .unwrap();
    let booking = tokio::spawn({
        let (rider, trip) = (rider.clone(), trip.clone());
        async move { rider.book(&trip, &["1"]).await }
    });
    until("the claim waits", || async { world.waiting_for_locks().await > 0 }).await;
    blocking.commit().await.unwrap();
    let lost = booking.await.unwrap();
    assert_eq!(lost.problem(409, "004000")["seats"], json!(["1"]));
    world.verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifest_names_who_rides_as_json_and_as_csv() {
    let world = World::new().await;
    let trip = world.trip(8).await;
    let path = format!("/v1/ops/trips/{trip}/manifest");
    let header = "seat,order_id,rider_id,user_name,status,paid,nick_name,phone,email,paid_at,closed_reason,payment\r\n";
    assert_eq!(world.ops.get(&format!("{path}?format=csv")).await.text, header);
    let (rider, other) = (world.rider("100.00").await, world.rider("0").await);
    let paid = rider.booked(&trip, &["7", "2"]).await;
    rider.pay(&paid).await.expect(200);
    let unpaid = other.booked(&trip, &["3"]).await;

    let json = world.ops.get(&path).await;
    let lines = json.expect(200)["seats"].as_array().unwrap();
    let seen: Vec<_> =
        lines.iter().map(|l| (l["seat"].as_str().unwrap(), l["paid"].as_bool().unwrap())).collect();
    assert_eq!(seen, [("2", true), ("3", false), ("7", true)]);
    assert_eq!((&lines[1]["order_id"], &lines[1]["status"]), (&json!(unpaid), &json!("unpaid")));
    let csv = world.ops.get_as(&path, "text/csv, application/json;q=0.5").await;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8; header=present");
    let (a, b, at) = (rider.id, other.id, lines[0]["paid_at"].as_str().unwrap());
    let expected = format!(
        "{header}2,{paid},{a},rider0,paid,true,,,,{at},,settled\r\n3,{unpaid},{b},rider1,unpaid,false,,,,,,\r\n\
         7,{paid},{a},rider0,paid,true,,,,{at},,settled\r\n"
    );
    assert_eq!(csv.text, expected);
    rider.get(&path).await.problem(403, "003091");
    world.ops.get(&format!("{path}?format=xml")).await.problem(422, "003074");
    let nowhere = format!("/v1/ops/trips/{}/manifest", uuid::Uuid::now_v7());
    world.ops.get(&nowhere).await.problem(404, "003070");
}
