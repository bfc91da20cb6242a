//! The trips of a day: their pages, what Redis keeps of them, and their free seats.

use super::{field, walk};
use crate::harness::{Client, Process, RedisServer, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One more than the first page of a day holds.
const TRIPS: i64 = 501;

/// A day with this number of trips, of which several leave at the same minute.
async fn day_with_trips(world: &World) -> &'static str {
    sqlx::query(
        "with made as (
             insert into trip (id, bus_id, direction, departs_at, arrives_at, price, capacity, shares_bus)
             select gen_random_uuid(), 1, n % 2, at, at + interval '1 hour', 4.00, 1, true
             from generate_series(1, $1) n,
                  lateral (select timestamptz '2031-05-01 01:00:00+00' + n / 3 * interval '1 minute' as at) as t
             returning id)
         insert into seat (trip_id, seat) select id, 1 from made",
    )
    .bind(TRIPS)
    .execute(&world.pool)
    .await
    .unwrap();
    "2031-05-01"
}

#[tokio::test(flavor = "multi_thread")]
async fn the_501st_trip_of_a_day_is_on_the_next_page() {
    let world = World::new().await;
    let day = day_with_trips(&world).await;
    let redis = RedisServer::start();
    // Long enough that no page is read twice: a page that was taken for another would be seen.
    let env = [("FAREBOX__REDIS__URL", redis.url()), ("FAREBOX__REDIS__TRIPS_MS", "60000".to_owned())];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let cached = Process::api(&world.db.url, &env);
    for base in [world.api.base(), cached.base()] {
        let anybody = Client::stranger(&base);
        let first = anybody.get(&format!("/v1/trips?date={day}")).await;
        let (ids, next) = (field(first.expect(200), "id"), first.body["next"].as_str().unwrap());
        assert_eq!((ids.len(), ids[499]), (500, next));
        let second = anybody.get(&format!("/v1/trips?date={day}&after={next}")).await;
        let last = field(second.expect(200), "id");
        assert_eq!((last.len(), &second.body["next"]), (1, &Value::Null));
        assert!(!ids.contains(&last[0]));

        let all = walk(&anybody, &format!("/v1/trips?date={day}&"), 70).await;
        let each: BTreeSet<&str> = all.iter().map(|trip| trip["id"].as_str().unwrap()).collect();
        assert_eq!((all.len(), each.len()), (501, 501), "each trip once");
        assert!(all.iter().map(|trip| trip["departs_at"].as_str().unwrap()).is_sorted());
        let one_way = walk(&anybody, &format!("/v1/trips?date={day}&direction=1&"), 100).await;
        assert_eq!(one_way.len(), 251);
        assert!(one_way.iter().all(|trip| trip["direction"] == 1));

        let nowhere = uuid::Uuid::now_v7().to_string();
        for (asked, at_fault) in [
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("after=zzz", "after"),
            (&format!("after={nowhere}"), "after"),
        ] {
            let refused = anybody.get(&format!("/v1/trips?date={day}&{asked}")).await;
            assert_eq!(refused.problem(422, "003074")["field"], at_fault, "{asked}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_caches_first_pages_only() {
    let world = World::new().await;
    let day = day_with_trips(&world).await;
    let redis = RedisServer::start();
    let env = [("FAREBOX__REDIS__URL", redis.url()), ("FAREBOX__REDIS__TRIPS_MS", "600000".to_owned())];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let cached = Process::api(&world.db.url, &env);
    let anybody = Client::stranger(&cached.base());
    let path = format!("/v1/trips?date={day}");
    let first = anybody.get(&path).await;
    let after = first.expect(200)["next"].as_str().unwrap();
    assert_eq!(redis.say("DBSIZE"), ":1");
    for limit in 1..=50 {
        anybody.get(&format!("{path}&limit={limit}")).await.expect(200);
        anybody.get(&format!("{path}&limit={limit}&after={after}")).await.expect(200);
    }
    anybody.get(&format!("{path}&after={after}")).await.expect(200);
    assert_eq!(redis.say("DBSIZE"), ":1", "what clients choose is not kept");
    // It is the first page that is kept, named limit or not.
    let soonest = field(&first.body, "id")[0];
    sqlx::query("update trip set bus_id = 2 where id = $1::uuid")
        .bind(soonest)
        .execute(&world.pool)
        .await
        .unwrap();
    assert_eq!(anybody.get(&format!("{path}&limit=500")).await.text, first.text);
    let read = anybody.get(&format!("{path}&limit=499")).await;
    assert_eq!((field(read.expect(200), "id")[0], &read.body["items"][0]["bus_id"]), (soonest, &json!(2)));
    anybody.get(&format!("{path}&direction=1")).await.expect(200);
    assert_eq!(redis.say("DBSIZE"), ":2");
}

fn seat<'a>(trip: &'a Value, label: &str) -> &'a str {
    let seats = trip["seats"].as_array().unwrap();
    seats.iter().find(|seat| seat["seat"] == label).unwrap()["state"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overdue_hold_is_as_free_as_a_booking_finds_it() {
    let world = World::new().await;
    let trip = world.trip(4).await;
    let (holder, other) = (world.rider("100.00").await, world.rider("100.00").await);
    let path = format!("/v1/trips/{trip}");
    let day = chrono::Utc::now() + chrono::Duration::days(1);
    let free_of_day = async || {
        // The day as its zone has it: the list of either date holds the trip.
        let mut found = Vec::new();
        for date in [day - chrono::Duration::days(1), day, day + chrono::Duration::days(1)] {
            let list = other.get(&format!("/v1/trips?date={}", date.format("%F"))).await;
            let trips = list.expect(200)["items"].as_array().unwrap().clone();
            found
                .extend(trips.into_iter().find(|one| one["id"] == trip).map(|one| one["free_seats"].clone()));
        }
        assert_eq!(found.len(), 1, "on one day");
        found.remove(0)
    };
    let overdue = holder.booked(&trip, &["1", "2"]).await;
    let sold = holder.booked(&trip, &["3"]).await;
    holder.pay(&sold).await.expect(200);
    assert_eq!(free_of_day().await, 1);
    let seen = holder.get(&path).await;
    assert_eq!((seat(seen.expect(200), "1"), seat(&seen.body, "3")), ("mine", "mine"));
    assert_eq!(seat(other.get(&path).await.expect(200), "1"), "held");

    // No worker runs: nothing but time has passed.
    world.pass_deadline(&overdue).await;
    for (viewer, third) in
        [(&holder, "mine"), (&other, "sold"), (&Client::stranger(&world.api.base()), "sold")]
    {
        let seen = viewer.get(&path).await;
        let states = ["1", "2", "3", "4"].map(|label| seat(seen.expect(200), label).to_owned());
        assert_eq!(states, ["free", "free", third, "free"]);
        assert_eq!(seen.body["free_seats"], 3);
    }
    assert_eq!(free_of_day().await, 3);
    holder.pay(&overdue).await.problem(409, "006001");
    other.booked(&trip, &["1"]).await;
    assert_eq!(world.order(&overdue).await["status"], "closed");
    assert_eq!(free_of_day().await, 2);

    // An operator finds it free, too.
    let again = other.booked(&trip, &["2"]).await;
    world.pass_deadline(&again).await;
    let block = json!({"seats": ["2"], "reason": "a broken belt"});
    let blocked = world.ops.post(&format!("/v1/ops/trips/{trip}/seats/block"), &block).await;
    assert_eq!(blocked.expect(200)["blocked"], json!(["2"]));
    assert_eq!(world.order(&again).await["status"], "closed");
    world.verify().await;
}
