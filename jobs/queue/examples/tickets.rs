//! Orders tickets and sends them: each order and its job commit together, and so do each sending
//! and the job's completion.
//!
//! ```sh
//! DATABASE_URL=postgres://localhost/test cargo run -p farebox-queue --example tickets
//! ```

use farebox_queue::{
    self as queue, Delivery, Due, Job, JobError, NewJob, Outcome, RetryPolicy, WorkerConfig,
};
use serde::{Deserialize, Serialize};
use sqlx::{Executor, PgPool};
use std::{error::Error, time::Duration};
use tokio::time::sleep;

const ORDERS: i32 = 10;

/// Sends the tickets of an order.
#[derive(Serialize, Deserialize)]
struct SendTickets {
    order: i32,
}

impl Job for SendTickets {
    const TAG: &'static str = "send_tickets";
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy =
        RetryPolicy { max_attempts: 10, base: Duration::from_millis(50), cap: Duration::from_secs(5) };

    fn key(&self) -> String {
        self.order.to_string()
    }
}

async fn order(pool: &PgPool, order: i32) -> Result<(), sqlx::Error> {
    let mut tx = queue::begin(pool).await?;
    sqlx::query("insert into example_order (id) values ($1)").bind(order).execute(&mut *tx).await?;
    queue::enqueue(&mut tx, &[NewJob::of(&SendTickets { order })], Due::Now).await?;
    tx.commit().await
}

async fn send(pool: PgPool, delivery: Delivery) -> Result<Outcome, JobError> {
    let job: SendTickets = delivery.decode()?;
    if job.order % 3 == 0 && delivery.lease.attempt == 1 {
        return Err(JobError::retry("the printer is out of paper"));
    }
    let mut tx = queue::begin(&pool).await?;
    sqlx::query("update example_order set sent = sent + 1 where id = $1")
        .bind(job.order)
        .execute(&mut *tx)
        .await?;
    delivery.lease.complete(&mut tx, Some("sent")).await?;
    tx.commit().await?;
    Ok(Outcome::Settled)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let pool = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    queue::migrate(&mut *pool.acquire().await?).await?;
    pool.execute(
        "drop table if exists example_order;
         create table example_order (id integer primary key, sent integer not null default 0);
         delete from queue.job where tag = 'send_tickets'",
    )
    .await?;
    for number in 1..=ORDERS {
        order(&pool, number).await?;
    }

    let all_sent = async {
        let left = "select count(*) from example_order where sent = 0";
        while sqlx::query_scalar::<_, i64>(left).fetch_one(&pool).await.unwrap_or(1) > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let handler_pool = pool.clone();
    let handler = move |delivery| send(handler_pool.clone(), delivery);
    let config = WorkerConfig::new("example", &[SendTickets::TAG]);
    queue::run(pool.clone(), config, |_: &str| SendTickets::RETRY, handler, all_sent).await?;

    let sent: i64 = sqlx::query_scalar("select sum(sent) from example_order").fetch_one(&pool).await?;
    println!("{sent} orders sent, each once");
    pool.execute("drop table example_order").await?;
    Ok(())
}
