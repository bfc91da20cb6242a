//! Riders behind a proxy. The proxy does what one with health checks does: it sends no request to a
//! process that is not ready, tries the other one if it could not connect, and asks again if it was
//! answered 503 with `Retry-After`. A request that was sent is never sent twice by it otherwise.

use crate::harness::{Answer, Client};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How often the proxy asks whether a process is ready.
const HEALTH_EVERY: Duration = Duration::from_millis(50);
/// The pause before a request is sent to a process again.
const PAUSE: Duration = Duration::from_millis(100);
/// How often a request is sent at most.
const TRIES: usize = 300;
/// Of this number of bookings one fails half way, and a worker undoes it.
const FAILS: usize = 7;
/// Of this number of orders one stays paid.
const STAYS: usize = 5;
/// The pause of a rider, so that two cores can do it.
const REST: Duration = Duration::from_millis(40);

#[derive(Clone, Default)]
struct Backend {
    base: String,
    is_ready: bool,
    is_out: bool,
}

#[derive(Default)]
pub struct Proxy {
    backends: Mutex<[Backend; 2]>,
    turn: AtomicUsize,
    /// Requests that were sent again, after 503 or because nobody listened.
    pub repeated: AtomicUsize,
}

impl Proxy {
    /// Watches the processes for as long as the test runs.
    pub async fn watch(self: Arc<Self>) {
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        loop {
            for place in 0..2 {
                let base = self.backends.lock().unwrap()[place].base.clone();
                let answer = http.get(format!("{base}/health/ready")).send().await;
                let mut backends = self.backends.lock().unwrap();
                if backends[place].base == base {
                    backends[place].is_ready = answer.is_ok_and(|answer| answer.status() == 200);
                }
            }
            tokio::time::sleep(HEALTH_EVERY).await;
        }
    }

    /// Sends requests to this process in this place from now on, once it is ready.
    pub fn set(&self, place: usize, base: String) {
        self.backends.lock().unwrap()[place] = Backend { base, is_ready: false, is_out: false };
    }

    /// Sends no request there, whatever its health says.
    pub fn take_out(&self, place: usize) {
        self.backends.lock().unwrap()[place].is_out = true;
    }

    pub fn is_ready(&self, place: usize) -> bool {
        self.backends.lock().unwrap()[place].is_ready
    }

    fn next(&self) -> Option<String> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let backends = self.backends.lock().unwrap();
        let usable = |backend: &&Backend| backend.is_ready && !backend.is_out;
        [turn, turn + 1]
            .map(|turn| &backends[turn % 2])
            .into_iter()
            .find(usable)
            .map(|backend| backend.base.clone())
    }

    /// The answer, or why there is none that a client may see.
    async fn post(&self, client: &Client, path: &str, body: &Value) -> Result<Answer, String> {
        let client = client.key(&uuid::Uuid::now_v7().to_string());
        let mut last = String::new();
        for _ in 0..TRIES {
            if let Some(base) = self.next() {
                match client.toward(&base).try_post(path, body).await {
                    Ok(answer) if answer.status == 503 && answer.headers.contains_key("retry-after") => {
                        last = answer.text;
                    }
                    Ok(answer) => return Ok(answer),
                    Err(error) if error.is_connect() => last = error.to_string(),
                    Err(error) => return Err(format!("{path}: {error:?}")),
                }
                self.repeated.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(format!("{path}: sent {TRIES} times: {last}"))
    }
}

/// What riders have seen.
#[derive(Default)]
pub struct Seen {
    pub stop: AtomicBool,
    pub booked: AtomicUsize,
    pub refunded: AtomicUsize,
    pub undone: AtomicUsize,
    pub failures: Mutex<Vec<String>>,
}

impl Seen {
    fn check(&self, answer: Result<Answer, String>, status: u16) -> Option<Answer> {
        let wrong = match answer {
            Ok(answer) if answer.status == status => return Some(answer),
            Ok(answer) => format!("{} in place of {status}: {}", answer.status, answer.text),
            Err(error) => error,
        };
        self.failures.lock().unwrap().push(wrong);
        None
    }
}

/// Books, pays and refunds until stopped, on seats of the rider's own.
pub async fn ride(proxy: Arc<Proxy>, rider: Client, trip: String, seats: Vec<String>, seen: Arc<Seen>) {
    let failing = rider.fault("order_add_cancle.after=error");
    let mut seats = VecDeque::from(seats);
    for turn in 1.. {
        if seen.stop.load(Ordering::Relaxed) {
            return;
        }
        let Some(seat) = seats.pop_front() else { return };
        let order = json!({ "trip_id": trip, "seats": [&seat] });
        if turn % FAILS == 0 {
            // Another seat follows: this one is free again when a worker has undone the order.
            seen.check(proxy.post(&failing, "/v1/orders", &order).await, 500);
            seen.undone.fetch_add(1, Ordering::Relaxed);
            seats.push_back(seat);
            continue;
        }
        let booked = seen.check(proxy.post(&rider, "/v1/orders", &order).await, 201);
        let Some(id) = booked.and_then(|order| order.body["id"].as_str().map(str::to_owned)) else {
            continue;
        };
        seen.booked.fetch_add(1, Ordering::Relaxed);
        let pay = json!({ "pay_password": super::fleet::PAY });
        if seen.check(proxy.post(&rider, &format!("/v1/orders/{id}/pay"), &pay).await, 200).is_none() {
            continue;
        }
        if turn % STAYS == 0 {
            continue;
        }
        let path = format!("/v1/orders/{id}/refund");
        if seen.check(proxy.post(&rider, &path, &json!({})).await, 200).is_some() {
            seen.refunded.fetch_add(1, Ordering::Relaxed);
            seats.push_back(seat);
        }
        tokio::time::sleep(REST).await;
    }
}
