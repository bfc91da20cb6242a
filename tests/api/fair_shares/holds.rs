//! Seats: a few free accounts cannot hold a timetable.

use super::{register, world};
use crate::harness::{Client, World};
use serde_json::json;

const HERE: &str = "203.0.113.7";

/// A client that registers and signs in at this address, and books from there.
struct Booker<'a> {
    world: &'a World,
    client: Client,
    from: String,
}

impl<'a> Booker<'a> {
    async fn new(world: &'a World, name: &str, from: &str) -> Self {
        assert_eq!(register(&world.api, name, from).await, 201);
        let client = Client::sign_in(&world.api.base(), name).await;
        Self { world, client, from: from.to_owned() }
    }

    async fn book(&self, trip: &str, seats: &[usize]) -> u16 {
        let seats: Vec<String> = seats.iter().map(ToString::to_string).collect();
        let request = reqwest::Client::new().post(format!("{}/v1/orders", self.world.api.base()));
        let request = request
            .header("x-forwarded-for", &self.from)
            .header("authorization", self.client.authorization())
            .body(json!({ "trip_id": trip, "seats": seats }).to_string());
        request.send().await.unwrap().status().as_u16()
    }
}

async fn held(world: &World) -> i64 {
    crate::harness::count(&world.pool, "select count(*) from seat where order_id is not null").await
}

#[tokio::test(flavor = "multi_thread")]
async fn three_free_accounts_do_not_hold_every_seat_of_five_trips() {
    let world = world(&[("FAREBOX__BOOKING__MAX_OPEN_HOLDS", "5")]).await;
    let mut trips = Vec::new();
    for _ in 0..5 {
        trips.push(world.trip(20).await);
    }
    let all: Vec<usize> = (1..=20).collect();
    for nr in 0..3 {
        let booker = Booker::new(&world, &format!("free{nr}"), HERE).await;
        for trip in &trips {
            assert_eq!(booker.book(trip, &all).await, 422, "more than a new account may take");
            for seats in all.chunks(5) {
                assert!([201, 409, 429].contains(&booker.book(trip, seats).await));
            }
        }
    }
    assert_eq!(held(&world).await, 30, "ten each");
    // More accounts from the same address get no more than the address may have.
    for nr in 3..9 {
        let booker = Booker::new(&world, &format!("free{nr}"), HERE).await;
        for trip in &trips {
            for seats in all.chunks(5) {
                booker.book(trip, seats).await;
            }
        }
    }
    assert_eq!(held(&world).await, 40);
    let elsewhere = Booker::new(&world, "elsewhere", "198.51.100.7").await;
    assert_eq!(elsewhere.book(&trips[4], &[20]).await, 201);
    let metrics = world.ops.get("/metrics").await.text;
    assert!(metrics.contains("farebox_http_refused_total{why=\"holds\"}"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_that_others_took_first_cost_nothing_and_an_old_account_takes_more() {
    let world = world(&[]).await;
    let trip = world.trip(40).await;
    let (first, late) =
        (Booker::new(&world, "first", HERE).await, Booker::new(&world, "late", "198.51.100.7").await);
    let taken: Vec<usize> = (1..=10).collect();
    assert_eq!(first.book(&trip, &taken).await, 201);
    assert_eq!(first.book(&trip, &[11]).await, 429);
    for _ in 0..5 {
        assert_eq!(late.book(&trip, &taken).await, 409);
    }
    assert_eq!(late.book(&trip, &(11..=20).collect::<Vec<_>>()).await, 201);
    // An account's id holds when it was made: this one has existed for a year.
    let year_ago = (chrono::Utc::now() - chrono::Duration::days(365)).timestamp();
    let made = uuid::Timestamp::from_unix(uuid::NoContext, year_ago.unsigned_abs(), 0);
    let id = uuid::Uuid::new_v7(made);
    let sql = "insert into rider (id, user_name, password_hash, role)
               select $1, 'old', password_hash, 'rider' from rider where user_name = 'first'";
    sqlx::query(sql).bind(id).execute(&world.pool).await.unwrap();
    sqlx::query("insert into wallet (rider_id) values ($1)").bind(id).execute(&world.pool).await.unwrap();
    let client = Client::sign_in(&world.api.base(), "old").await;
    let old = Booker { world: &world, client, from: HERE.to_owned() };
    assert_eq!(old.book(&trip, &(21..=40).collect::<Vec<_>>()).await, 201);
    world.verify().await;
}
