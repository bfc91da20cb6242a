//! Events that leave the service: what is sent, how often, and what a bad receiver costs.

mod addresses;
mod bench;
mod book;
mod endpoints;
mod events;
mod failures;
mod kills;
mod log;
mod shell;

use crate::harness::{Client, Process, Receiver, World};
use serde_json::{Value, json};

/// Waits of milliseconds instead of seconds and hours: the order of what happens stays the same.
pub const QUICK: [(&str, &str); 3] = [
    ("FAREBOX__WEBHOOKS__FIRST_WAIT_MS", "20"),
    ("FAREBOX__WEBHOOKS__LONGEST_WAIT_SECS", "1"),
    ("FAREBOX__WEBHOOKS__LONGEST_PAUSE_MS", "200"),
];
const ALL: [&str; 6] =
    ["hold.expired", "order.paid", "order.refunded", "trip.cancelled", "rollback.done", "rollback.failed"];

/// A worker that does not wait for long.
fn quick_worker(world: &World, more: &[(&str, &str)]) -> Process {
    let env: Vec<_> = QUICK.iter().chain(more).copied().collect();
    Process::worker(&world.db.url, &env, &[])
}

/// A webhook, as an operator has added it.
struct Webhook {
    id: String,
    secret: String,
}

impl Webhook {
    async fn add(world: &World, receiver: &Receiver, kinds: &[&str]) -> Self {
        let body = json!({ "name": "a service", "url": receiver.url(), "kinds": kinds, "reason": "a test" });
        let added = world.ops.post("/v1/ops/webhooks", &body).await;
        let id = added.expect(201)["id"].as_str().unwrap().to_owned();
        let secret = read_secret(world, &id).await;
        Self { id, secret }
    }

    async fn now(&self, world: &World) -> Value {
        world.ops.get(&format!("/v1/ops/webhooks/{}", self.id)).await.expect(200).clone()
    }

    /// What an operator does to it.
    async fn act(&self, world: &World, act: &str) -> Value {
        let path = format!("/v1/ops/webhooks/{}/{act}", self.id);
        world.ops.post(&path, &json!({ "reason": "a test" })).await.expect(200).clone()
    }

    /// Its log, newest first, in this state.
    async fn log(&self, world: &World, state: &str) -> Vec<Value> {
        let path = format!("/v1/ops/webhooks/{}/deliveries?limit=100&state={state}", self.id);
        world.ops.get(&path).await.expect(200)["items"].as_array().unwrap().clone()
    }
}

async fn read_secret(world: &World, id: &str) -> String {
    let path = format!("/v1/ops/webhooks/{id}/secret");
    let read = world.ops.post(&path, &json!({ "reason": "for the receiver" })).await;
    read.expect(200)["secret"].as_str().unwrap().to_owned()
}

/// Books and pays one seat after another; the orders.
async fn paid(rider: &Client, trip: &str, seats: std::ops::RangeInclusive<u32>) -> Vec<String> {
    let mut orders = Vec::new();
    for seat in seats {
        let order = rider.booked(trip, &[&seat.to_string()]).await;
        rider.pay(&order).await.expect(200);
        orders.push(order);
    }
    orders
}
