//! A job that fails becomes a dead letter; an operator reads its error, and redrives it once the
//! cause is gone.
//!
//! ```sh
//! DATABASE_URL=postgres://localhost/test cargo run -p farebox-queue --example dead_letters
//! ```

use farebox_queue::{
    self as queue, Delivery, Due, Job, JobError, NewJob, Outcome, RetryPolicy, WorkerConfig,
    admin::{self, DeadFilter, JobFilter, JobTable},
};
use serde::{Deserialize, Serialize};
use sqlx::{Executor, PgPool};
use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

/// Charges an account.
#[derive(Serialize, Deserialize)]
struct Charge {
    account: String,
}

impl Job for Charge {
    const TAG: &'static str = "charge";
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy =
        RetryPolicy { max_attempts: 3, base: Duration::from_millis(20), cap: Duration::from_millis(50) };

    fn key(&self) -> String {
        self.account.clone()
    }
}

async fn charge(is_open: bool, delivery: Delivery) -> Result<Outcome, JobError> {
    let job: Charge = delivery.decode()?;
    if !is_open {
        return Err(JobError::retry(format!("the bank refuses {}", job.account)));
    }
    Ok(Outcome::Done(Some("charged".to_owned())))
}

/// Works until no job is left in this table.
async fn work_until_empty(
    pool: &PgPool,
    bank: &Arc<AtomicBool>,
    table: &'static [JobTable],
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let filter = JobFilter { tables: table, tags: vec![Charge::TAG.to_owned()], ..JobFilter::default() };
    let empty = async {
        while !admin::list(pool, &filter, 1).await.is_ok_and(|jobs| jobs.is_empty()) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let bank = Arc::clone(bank);
    let handler = move |delivery| charge(bank.load(Ordering::Relaxed), delivery);
    let config = WorkerConfig::new("example", &[Charge::TAG]);
    Ok(queue::run(pool.clone(), config, |_: &str| Charge::RETRY, handler, empty).await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let pool = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    queue::migrate(&mut *pool.acquire().await?).await?;
    pool.execute(
        "delete from queue.job where tag = 'charge'; delete from queue.dead_letter where tag = 'charge'",
    )
    .await?;
    let job = NewJob::of(&Charge { account: "ann".to_owned() });
    queue::enqueue(&mut *pool.acquire().await?, std::slice::from_ref(&job), Due::Now).await?;

    let bank = Arc::new(AtomicBool::new(false));
    work_until_empty(&pool, &bank, &[JobTable::Live]).await?;
    let dead = admin::find(&pool, job.id).await?.ok_or("the job is gone")?;
    println!("{} after {} attempts: {}", dead.state, dead.attempt, dead.last_error().unwrap_or_default());

    bank.store(true, Ordering::Relaxed);
    let which = DeadFilter { tag: Some(Charge::TAG.to_owned()), ..DeadFilter::default() };
    let redriven = admin::redrive(&mut *pool.acquire().await?, &which).await?;
    work_until_empty(&pool, &bank, &[JobTable::Live]).await?;
    let done = admin::find(&pool, job.id).await?.ok_or("the job is gone")?;
    println!("{redriven} redriven; now {}: {}", done.state, done.note.unwrap_or_default());
    Ok(())
}
