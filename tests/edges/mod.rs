//! Loads on the edges: an hour without workers, a full disk, a storm of connections, years of old orders.
//!
//! What is small of it is part of every test run; what is large is run on request, and its figures are in
//! docs/benchmarks/2026-11-29-reliability.md:
//!
//! ```console
//! $ cargo test --profile fast --test farebox-tests edges -- --ignored --nocapture --test-threads 1
//! ```

mod disk;
mod old_orders;
mod overdue;
mod storm;

use crate::harness::{Client, OwnServer, new_rider, settings};
use farebox::{
    accounts::{self, Role},
    app as parts,
    verify::{self, Scope},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

/// A month of orders: their number, and the number of unpaid ones.
struct Month {
    orders: u64,
    unpaid: u64,
}

impl Month {
    /// Fills the empty database with it. Five jobs have ended for each order.
    async fn fill(&self, own: &OwnServer) {
        let pool = own.pool();
        let saga = parts::saga_context(&settings(), pool.clone()).unwrap();
        accounts::register(&pool, &saga.passwords, &new_rider("model"), Role::Rider).await.unwrap();
        pool.close().await;
        let text = include_str!("../console/big.sql")
            .replace(":orders", &self.orders.to_string())
            .replace(":jobs", &(self.orders * 5).to_string())
            .replace(":live", &self.unpaid.to_string())
            .replace(":accounts", "0")
            .replace(":acts", "0")
            .replace(":dead", "0");
        let mut db = PgConnection::connect(&own.url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut db).await.unwrap();
    }
}

/// New riders, each with its own trip.
async fn riders_with_trips(own: &OwnServer, many: usize) -> Vec<(Client, String)> {
    let pool = own.pool();
    let saga = parts::saga_context(&settings(), pool.clone()).unwrap();
    let mut riders = Vec::new();
    for n in 0..many {
        let name = format!("edge{n}");
        accounts::register(&pool, &saga.passwords, &new_rider(&name), Role::Rider).await.unwrap();
        let rider = Client::sign_in(&own.base(), &name).await;
        own.top_up(&rider, "1000.00").await;
        riders.push((rider, own.another_trip().await));
    }
    pool.close().await;
    riders
}

/// The invariants that do not hold.
async fn broken(pool: &PgPool) -> Vec<&'static str> {
    let verdicts = verify::verify(pool, Scope::Whole).await.unwrap();
    verdicts.into_iter().filter(|verdict| !verdict.holds).map(|verdict| verdict.name).collect()
}
