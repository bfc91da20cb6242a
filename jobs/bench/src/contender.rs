//! Who is measured, and one measurement.

use crate::{
    counter::COUNTER,
    meter::{Cost, Meter},
    ours,
    peers::{graphile, river, stock},
};
use anyhow::{Context, Result};
use clap::Parser;
use farebox_queue::Notifier;
use sqlx::{Executor, PgPool, postgres::PgPoolOptions};
use std::time::Duration;
use tokio::time::timeout;

/// Longer than any measurement takes.
const LIMIT: Duration = Duration::from_secs(180);

#[derive(Parser)]
pub struct Args {
    /// A database that may be filled with benchmark tables; its role must be a superuser.
    #[arg(long, env = "BENCH_URL")]
    pub url: String,
    /// No-op jobs of a measurement at concurrency 100; a half of it with batches below 100, an
    /// eighth where a statement takes one job; 0 for none.
    #[arg(long, default_value_t = 80_000)]
    pub jobs: usize,
    /// Measurements of each kind, taking turns; the median counts.
    #[arg(long, default_value_t = 3)]
    pub runs: usize,
    /// Only contenders whose name contains this.
    #[arg(long)]
    pub only: Option<String>,
    /// The numbers of slots.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100])]
    pub slots: Vec<usize>,
    /// Only throughput.
    #[arg(long)]
    pub quick: bool,
    /// Also with 1,000,000 ready jobs and this many million finished ones.
    #[arg(long)]
    pub backlog: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    Floor,
    Unwaited,
    Bare,
    Done,
    Settled,
    Graphile,
    Stock,
    River,
}

impl Contender {
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Unwaited => "floor that does not wait for the disk",
            Self::Bare => "our statement in the floor's loop",
            Self::Done => "ours, acked in batches",
            Self::Settled => "ours, settled by the handler",
            Self::Graphile => "graphile_worker",
            Self::Stock => "apalis-postgres",
            Self::River => "riverqueue",
        }
    }

    pub async fn fill(self, pool: &PgPool, jobs: usize) -> Result<()> {
        match self {
            Self::Floor | Self::Unwaited | Self::Bare | Self::Done | Self::Settled => {
                ours::fill(pool, jobs).await
            }
            Self::Graphile => graphile::fill(pool, jobs).await,
            Self::Stock => stock::fill(pool, jobs).await,
            Self::River => river::fill(pool, jobs).await,
        }
    }

    /// `batch`: the jobs of one statement; to graphile_worker, the size of its local queue.
    pub async fn work(self, pool: &PgPool, slots: usize, batch: usize) -> Result<()> {
        match self {
            Self::Floor => ours::floor(&pool.connect_options(), batch, true).await,
            Self::Unwaited => ours::floor(&pool.connect_options(), batch, false).await,
            Self::Bare => ours::bare(&pool.connect_options(), batch).await,
            Self::Done => ours::work(pool, slots, batch, false).await,
            Self::Settled => ours::work(pool, slots, batch, true).await,
            Self::Graphile => graphile::work(pool, slots, batch).await,
            Self::Stock => stock::work(pool, slots).await,
            Self::River => river::work(pool, slots).await,
        }
    }

    /// Enqueues one job in a transaction of its own.
    pub async fn send(self, pool: &PgPool, notifier: &Notifier, n: usize) -> Result<()> {
        match self {
            Self::Graphile => graphile::send(pool, n).await,
            Self::Stock => stock::push(pool, &[n]).await,
            Self::River => river::send(pool, n).await,
            _ => ours::send(pool, notifier, n).await,
        }?;
        COUNTER.committed(n);
        Ok(())
    }
}

/// Jobs a second, and their cost.
#[derive(Clone, Copy)]
pub struct Measured {
    pub rate: f64,
    pub cost: Cost,
}

/// A pool of the worker's own, so that closing it makes its backends report their statistics.
pub async fn pool(url: &str) -> Result<PgPool> {
    Ok(PgPoolOptions::new().max_connections(16).connect(url).await?)
}

pub async fn measure(
    who: Contender,
    url: &str,
    slots: usize,
    batch: usize,
    jobs: usize,
    fill: bool,
) -> Result<Measured> {
    let control = pool(url).await?;
    if fill {
        who.fill(&control, jobs).await.context("filling")?;
    }
    control.execute("checkpoint").await?;
    COUNTER.begin(jobs, false);
    let workers = pool(url).await?;
    let meter = Meter::start(&control).await?;
    timeout(LIMIT, who.work(&workers, slots, batch)).await.context("took too long")??;
    let mut cost = meter.stop(&control, jobs).await?;
    workers.close().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    cost.tuples(&control, jobs).await?;
    Ok(Measured { rate: COUNTER.rate(), cost })
}
