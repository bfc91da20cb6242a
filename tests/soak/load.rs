//! The load of riders, their accounts and trips; it can be made to pause.

use super::riders::{Rider, SEATS};
use crate::harness::{Client, new_rider};
use chrono::Utc;
use farebox::{accounts::Role, saga::SagaContext};
use rand::{SeedableRng, rngs::StdRng};
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::{sync::RwLock, task::JoinHandle};

/// Riders for each trip, so that they compete.
pub const RIDERS_OF_A_TRIP: usize = 2;

/// The load, which can be made to pause.
pub struct Load {
    /// Riders share it while they click; a checker has it alone.
    pub gate: Arc<RwLock<()>>,
    pub over: Arc<AtomicBool>,
    pub riders: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(riders: Vec<Rider>) -> Self {
        let (gate, over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let riders = riders
            .into_iter()
            .map(|rider| tokio::spawn(ride(rider, Arc::clone(&gate), Arc::clone(&over))))
            .collect();
        Self { gate, over, riders }
    }

    /// A rider that stops early has found a breach.
    pub async fn still_there(&mut self) {
        if let Some(at) = self.riders.iter().position(JoinHandle::is_finished) {
            self.riders.swap_remove(at).await.unwrap();
        }
    }

    pub async fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        for rider in self.riders {
            rider.await.unwrap();
        }
    }
}

async fn ride(mut rider: Rider, gate: Arc<RwLock<()>>, over: Arc<AtomicBool>) {
    while !over.load(Ordering::Relaxed) {
        let _open = gate.read().await;
        rider.click().await;
    }
}

/// Trips in two days.
pub async fn trips(ops: &Client, many: usize) -> Vec<String> {
    let departs = Utc::now() + chrono::Duration::days(2);
    let mut trips = Vec::new();
    for n in 0..many {
        // A bus makes its trips one after the other.
        let departs = departs + chrono::Duration::hours((n / 8) as i64);
        let trip = json!({"bus_id": 1 + n % 8, "direction": 0, "departs_at": departs, "price": "4.00",
            "arrives_at": departs + chrono::Duration::hours(1), "capacity": SEATS});
        trips.push(ops.post("/v1/ops/trips", &trip).await.expect(201)["id"].as_str().unwrap().to_owned());
    }
    trips
}

/// Riders who can pay for everything, signed in at `base`.
pub async fn people(saga: &SagaContext, ops: &Client, base: &str, many: usize) -> Vec<Client> {
    let mut people = Vec::new();
    for n in 0..many {
        let name = format!("rider{n}");
        farebox::accounts::register(&saga.pool, &saga.passwords, &new_rider(&name), Role::Rider)
            .await
            .unwrap();
        let client = Client::sign_in(base, &name).await;
        let top_up = json!({"amount": "100000.00", "reference": format!("first {}", client.id)});
        ops.post(&format!("/v1/ops/wallets/{}/top-ups", client.id), &top_up).await;
        people.push(client);
    }
    people
}

/// What each rider decides by.
pub fn randoms(seed: u64) -> impl Iterator<Item = StdRng> {
    (1..).map(move |n| StdRng::seed_from_u64(seed.wrapping_add(n)))
}
