//! Events while everything dies: API and workers are killed, the receiver is killed, slow, or wrong. Each
//! event arrives, and one that arrives twice has one id.
//!
//! Each run has a hundred events. Ten thousand are on request:
//!
//! ```console
//! $ cargo test --profile fast --test farebox-tests ten_thousand_events -- --ignored --nocapture
//! ```

use super::{Webhook, quick_worker};
use crate::harness::{Answer, Answers, Client, Process, Receiver, World, signal, until};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Riders that book and pay at once.
const RIDERS: usize = 8;
/// How long the 10,000 may take, the killing included.
const PATIENCE: Duration = Duration::from_secs(1_500);

/// What riders share: where the API is, which seat is next, how many orders are paid.
struct Sale {
    base: Mutex<String>,
    seat: AtomicU32,
    paid: AtomicUsize,
    wanted: usize,
    /// The last answer that was neither what was asked for nor a lost seat.
    odd: Mutex<String>,
}

impl Sale {
    /// The answer of the API that is there; of a refusal of the moment and of a dead API there is none.
    async fn answer(&self, rider: &Client, path: &str, body: &Value) -> Answer {
        loop {
            let rider = rider.toward(&self.base.lock().unwrap().clone());
            match rider.try_post(path, body).await {
                Ok(answer) if !answer.status.is_server_error() && answer.status != 429 => {
                    if !answer.status.is_success() {
                        *self.odd.lock().unwrap() = format!("{path} {}: {}", answer.status, answer.text);
                    }
                    return answer;
                }
                Ok(answer) => {
                    *self.odd.lock().unwrap() = format!("{path} {}: {}", answer.status, answer.text);
                }
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Books and pays one seat after another, as a client does that asks again with its key until it is answered.
async fn buy(rider: Client, trip: String, sale: Arc<Sale>) {
    let pay = serde_json::json!({ "pay_password": crate::harness::PAY_PASSWORD });
    while sale.paid.load(Ordering::Relaxed) < sale.wanted {
        let seat = sale.seat.fetch_add(1, Ordering::Relaxed).to_string();
        let book = serde_json::json!({ "trip_id": trip, "seats": [seat] });
        let booked = sale.answer(&rider.key(&format!("book {seat}")), "/v1/orders", &book).await;
        let Some(order) = booked.body["id"].as_str().filter(|_| booked.status == 201) else { continue };
        let path = format!("/v1/orders/{order}/pay");
        if sale.answer(&rider.key(&format!("pay {seat}")), &path, &pay).await.status == 200 {
            sale.paid.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The orders of the database that are paid.
async fn paid_orders(world: &World) -> BTreeSet<String> {
    let sql = "select id::text from orders where status = 'paid'";
    sqlx::query_scalar(sql).fetch_all(&world.pool).await.unwrap().into_iter().collect()
}

/// One round of trouble for each kind, in turns, until everything is sold. Returns the last API: riders
/// whose requests it has not answered yet ask until it has.
async fn trouble(
    world: &World,
    sale: &Sale,
    receiver: &mut Receiver,
    worker: &mut Process,
    env: &[(&str, &str)],
) -> Option<Process> {
    let mut api: Option<Process> = None;
    for round in 0_u32.. {
        if sale.paid.load(Ordering::Relaxed) >= sale.wanted {
            break;
        }
        match round % 5 {
            0 => receiver.now_answers(Answers::With(500)),
            1 => receiver.now_answers(Answers::Slowly(Duration::from_millis(300))),
            2 => receiver.kill().await,
            3 => receiver.now_answers(Answers::Never),
            _ => receiver.now_answers(Answers::With(204)),
        }
        let met = attempts(world, receiver).await;
        let before = sale.paid.load(Ordering::Relaxed);
        let step = (sale.wanted / 20).max(5);
        sold(sale, (before + step).min(sale.wanted)).await;
        until("the trouble is met", || async { attempts(world, receiver).await > met }).await;
        worker.kill();
        *worker = quick_worker(world, env);
        if round % 2 == 0 {
            let fresh = world.another_api();
            *sale.base.lock().unwrap() = fresh.base();
            match api.replace(fresh) {
                Some(mut old) => old.kill(),
                None => assert!(signal::send(world.api.pid(), 9)),
            }
        }
        if round % 5 == 2 {
            receiver.restart().await;
        }
    }
    receiver.now_answers(Answers::With(204));
    sold(sale, sale.wanted).await;
    api
}

/// Attempts that the receiver saw, and those that are in the log.
async fn attempts(world: &World, receiver: &Receiver) -> (usize, i64) {
    let sql = "select coalesce(sum(attempts), 0)::bigint from webhook_delivery";
    (receiver.hooks().len(), crate::harness::count(&world.pool, sql).await)
}

/// Waits until as many orders are paid.
async fn sold(sale: &Sale, many: usize) {
    let begun = Instant::now();
    let patience = if sale.wanted > 1_000 { PATIENCE } else { Duration::from_secs(180) };
    while sale.paid.load(Ordering::Relaxed) < many {
        let (paid, odd) = (sale.paid.load(Ordering::Relaxed), sale.odd.lock().unwrap().clone());
        assert!(begun.elapsed() < patience, "{paid} of {many} are paid; {odd}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until_within<F: Future<Output = bool>>(limit: Duration, mut holds: impl FnMut() -> F) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < limit, "waited in vain");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn events_survive(wanted: usize, env: &[(&str, &str)], limit: Duration) {
    let world = World::new().await;
    let mut receiver = Receiver::start().await;
    let webhook = Webhook::add(&world, &receiver, &["order.paid"]).await;
    receiver.knows(&webhook.secret);
    let trip = world.trip(i32::try_from(wanted * 3).unwrap()).await;
    let sale = Arc::new(Sale {
        base: Mutex::new(world.api.base()),
        seat: AtomicU32::new(1),
        paid: AtomicUsize::new(0),
        wanted,
        odd: Mutex::default(),
    });
    let mut riders = JoinSet::new();
    for _ in 0..RIDERS {
        riders.spawn(buy(world.rider("100000.00").await, trip.clone(), Arc::clone(&sale)));
    }
    let mut worker = quick_worker(&world, env);
    let api = trouble(&world, &sale, &mut receiver, &mut worker, env).await;
    riders.join_all().await;
    drop(api);
    let well = Instant::now();
    let orders = paid_orders(&world).await;
    until_within(limit * 2, || async { receiver.taken().len() >= orders.len() }).await;
    let took = well.elapsed();
    // Payments that the last kill has cut in two are finished by their undos, which makes events too.
    world.drained().await;
    until("nothing is pending", || async { webhook_is_idle(&world).await }).await;
    check(&receiver, &paid_orders(&world).await);
    let attempts = receiver.hooks().len();
    println!(
        "{} events, {attempts} attempts that the receiver saw, all delivered {took:?} after it was well",
        orders.len()
    );
    assert!(took < limit, "{took:?}");
}

async fn webhook_is_idle(world: &World) -> bool {
    let sql = "select count(*) from (select 1 from webhook_delivery where state <> 'delivered'
               union all select 1 from queue.job where tag like 'webhook%'
               union all select 1 from queue.dead_letter) as x";
    crate::harness::count(&world.pool, sql).await == 0
}

/// Each paid order has one event, which was taken at least once; whatever came more often has the same id
/// and the same body.
fn check(receiver: &Receiver, orders: &BTreeSet<String>) {
    let mut by_order: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut bodies: BTreeMap<String, Value> = BTreeMap::new();
    for hook in receiver.hooks() {
        let order = hook.body["data"]["order_id"].as_str().unwrap().to_owned();
        by_order.entry(order).or_default().insert(hook.id().to_owned());
        assert_eq!(bodies.entry(hook.id().to_owned()).or_insert_with(|| hook.body.clone()), &hook.body);
    }
    assert!(by_order.values().all(|ids| ids.len() == 1), "one id for each order");
    assert_eq!(by_order.into_keys().collect::<BTreeSet<_>>(), *orders, "each paid order, and no other");
    let taken = receiver.taken();
    assert_eq!(taken.len(), orders.len());
    assert!(receiver.hooks().iter().all(|hook| hook.signed == Some(true)), "each attempt is signed");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_is_lost_while_everything_dies() {
    let env = [
        ("FAREBOX__WORKER__LEASE_MS", "1000"),
        ("FAREBOX__WEBHOOKS__TIMEOUT_MS", "1000"),
        ("FAREBOX__WEBHOOKS__LONGEST_PAUSE_MS", "1000"),
    ];
    events_survive(100, &env, Duration::from_secs(60)).await;
}

/// With the waits, the lease and the pool of an installation, but for the longest pause, which is shorter
/// than the test: ten seconds. The bound is that of docs/clients/webhooks.md: pause, lease and limit of an
/// answer, then the backlog.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a quarter of an hour"]
async fn ten_thousand_events() {
    let env = [
        ("FAREBOX__WEBHOOKS__FIRST_WAIT_MS", "5000"),
        ("FAREBOX__WEBHOOKS__LONGEST_WAIT_SECS", "21600"),
        ("FAREBOX__WEBHOOKS__LONGEST_PAUSE_MS", "10000"),
        ("FAREBOX__WORKER__POLL_MS", "500"),
    ];
    events_survive(10_000, &env, Duration::from_secs(120)).await;
}
