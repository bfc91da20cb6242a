//! A storm: two API processes and three workers under a random load, faults armed at random, processes killed with
//! SIGKILL and started again all the while. Afterwards every invariant holds. A failing run prints its seed.

use crate::harness::{Client, Process, World, count};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::sync::RwLock;

/// Riders who click at the same time.
const RIDERS: u64 = 8;
/// What each of them does, at the most.
const CLICKS: usize = 120;
/// How often a process is killed meanwhile, at the most.
const KILLS: usize = 12;
/// Faults a click may be made under. Aborts kill the process as a power cut would.
const FAULTS: [&str; 12] = [
    "order_seats_cancel.after=error",
    "order_add_seats_cancle.after=error",
    "order_add_seats_cancle.after=abort",
    "order_calc_money_cancle.before=panic",
    "order_add_cancle.before=error",
    "order_add_cancle.after=abort",
    "pay_money_cancle.before=error",
    "pay_money_cancle.after=panic",
    "pay_money_cancle.after=abort",
    "pay_cancle.before=error",
    "pay_cancle.after=error",
    "pay_back_cancle.after=abort",
];

#[tokio::test(flavor = "multi_thread")]
async fn after_a_storm_every_promise_is_kept() {
    let seed: u64 =
        std::env::var("FAREBOX_STORM_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(rand::random);
    println!("FAREBOX_STORM_SEED={seed}");
    let world = Arc::new(World::new().await);
    let apis = Arc::new(RwLock::new(vec![world.another_api(), world.another_api()]));
    let mut workers = vec![world.worker(), world.worker(), world.worker()];
    let trips = Arc::new([world.trip(40).await, world.trip(40).await]);
    let (over, clicks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut riders = Vec::new();
    for n in 0..RIDERS {
        let rider = world.rider("60.00").await;
        let (apis, trips, clicks) = (Arc::clone(&apis), Arc::clone(&trips), Arc::clone(&clicks));
        let random = StdRng::seed_from_u64(seed.wrapping_add(n));
        riders.push(tokio::spawn(async move { click_on(rider, &apis, &trips[..], &clicks, random).await }));
    }
    let killer = {
        let (over, world, apis) = (Arc::clone(&over), Arc::clone(&world), Arc::clone(&apis));
        let mut random = StdRng::seed_from_u64(seed);
        tokio::spawn(async move {
            for kill in 0..KILLS {
                tokio::time::sleep(std::time::Duration::from_millis(random.random_range(100..400))).await;
                if over.load(Ordering::Relaxed) {
                    break;
                }
                if kill % 2 == 0 {
                    let mut apis = apis.write().await;
                    let victim = random.random_range(0..apis.len());
                    apis[victim] = world.another_api();
                } else {
                    let victim = random.random_range(0..workers.len());
                    workers[victim] = world.worker();
                }
            }
            workers
        })
    };
    for rider in riders {
        rider.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    let _workers = killer.await.unwrap();

    world.pass_undo_delay().await;
    world.drained().await;
    world.verify().await;
    let undone = count(&world.pool, "select count(*) from barrier where undone_at is not null").await;
    let orders = count(&world.pool, "select count(*) from orders").await;
    println!("{} clicks, {orders} orders, {undone} steps undone or barred", clicks.load(Ordering::Relaxed));
    assert!(orders > 0 && undone > 0, "a storm that breaks nothing proves nothing");
    world.pass_all_deadlines().await;
    world.drained().await;
    world.verify().await;
    let held = count(&world.pool, "select count(*) from seat where order_id is not null").await;
    let paid = count(
        &world.pool,
        "select coalesce(sum(cardinality(seats)), 0)::bigint from orders where status = 'paid'",
    )
    .await;
    assert_eq!(held, paid, "what is left is what was paid for");
}

/// Books, pays, cancels and refunds at random, at whichever API process is there.
async fn click_on(
    rider: Client,
    apis: &RwLock<Vec<Process>>,
    trips: &[String],
    clicks: &AtomicUsize,
    mut random: StdRng,
) {
    let mut orders: Vec<String> = Vec::new();
    for _ in 0..CLICKS {
        let base = revive(apis, random.random_range(0..2)).await;
        let mut client = rider.at(&base);
        if random.random_bool(0.15) {
            client = client.fault(FAULTS.choose(&mut random).unwrap());
        }
        if random.random_bool(0.5) {
            client = client.key(&format!("key {}", random.random_range(0..40)));
        }
        let (path, body) = match orders.choose(&mut random).filter(|_| random.random_bool(0.6)) {
            None => {
                let seat = random.random_range(1..=39).to_string();
                let next = (seat.parse::<i32>().unwrap() + 1).to_string();
                (
                    "/v1/orders".to_owned(),
                    json!({"trip_id": trips.choose(&mut random).unwrap(), "seats": [seat, next]}),
                )
            }
            Some(order) => match random.random_range(0..5) {
                0 => (format!("/v1/orders/{order}/cancel"), json!({})),
                1 => (format!("/v1/orders/{order}/refund"), json!({})),
                _ => (format!("/v1/orders/{order}/pay"), json!({"pay_password": "123456"})),
            },
        };
        // A process may die under the request: then there is no answer, and whatever it did must come out right.
        let Ok(answer) = client.try_post(&path, &body).await else { continue };
        clicks.fetch_add(1, Ordering::Relaxed);
        let status = answer.status.as_u16();
        assert!(matches!(status, 200 | 201 | 402 | 404 | 409 | 422 | 500), "{}", answer.text);
        assert!(status != 500 || answer.body["rollback"] == "queued", "{}", answer.text);
        let order = if status == 201 { &answer.body["id"] } else { &answer.body["order_id"] };
        orders.extend(order.as_str().map(str::to_owned));
    }
}

/// The address of an API process; one that has died is started again.
async fn revive(apis: &RwLock<Vec<Process>>, which: usize) -> String {
    if apis.write().await[which].is_alive() {
        return apis.read().await[which].base();
    }
    let mut apis = apis.write().await;
    if !apis[which].is_alive() {
        apis[which] = apis[which].again();
    }
    apis[which].base()
}
