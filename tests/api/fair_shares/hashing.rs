//! Turns for hashing: unknown clients that sign in without a pause delay neither payers nor operators.

use super::{metric, register, world};
use crate::harness::{Client, PASSWORD, Wire, until};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};
use tokio::task::JoinSet;

/// Unknown clients that sign in at once.
const STRANGERS: usize = 256;
/// Payments beside them.
const PAYMENTS: usize = 100;
/// Hashes of unknown clients during which an operator's sign-in, and the slowest payment but one of a
/// hundred, may end. The full queue of these clients has 64 (32 for each of two at once). Without a queue
/// of its own, either would wait for all of them. A count of hashes holds on a machine of any speed; times
/// are printed.
const HASHES: usize = 56;

/// What production has by default, and no bound of this test's own.
const REAL: [(&str, &str); 7] = [
    ("FAREBOX__PASSWORDS__MEMORY_KIB", "19456"),
    ("FAREBOX__PASSWORDS__PASSES", "2"),
    ("FAREBOX__LIMITS__HOLDING_PER_NEW_ACCOUNT", "off"),
    ("FAREBOX__LIMITS__BOOKING_PER_RIDER", "off"),
    // A line for each of ten thousand requests would be read by this test's process, on the same cores.
    ("FAREBOX__LOG__FILTER", "info,sqlx=warn,farebox::http::middleware=warn"),
    ("FAREBOX__LIMITS__PAYING_PER_RIDER", "off"),
    ("FAREBOX__LIMITS__HOLDING_OF_NEW_ACCOUNTS_PER_ADDRESS", "off"),
];

/// What the unknown clients share.
#[derive(Default)]
struct Flood {
    over: AtomicBool,
    /// Hashes that were computed for them.
    hashed: AtomicUsize,
}

impl Flood {
    fn hashed(&self) -> usize {
        self.hashed.load(Ordering::Relaxed)
    }
}

/// Signs in as one unknown name after the other, each from another network, and counts the answers.
async fn stranger(base: String, nr: usize, flood: Arc<Flood>) -> BTreeMap<u16, usize> {
    let (mut wire, mut seen) = (Wire::to(&base).await, BTreeMap::new());
    for round in 0.. {
        if flood.over.load(Ordering::Relaxed) {
            break;
        }
        let body = format!("{{\"user_name\": \"stranger{nr}-{round}\", \"password\": \"{PASSWORD}\"}}");
        let head = format!(
            "POST /v1/sessions HTTP/1.1\r\nhost: farebox\r\ncontent-length: {}\r\n\
             x-forwarded-for: 2a00:{nr:x}:0:{round:x}::1\r\n\r\n",
            body.len()
        );
        wire.send(&format!("{head}{body}")).await;
        let status = wire.reply().await.unwrap().status;
        if status == 401 {
            flood.hashed.fetch_add(1, Ordering::Relaxed);
        }
        *seen.entry(status).or_default() += 1;
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_sign_in_without_a_pause_delay_neither_payers_nor_operators() {
    let world = world(&REAL).await;
    let (api, base) = (&world.api, world.api.base());
    // Accounts with hashes that cost what they cost in production.
    for name in ["payer", "on-call"] {
        assert_eq!(register(api, name, "198.51.100.1").await, 201);
    }
    let sql = "update rider set role = 'operator' where user_name = 'on-call'";
    sqlx::query(sql).execute(&world.pool).await.unwrap();
    let payer = Client::sign_in(&base, "payer").await;
    world.top_up(payer.id, "1000.00", "first").await.expect(201);
    let trip = world.trip(i32::try_from(PAYMENTS).unwrap()).await;
    let mut orders = Vec::new();
    for seat in 1..=PAYMENTS {
        orders.push(payer.booked(&trip, &[&seat.to_string()]).await);
    }

    let flood = Arc::new(Flood::default());
    let mut strangers = JoinSet::new();
    for nr in 1..=STRANGERS {
        strangers.spawn(stranger(base.clone(), nr, Arc::clone(&flood)));
    }
    let refused = "farebox_http_refused_total{why=\"hashing\"}";
    until("the strangers' queue is full", || async { metric(&world.ops, refused).await > 0 }).await;
    // For each, how many hashes of the flood were computed meanwhile, and how long it took.
    let (mut payments, mut sign_ins) = (Vec::new(), Vec::new());
    for order in &orders {
        let (began, before) = (Instant::now(), flood.hashed());
        payer.pay(order).await.expect(200);
        payments.push((flood.hashed() - before, began.elapsed()));
    }
    for _ in 0..5 {
        let (began, before) = (Instant::now(), flood.hashed());
        Client::sign_in(&base, "on-call").await;
        sign_ins.push((flood.hashed() - before, began.elapsed()));
    }
    flood.over.store(true, Ordering::Relaxed);
    let mut seen = BTreeMap::<u16, usize>::new();
    while let Some(counts) = strangers.join_next().await {
        counts.unwrap().into_iter().for_each(|(status, n)| *seen.entry(status).or_default() += n);
    }
    payments.sort_unstable();
    let slowest = payments[payments.len() - 1 - payments.len() / 100];
    println!(
        "paid: median {:?}, p99 {slowest:?}; signed in: {sign_ins:?}; strangers: {seen:?}",
        payments[payments.len() / 2]
    );
    assert!(slowest.0 < HASHES, "{payments:?}");
    assert!(sign_ins.iter().all(|(hashes, _)| *hashes < HASHES), "{sign_ins:?}");
    // They are still served, as far as hashes go, and the others come back later.
    assert!(seen.contains_key(&401) && seen.keys().all(|status| [401, 503].contains(status)), "{seen:?}");
    world.verify().await;
}
