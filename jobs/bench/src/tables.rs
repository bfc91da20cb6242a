//! The measurements, each printed as a table.

use crate::{Args, Contender, Measured, counter::COUNTER, measure, ours, pool};
use anyhow::{Context, Result};
use farebox_jobs::queue::{self, Due};
use sqlx::{Executor, PgPool};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::timeout};

const CONNECTIONS: usize = 8;
/// The large batch, as graphile_worker's local queue is measured with.
const LARGE: usize = 500;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// Who is measured at so many slots, and with which batch.
fn contenders(args: &Args, slots: usize) -> Vec<(Contender, usize)> {
    use Contender::{Bare, Done, Floor, Graphile, Settled, Stock};
    let all = [
        (Floor, slots),
        (Bare, slots),
        (Done, slots),
        (Settled, slots),
        (Graphile, slots),
        (Stock, slots),
        (Floor, LARGE),
        (Bare, LARGE),
        (Done, LARGE),
        (Graphile, LARGE),
    ];
    let wanted = |name: &str| args.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    all.into_iter().filter(|(who, _)| *who == Floor || wanted(who.name())).collect()
}

pub async fn throughput(args: &Args) -> Result<()> {
    println!(
        "\n| slots | batch | | × floor of that batch | jobs/s | WAL B/job | dead/job | updates/job (HOT) | client CPU µs/job | server CPU µs/job |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for slots in args.slots.iter().copied() {
        let who = contenders(args, slots);
        let mut results: Vec<Vec<Measured>> = vec![Vec::new(); who.len()];
        for _ in 0..args.runs {
            for ((contender, batch), results) in who.iter().zip(&mut results) {
                let jobs = match (contender, (*batch).max(slots)) {
                    (Contender::Settled | Contender::Stock, _) => args.jobs / 8,
                    (_, 1) => args.jobs / 8,
                    (_, 2..100) => args.jobs / 2,
                    _ => args.jobs,
                };
                match measure(*contender, &args.url, slots, *batch, jobs, true).await {
                    Ok(measured) => results.push(measured),
                    Err(error) => println!("<!-- {} at {slots}: {error:#} -->", contender.name()),
                }
            }
        }
        let of =
            |results: &[Measured], value: fn(&Measured) -> f64| median(results.iter().map(value).collect());
        for (at, ((contender, batch), measured)) in who.iter().zip(&results).enumerate() {
            let floor = who.iter().position(|peer| *peer == (Contender::Floor, *batch)).unwrap_or(at);
            let (rate, floor) = (of(measured, |m| m.rate), of(&results[floor], |m| m.rate));
            println!(
                "| {slots} | {batch} | {} | {:.2} | {rate:.0} | {:.0} | {:.2} | {:.2} ({:.2}) | {:.1} | {:.1} |",
                contender.name(),
                rate / floor,
                of(measured, |m| m.cost.wal),
                of(measured, |m| m.cost.dead),
                of(measured, |m| m.cost.updates),
                of(measured, |m| m.cost.hot),
                of(measured, |m| m.cost.client) * 1e6,
                of(measured, |m| m.cost.server.unwrap_or(f64::NAN)) * 1e6,
            );
        }
    }
    Ok(())
}

pub async fn send(pool: &PgPool, n: usize) -> Result<()> {
    let mut tx = pool.begin().await?;
    queue::enqueue(&mut tx, &[ours::job(n)], Due::Now).await?;
    COUNTER.sent(n);
    tx.commit().await?;
    Ok(())
}

pub async fn pickup(args: &Args) -> Result<()> {
    println!(
        "\nPickup, from the commit's beginning to the handler's, 100 slots:\n\n| | jobs/s | p50 ms | p99 ms | max ms |\n|---|---|---|---|---|"
    );
    for who in [Contender::Done, Contender::Graphile, Contender::Stock] {
        for rate in [100, 1_000] {
            if let Err(error) = pickup_at(args, who, rate).await {
                println!("| {} | {rate} | {error:#} | | |", who.name());
            }
        }
    }
    Ok(())
}

async fn pickup_at(args: &Args, who: Contender, rate: usize) -> Result<()> {
    let jobs = rate * 5;
    let pool = pool(&args.url).await?;
    who.fill(&pool, 0).await?;
    COUNTER.begin(jobs, true);
    let worker = {
        let pool = crate::pool(&args.url).await?;
        tokio::spawn(async move { who.work(&pool, 100, 100).await })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    let mut sending = JoinSet::new();
    for n in 0..jobs {
        tokio::time::sleep_until((begun + Duration::from_secs_f64(n as f64 / rate as f64)).into()).await;
        let pool = pool.clone();
        sending.spawn(async move { who.send(&pool, n).await });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    timeout(Duration::from_secs(60), worker).await.context("jobs were left over")???;
    let waits = COUNTER.waits();
    println!(
        "| {} | {rate} | {:.2} | {:.2} | {:.1} |",
        who.name(),
        percentile(&waits, 50),
        percentile(&waits, 99),
        percentile(&waits, 100)
    );
    Ok(())
}

pub async fn lateness(args: &Args) -> Result<()> {
    const JOBS: usize = 10_000;
    const SPREAD: Duration = Duration::from_secs(5);
    let pool = pool(&args.url).await?;
    ours::fill(&pool, 0).await?;
    COUNTER.begin(JOBS, true);
    ours::EARLY.store(0, Ordering::SeqCst);
    let base = std::time::SystemTime::now() + Duration::from_secs(10);
    let mut tx = pool.begin().await?;
    // Ten at a time fall due together: a statement each would take longer than the head start.
    for first in (0..JOBS).step_by(10) {
        let due = base + SPREAD * u32::try_from(first)? / u32::try_from(JOBS)?;
        let jobs: Vec<_> = (first..first + 10).map(ours::job).collect();
        queue::enqueue(&mut tx, &jobs, Due::At(due.into())).await?;
        (first..first + 10).for_each(|n| COUNTER.sent_at(n, due));
    }
    tx.commit().await?;
    anyhow::ensure!(base > std::time::SystemTime::now(), "enqueuing took too long");
    timeout(Duration::from_secs(60), ours::work(&pool, 100, 100, false))
        .await
        .context("jobs were left over")??;
    let waits = COUNTER.waits();
    println!(
        "\nLateness of {JOBS} delayed jobs due over {SPREAD:?}: p50 {:.2} ms, p99 {:.2} ms, max {:.1} ms; early: {}",
        percentile(&waits, 50),
        percentile(&waits, 99),
        percentile(&waits, 100),
        ours::EARLY.load(Ordering::SeqCst)
    );
    Ok(())
}

#[derive(Clone, Copy)]
enum With {
    Nothing,
    Delayed,
    Immediate,
}

pub async fn business(args: &Args) -> Result<()> {
    let kinds = [With::Nothing, With::Delayed, With::Immediate];
    let mut rates = vec![Vec::new(); kinds.len()];
    for _ in 0..args.runs {
        for (kind, rates) in kinds.iter().zip(&mut rates) {
            rates.push(transactions(args, *kind).await?);
        }
    }
    let rates: Vec<f64> = rates.into_iter().map(median).collect();
    println!(
        "\nA transaction of one insert, {CONNECTIONS} connections, no worker:\n\n| | × without | transactions/s |\n|---|---|---|"
    );
    for (name, rate) in ["without", "with a delayed job", "with an immediate job"].iter().zip(&rates) {
        println!("| {name} | {:.2} | {rate:.0} |", rate / rates[0]);
    }
    Ok(())
}

async fn transactions(args: &Args, with: With) -> Result<f64> {
    static DONE: AtomicU64 = AtomicU64::new(0);
    let pool = pool(&args.url).await?;
    ours::fill(&pool, 0).await?;
    pool.execute("truncate bench_effect").await?;
    DONE.store(0, Ordering::SeqCst);
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let pool = pool.clone();
        clients.spawn(async move {
            while begun.elapsed() < Duration::from_secs(3) {
                let mut tx = pool.begin().await?;
                sqlx::query("insert into bench_effect (note) values ('booked')").execute(&mut *tx).await?;
                let due = match with {
                    With::Nothing => None,
                    With::Delayed => Some(Due::In(Duration::from_secs(3_600))),
                    With::Immediate => Some(Due::Now),
                };
                if let Some(due) = due {
                    queue::enqueue(&mut tx, &[ours::job(0)], due).await?;
                }
                tx.commit().await?;
                DONE.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    Ok(DONE.load(Ordering::SeqCst) as f64 / begun.elapsed().as_secs_f64())
}

/// The same measurement before and behind a backlog.
pub async fn backlog(args: &Args, millions: usize) -> Result<()> {
    let who = Contender::Done;
    let alone = measure(who, &args.url, 100, 100, args.jobs, true).await?.rate;
    let pool = pool(&args.url).await?;
    ours::fill(&pool, 0).await?;
    for _ in 0..millions {
        pool.execute(
            "insert into queue.finished (id, tag, key, payload, outcome, attempt, failures, run_at, created_at)
             select gen_random_uuid(), 'noop', n::text, '{\"n\": 0}', 'done', 1, '[]', now(), now()
             from generate_series(1, 1000000) n",
        )
        .await?;
    }
    pool.execute(
        "insert into queue.job (id, tag, key, payload, max_attempts, run_at)
         select gen_random_uuid(), 'noop', n::text, '{\"n\": 0}', 5, now() - interval '1 s' + n * interval '1 us'
         from generate_series(1, 1000000) n",
    )
    .await?;
    pool.execute("vacuum analyze queue.job").await?;
    let behind = measure(who, &args.url, 100, 100, args.jobs, false).await?.rate;
    println!(
        "\n1,000,000 ready and {millions},000,000 finished jobs: {behind:.0} jobs/s against {alone:.0}: × {:.2}",
        behind / alone
    );
    Ok(())
}
