//! The queue against its floor and its peers, in one run on one server. See
//! docs/benchmarks/2026-11-27-queue.md.

mod contender;
mod counter;
mod meter;
mod ours;
mod peers;
mod tables;

use anyhow::Result;
use clap::Parser;
use contender::{Args, pool};

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let control = pool(&args.url).await?;
    ours::setup(&control).await?;
    let settings: Vec<(String, String)> = sqlx::query_as(
        "select name, setting from pg_settings where name in ('server_version', 'fsync', 'synchronous_commit',
         'full_page_writes', 'shared_buffers', 'autovacuum') order by name",
    )
    .fetch_all(&control)
    .await?;
    println!("server: {settings:?}; cpus: {}", std::thread::available_parallelism()?);
    if args.jobs > 0 {
        tables::throughput(&args).await?;
    }
    if !args.quick {
        tables::pickup(&args).await?;
        tables::lateness(&args).await?;
        tables::business(&args).await?;
    }
    if let Some(millions) = args.backlog {
        tables::backlog(&args, millions).await?;
    }
    Ok(())
}
