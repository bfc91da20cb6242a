//! The measurements, each printed as a table.

use crate::{
    contender::{self, Args, Contender, Measured, measure, pool},
    counter::COUNTER,
    ours,
};
use anyhow::{Context, Result};
use farebox_queue::{self as queue, Due, Notifier};
use sqlx::{AssertSqlSafe, Executor};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::timeout};
use uuid::Uuid;

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

/// The contenders measured at this number of slots, and with which batch.
fn contenders(args: &Args, slots: usize) -> Vec<(Contender, usize)> {
    use Contender::{Bare, Done, Floor, Graphile, River, Settled, Stock, Unwaited};
    let all = [
        (Floor, slots),
        (Unwaited, slots),
        (Bare, slots),
        (Done, slots),
        (Settled, slots),
        (Graphile, slots),
        (Stock, slots),
        (River, slots),
        (Floor, LARGE),
        (Unwaited, LARGE),
        (Bare, LARGE),
        (Done, LARGE),
        (Graphile, LARGE),
    ];
    let wanted = |name: &str| args.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    all.into_iter().filter(|(who, _)| matches!(who, Floor | Unwaited) || wanted(who.name())).collect()
}

pub async fn throughput(args: &Args) -> Result<()> {
    println!(
        "\n| slots | batch | | × floor of that batch | × the one that does not wait | jobs/s | WAL B/job | dead/job | updates/job (HOT) | client CPU µs/job | server CPU µs/job |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for slots in args.slots.iter().copied() {
        let who = contenders(args, slots);
        let mut results: Vec<Vec<Measured>> = vec![Vec::new(); who.len()];
        for _ in 0..args.runs {
            for ((contender, batch), results) in who.iter().zip(&mut results) {
                let jobs = match (contender, (*batch).max(slots)) {
                    (Contender::Settled | Contender::Stock | Contender::River, _) => args.jobs / 8,
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
            let rate = of(measured, |m| m.rate);
            let ratio = |floor| {
                let floor = who.iter().position(|peer| *peer == (floor, *batch)).unwrap_or(at);
                rate / of(&results[floor], |m| m.rate)
            };
            println!(
                "| {slots} | {batch} | {} | {:.2} | {:.2} | {rate:.0} | {:.0} | {:.2} | {:.2} ({:.2}) | {:.1} | {:.1} |",
                contender.name(),
                ratio(Contender::Floor),
                ratio(Contender::Unwaited),
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

pub async fn pickup(args: &Args) -> Result<()> {
    println!(
        "\nPickup, 100 slots, ms (p50 / p99):\n\n| | jobs/s | the enqueuing commit | from its end to the handler | from its beginning |\n|---|---|---|---|---|"
    );
    for rate in [100, 1_000] {
        for who in [Contender::Done, Contender::Graphile, Contender::Stock] {
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
        let pool = contender::pool(&args.url).await?;
        tokio::spawn(async move { who.work(&pool, 100, 100).await })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    let notifier = Notifier::start((*pool.connect_options()).clone());
    let begun = Instant::now();
    let mut sending = JoinSet::new();
    for n in 0..jobs {
        tokio::time::sleep_until((begun + Duration::from_secs_f64(n as f64 / rate as f64)).into()).await;
        let (pool, notifier) = (pool.clone(), notifier.clone());
        sending.spawn(async move { who.send(&pool, &notifier, n).await });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    timeout(Duration::from_secs(60), worker).await.context("jobs were left over")???;
    let shown = |waits: &[f64]| format!("{:.1} / {:.1}", percentile(waits, 50), percentile(waits, 99));
    println!(
        "| {} | {rate} | {} | {} | {} |",
        who.name(),
        shown(&COUNTER.commits()),
        shown(&COUNTER.after_commits()),
        shown(&COUNTER.waits())
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

/// Trips and their seats in the booking that is measured.
const TRIPS: i64 = 5_000;
const SEATS: i32 = 40;

/// A booking on Farebox's own tables, in one statement: the key, the seat, both barrier rows, the
/// order and its history.
const BOOK: &str = "
    with keyed as (
        insert into idempotency (actor, key, fingerprint, subject) values ($3, $4::text, '\\x00', $4)
    ), taken as (
        update seat set order_id = $4, held_until = now() + interval '5 min'
        where trip_id = $1 and seat = $2 and order_id is null returning order_id
    ), stepped as (
        insert into barrier (subject, step, done_at)
        select order_id, step, now() from taken, (values ('order_add_seats_cancle'), ('order_add_cancle')) as s (step)
    ), booked as (
        insert into orders (id, rider_id, trip_id, seats, unit_price, amount, status, created_at, expires_at)
        select order_id, $3, $1, array[$2], 4.00, 4.00, 'unpaid', now(), now() + interval '5 min' from taken
    ), shown as (
        insert into order_event (order_id, status, reason) select order_id, 'unpaid', 'booked' from taken
    )";
/// One job more in it.
const ARM: &str = ", armed as (
        insert into queue.job (id, tag, key, payload, max_attempts, run_at)
        select $5, 'noop', order_id::text, $6, 25, now() + interval '5 min' from taken
    )";
const BOOKED: &str = " select count(*) from taken";

/// What an enqueue costs the booking that makes it, in one statement with it.
pub async fn business(args: &Args) -> Result<()> {
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..args.runs {
        for (arms, rates) in [false, true].into_iter().zip(&mut rates) {
            rates.push(bookings(args, arms).await?);
        }
    }
    let [without, with] = rates.map(median);
    println!(
        "\nA booking of one seat in one statement, {CONNECTIONS} connections, no worker:\n\n| | × without | bookings/s |\n|---|---|---|"
    );
    println!(
        "| without a job | 1.00 | {without:.0} |\n| arms its undo | {:.2} | {with:.0} |",
        with / without
    );
    Ok(())
}

async fn bookings(args: &Args, arms: bool) -> Result<f64> {
    static DONE: AtomicU64 = AtomicU64::new(0);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let pool = pool(&args.url).await?;
    ours::fill(&pool, 0).await?;
    pool.execute("truncate orders, order_event, barrier, idempotency, seat, trip cascade").await?;
    let trips: Vec<Uuid> = sqlx::query_scalar(
        "insert into trip (id, bus_id, direction, departs_at, arrives_at, price, capacity)
         select gen_random_uuid(), 1, 0, now() + interval '1 day', now() + interval '2 days', 4.00, $2
         from generate_series(1, $1) returning id",
    )
    .bind(TRIPS)
    .bind(SEATS)
    .fetch_all(&pool)
    .await?;
    sqlx::query("insert into seat (trip_id, seat) select id, s from trip, generate_series(1, $1) s")
        .bind(SEATS)
        .execute(&pool)
        .await?;
    pool.execute("vacuum analyze seat").await?;
    pool.execute("checkpoint").await?;
    let trips = Arc::new(trips);
    DONE.store(0, Ordering::SeqCst);
    NEXT.store(0, Ordering::SeqCst);
    let sql = if arms { format!("{BOOK}{ARM}{BOOKED}") } else { format!("{BOOK}{BOOKED}") };
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (pool, sql, trips) = (pool.clone(), sql.clone(), Arc::clone(&trips));
        clients.spawn(async move {
            let mut conn = pool.acquire().await?;
            while begun.elapsed() < Duration::from_secs(5) {
                // Each seat once, on trips far apart, until they are all gone.
                let at = NEXT.fetch_add(1, Ordering::Relaxed);
                let trip = trips[usize::try_from(at * 7_919)? % trips.len()];
                let seat = i32::try_from(at / u64::try_from(TRIPS)?)? % SEATS + 1;
                let job = ours::job(0);
                let query = sqlx::query(AssertSqlSafe(sql.as_str()));
                let query = query.bind(trip).bind(seat).bind(Uuid::new_v4()).bind(job.id);
                let query = if arms { query.bind(Uuid::now_v7()).bind(job.payload) } else { query };
                query.execute(&mut *conn).await?;
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

/// Ids in the order of their making, as `Uuid::now_v7` makes them.
const UUID7: &str = "
    create or replace function pg_temp.uuid7() returns uuid language sql volatile as $$
        select (left(h, 8) || '-' || right(h, 4) || '-7' || substr(r, 16))::uuid
        from (select lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') as h,
                     gen_random_uuid()::text as r) x
    $$";

/// The same measurement before and behind a backlog.
pub async fn backlog(args: &Args, millions: usize) -> Result<()> {
    let who = Contender::Done;
    let alone = measure(who, &args.url, 100, 100, args.jobs, true).await?.rate;
    let pool = pool(&args.url).await?;
    ours::fill(&pool, 0).await?;
    let mut conn = pool.acquire().await?;
    conn.execute(UUID7).await?;
    for _ in 0..millions {
        conn.execute(
            "insert into queue.finished (id, tag, key, payload, outcome, attempt, failures, run_at, created_at)
             select id, 'noop', id::text, '{\"n\": 0}', 'done', 1, '[]', now(), now()
             from (select pg_temp.uuid7() as id from generate_series(1, 1000000)) x",
        )
        .await?;
    }
    conn.execute(
        "insert into queue.job (id, tag, key, payload, max_attempts, run_at)
         select id, 'noop', id::text, '{\"n\": 0}', 5, now() - interval '1 s' + n * interval '1 us'
         from (select n, pg_temp.uuid7() as id from generate_series(1, 1000000) n) x",
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
