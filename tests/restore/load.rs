//! Riders who book, pay, cancel and refund at two APIs, and write down what was acknowledged.

use super::cluster::Cluster;
use crate::harness::{Answer, Client, PAY_PASSWORD, Process, new_rider, settings};
use farebox::{
    accounts::{self, Role},
    app as parts,
};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

pub const RIDERS: usize = 6;

/// An answer of success that a client got.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    pub trace_id: String,
    pub what: What,
    subject: Uuid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    Booked,
    Paid,
    Cancelled,
    Refunded,
    ToppedUp,
}

impl Acknowledged {
    /// Whether a database has the effect; it is asked apart from the keys.
    pub async fn is_in(&self, pool: &PgPool) -> bool {
        let sql = match self.what {
            What::Booked => "select exists(select from orders where id = $1)",
            What::Paid => "select exists(select from orders where id = $1 and paid_at is not null)",
            What::Cancelled => "select exists(select from orders where id = $1 and status = 'closed')",
            What::Refunded => {
                "select exists(select from orders where id = $1 and status in ('refunding', 'refunded'))"
            }
            What::ToppedUp => "select exists(select from ledger_entry where id = $1)",
        };
        sqlx::query_scalar(sql).bind(self.subject).fetch_one(pool).await.unwrap()
    }
}

#[derive(Clone, Default)]
pub struct Book(Arc<Mutex<Vec<Acknowledged>>>);

impl Book {
    pub fn all(&self) -> Vec<Acknowledged> {
        self.0.lock().unwrap().clone()
    }

    /// Writes an answer of success down; the id of what it is about.
    fn note(&self, what: What, subject: Option<&str>, answer: &Answer) -> Option<String> {
        if !answer.status.is_success() {
            return None;
        }
        let id = subject.or_else(|| answer.body["id"].as_str()).unwrap().to_owned();
        let trace_id = answer.headers["x-trace-id"].to_str().unwrap().to_owned();
        self.0.lock().unwrap().push(Acknowledged { trace_id, what, subject: id.parse().unwrap() });
        Some(id)
    }
}

/// Two APIs and a worker, an operator and riders with a trip each.
pub struct Shop {
    pub apis: [Process; 2],
    pub worker: Process,
    pub ops: Client,
    pub riders: Vec<(Client, String)>,
    pub book: Book,
}

/// The processes log as `farebox restore-check` reads it, and give up soon when the database is away.
pub const LOGGED: [(&str, &str); 2] =
    [("FAREBOX__LOG__JSON", "true"), ("FAREBOX__DATABASE__ACQUIRE_TIMEOUT_MS", "2000")];

impl Shop {
    pub async fn open(cluster: &Cluster) -> Self {
        let saga = parts::saga_context(&settings(), cluster.pool.clone()).unwrap();
        let names = (0..RIDERS).map(|n| (format!("rider{n}"), Role::Rider));
        let others =
            [("ops", Role::Operator), ("quiet", Role::Rider)].map(|(name, role)| (name.to_owned(), role));
        for (name, role) in names.chain(others) {
            accounts::register(&cluster.pool, &saga.passwords, &new_rider(&name), role).await.unwrap();
        }
        let apis = [Process::api(&cluster.url, &LOGGED), Process::api(&cluster.url, &LOGGED)];
        let worker = Process::worker(&cluster.url, &LOGGED, &[]);
        let ops = Client::sign_in(&apis[0].base(), "ops").await;
        let book = Book::default();
        let mut riders = Vec::new();
        for n in 0..RIDERS {
            let rider = Client::sign_in(&apis[n % 2].base(), &format!("rider{n}")).await;
            let trip = trip(&ops, n).await;
            let money = json!({"amount": "1000.00", "reference": format!("first {n}")});
            let answer = ops.post(&format!("/v1/ops/wallets/{}/top-ups", rider.id), &money).await;
            answer.expect(201);
            riders.push((rider, trip));
        }
        Self { apis, worker, ops, riders, book }
    }

    /// Every rider does one of each at the same time. Ends when all have ended.
    pub fn phase(&self, nr: usize) -> tokio::task::JoinSet<()> {
        let mut all = tokio::task::JoinSet::new();
        for (n, (rider, trip)) in self.riders.iter().enumerate() {
            let turn = Turn {
                rider: rider.clone(),
                ops: self.ops.clone(),
                trip: trip.clone(),
                name: format!("phase-{nr}.rider-{n}"),
                seat: nr * 4 + 1,
                book: self.book.clone(),
            };
            all.spawn(async move {
                let _ = turn.run().await;
            });
        }
        all
    }
}

async fn trip(ops: &Client, n: usize) -> String {
    let departs = chrono::Utc::now() + chrono::Duration::days(2);
    let trip = json!({"bus_id": n + 1, "direction": 0, "departs_at": departs, "price": "4.00", "capacity": 40,
        "arrives_at": departs + chrono::Duration::hours(1)});
    ops.post("/v1/ops/trips", &trip).await.expect(201)["id"].as_str().unwrap().to_owned()
}

/// What one rider does in a phase: with keys and without.
struct Turn {
    rider: Client,
    ops: Client,
    trip: String,
    name: String,
    seat: usize,
    book: Book,
}

impl Turn {
    /// What fails because the database went away is left out.
    async fn run(&self) -> Option<()> {
        let (rider, book) = (&self.rider, &self.book);
        let order = self.booked(&self.key("a"), 0).await?;
        // The same request again, which is the same change.
        let again = self.key("a").book(&self.trip, &[&self.seat.to_string()]).await;
        assert!(!again.status.is_success() || again.body["id"] == order.as_str(), "{}", again.text);
        let paid = self.key("b").pay(&order).await;
        book.note(What::Paid, Some(&order), &paid)?;
        book.note(What::Refunded, Some(&order), &self.key("c").refund(&order).await)?;
        let order = self.booked(rider, 1).await?;
        book.note(What::Paid, Some(&order), &rider.pay_with(&order, PAY_PASSWORD).await)?;
        let order = self.booked(&self.key("d"), 2).await?;
        book.note(What::Cancelled, Some(&order), &self.key("e").cancel(&order).await)?;
        let order = self.booked(rider, 3).await?;
        book.note(What::Cancelled, Some(&order), &rider.cancel(&order).await)?;
        let money: Value = json!({"amount": "1.00", "reference": self.name});
        let path = format!("/v1/ops/wallets/{}/top-ups", rider.id);
        book.note(What::ToppedUp, None, &self.ops.key(&self.name).post(&path, &money).await).map(drop)
    }

    async fn booked(&self, rider: &Client, nth: usize) -> Option<String> {
        let seat = (self.seat + nth).to_string();
        self.book.note(What::Booked, None, &rider.book(&self.trip, &[&seat]).await)
    }

    fn key(&self, name: &str) -> Client {
        self.rider.key(&format!("{}.{name}", self.name))
    }
}
