//! The faults of docs/decisions/0001-own-apalis-backend.md, tried against River. It prints what happened;
//! the record is docs/benchmarks/2026-11-29-river.md. The role must be a superuser.
//!
//! ```sh
//! cd jobs/bench
//! DATABASE_URL=postgres://localhost/an_empty_database cargo run --example river_faults
//! ```

use anyhow::{Context, Result};
use riverqueue::{
    BoxError, Client, InsertOpts, Job, JobArgs, MaintenanceConfig, QueueConfig, Retention, RunHandle,
    UniqueOpts, WorkContext, WorkOutcome, Workers, database::begin_postgres, jiff::Timestamp,
    migrate::PostgresMigrator,
};
use serde::{Deserialize, Serialize};
use sqlx::{Executor, PgPool, postgres::PgPoolOptions};
use std::{
    process::{Child, Command},
    time::{Duration, Instant},
};

#[derive(Clone, Debug, Deserialize, JobArgs, Serialize)]
#[river(kind = "trial")]
struct Trial {
    n: i64,
    act: Act,
}

/// What it does when it runs; times are in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
enum Act {
    Nothing,
    Fail,
    Panic,
    Sleep(u64),
    /// Sleeps, and then commits its effect with its completion.
    Effect(u64),
}

/// The stuck-job rescuer's time in the trials that wait for it; the default is an hour.
const RESCUE_AFTER: Duration = Duration::from_secs(3);
/// Only attempts that are longer than the job's timeout are rescued; the default is a minute.
const TIMEOUT: Duration = Duration::from_secs(2);

async fn run_trial(pool: PgPool, context: WorkContext, job: Job<Trial>) -> Result<WorkOutcome, BoxError> {
    sqlx::query("insert into ran (n, attempt) values ($1, $2)")
        .bind(job.args.n)
        .bind(job.row.attempt)
        .execute(&pool)
        .await?;
    match job.args.act {
        Act::Nothing => {}
        Act::Fail => return Err("it failed".into()),
        Act::Panic => panic!("it panicked"),
        Act::Sleep(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Act::Effect(ms) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            let mut tx = begin_postgres(&pool).await?;
            sqlx::query("insert into effect (n) values ($1)").bind(job.args.n).execute(&mut *tx).await?;
            context.job_complete_tx(&mut tx).await?;
            tx.commit().await?;
        }
    }
    Ok(WorkOutcome::Complete)
}

/// Rescues after three seconds, looked at every second.
fn hasty() -> MaintenanceConfig {
    MaintenanceConfig::default().with_rescue_after(RESCUE_AFTER).with_rescuer_interval(Duration::from_secs(1))
}

fn client(pool: &PgPool, id: &str, slots: usize, maintenance: MaintenanceConfig) -> Result<Client> {
    let mut workers = Workers::new();
    let own = pool.clone();
    workers.add_fn(move |context: WorkContext, job: Job<Trial>| run_trial(own.clone(), context, job))?;
    Ok(Client::builder(pool.clone())
        .id(id)
        .workers(workers)
        .queue("default", QueueConfig::new(slots))
        .job_timeout(if maintenance.rescue_after().is_some() { TIMEOUT } else { Duration::from_secs(60) })
        .maintenance(maintenance)
        .build()?)
}

fn start(pool: &PgPool, slots: usize, maintenance: MaintenanceConfig) -> Result<(Client, RunHandle)> {
    let client = client(pool, &format!("trial-{}", uuid::Uuid::now_v7()), slots, maintenance)?;
    let run = client.start()?;
    Ok((client, run))
}

/// A worker as a process of this program, so that it can be killed.
fn process(id: &str) -> Result<Child> {
    Ok(Command::new(std::env::current_exe()?).args(["worker", id]).spawn()?)
}

async fn number(pool: &PgPool, sql: &'static str) -> Result<i64> {
    Ok(sqlx::query_scalar(sql).fetch_one(pool).await?)
}

async fn states(pool: &PgPool) -> Result<String> {
    let sql = "select coalesce(string_agg(state || ' ' || many, ', ' order by state), 'none')
               from (select state::text, count(*) as many from river_job group by state) as s";
    Ok(sqlx::query_scalar(sql).fetch_one(pool).await?)
}

/// Waits until the statement gives this number, or for the time; the time that it took.
async fn wait_for(pool: &PgPool, sql: &'static str, wanted: i64, most: Duration) -> Result<Option<Duration>> {
    let began = Instant::now();
    while began.elapsed() < most {
        if number(pool, sql).await? >= wanted {
            return Ok(Some(began.elapsed()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(None)
}

const RAN: &str = "select count(*) from ran";
const DONE: &str = "select count(*) from river_job where state = 'completed'";

async fn fresh(pool: &PgPool) -> Result<()> {
    pool.execute("truncate river_job, ran, effect").await?;
    Ok(())
}

async fn insert(client: &Client, n: i64, act: Act) -> Result<()> {
    client.insert(Trial { n, act }).await?;
    Ok(())
}

/// The worker is killed, and another one is started under its name.
async fn killed_worker(pool: &PgPool) -> Result<()> {
    fresh(pool).await?;
    let inserter = Client::builder(pool.clone()).build()?;
    insert(&inserter, 1, Act::Sleep(1_500)).await?;
    let mut first = process("same")?;
    wait_for(pool, RAN, 1, Duration::from_secs(20)).await?.context("it never ran")?;
    first.kill()?;
    first.wait()?;
    let mut second = process("same")?;
    let again = wait_for(pool, RAN, 2, Duration::from_secs(25)).await?;
    println!("killed worker, restarted under its name: again after {again:?}; jobs: {}", states(pool).await?);
    second.kill()?;
    second.wait()?;
    let (_, mut run) = start(pool, 5, hasty())?;
    let again = wait_for(pool, DONE, 1, Duration::from_secs(30)).await?;
    println!(
        "the same with rescue after {RESCUE_AFTER:?}: done after {again:?}; jobs: {}",
        states(pool).await?
    );
    run.stop().await?;
    Ok(())
}

async fn panic_and_failure(pool: &PgPool) -> Result<()> {
    fresh(pool).await?;
    let (client, mut run) = start(pool, 5, MaintenanceConfig::default())?;
    insert(&client, 1, Act::Panic).await?;
    insert(&client, 2, Act::Fail).await?;
    wait_for(pool, "select count(*) from river_job where errors is not null", 2, Duration::from_secs(10))
        .await?;
    let retry: Vec<(i64, String, f64, String)> = sqlx::query_as(
        "select (args ->> 'n')::bigint, state::text, extract(epoch from scheduled_at - attempted_at)::float8,
                errors[1] ->> 'error' from river_job order by 1",
    )
    .fetch_all(pool)
    .await?;
    println!("panic, and failure (state, seconds until the retry, error): {retry:?}");
    wait_for(pool, "select count(*) from ran where attempt >= 3", 2, Duration::from_secs(60)).await?;
    let gaps: Vec<(i64, i32, Option<f64>)> = sqlx::query_as(
        "select n, attempt, extract(epoch from at - lag(at) over (partition by n order by attempt))::float8
         from ran order by n, attempt",
    )
    .fetch_all(pool)
    .await?;
    println!("  attempts (n, attempt, seconds since the one before): {gaps:?}");
    run.stop().await?;
    Ok(())
}

/// Jobs that are longer than the timeout and the rescuer's time, and jobs that wait for a slot.
async fn long_jobs(pool: &PgPool) -> Result<()> {
    fresh(pool).await?;
    let (client, mut run) = start(pool, 10, hasty())?;
    for n in 0..10 {
        insert(&client, n, Act::Effect(5_000)).await?;
    }
    tokio::time::sleep(Duration::from_secs(25)).await;
    println!(
        "10 jobs of 5 s that ignore their timeout of {TIMEOUT:?}, rescue after {RESCUE_AFTER:?}: {} attempts, {} effects; jobs: {}",
        number(pool, RAN).await?,
        number(pool, "select count(*) from effect").await?,
        states(pool).await?
    );
    run.stop_and_cancel().await?;
    fresh(pool).await?;
    let (client, mut run) = start(pool, 1, hasty())?;
    for n in 0..10 {
        insert(&client, n, Act::Sleep(1_000)).await?;
    }
    wait_for(pool, DONE, 10, Duration::from_secs(40)).await?;
    println!(
        "10 jobs of 1 s in one slot: {} attempts; jobs: {}",
        number(pool, RAN).await?,
        states(pool).await?
    );
    run.stop().await?;
    Ok(())
}

/// All connections of the worker are cut while handlers run.
async fn cut_connections(pool: &PgPool, url: &str) -> Result<()> {
    fresh(pool).await?;
    let own = PgPoolOptions::new().max_connections(8).connect(url).await?;
    let (client, mut run) = start(&own, 5, MaintenanceConfig::default())?;
    for n in 0..5 {
        insert(&client, n, Act::Sleep(2_000)).await?;
    }
    wait_for(pool, RAN, 5, Duration::from_secs(10)).await?;
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity
               where datname = current_database() and pid <> pg_backend_pid()";
    let mut one = pool.acquire().await?;
    let cut: i64 = sqlx::query_scalar(cut).fetch_one(&mut *one).await?;
    drop(one);
    let done = wait_for(pool, DONE, 5, Duration::from_secs(20)).await?;
    println!(
        "{cut} connections cut while 5 handlers ran: all done after {done:?}, {} attempts; jobs: {}",
        number(pool, RAN).await?,
        states(pool).await?
    );
    insert(&client, 6, Act::Nothing).await?;
    let next = wait_for(pool, RAN, 6, Duration::from_secs(20)).await?;
    println!("  a job after that: ran after {next:?}");
    run.stop().await?;
    Ok(())
}

async fn unreadable_payload(pool: &PgPool) -> Result<()> {
    fresh(pool).await?;
    let (client, mut run) = start(pool, 5, MaintenanceConfig::default())?;
    pool.execute(
        "insert into river_job (args, kind, max_attempts, queue, state, scheduled_at)
         values ('{\"x\": 1}', 'trial', 5, 'default', 'available', now()),
                ('{\"x\": 1}', 'unknown_kind', 5, 'default', 'available', now())",
    )
    .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    insert(&client, 1, Act::Nothing).await?;
    let next = wait_for(pool, RAN, 1, Duration::from_secs(10)).await?;
    let bad: Vec<(String, String, Option<String>)> =
        sqlx::query_as("select kind, state::text, errors[1] ->> 'error' from river_job order by id limit 2")
            .fetch_all(pool)
            .await?;
    println!("unreadable payload and unknown kind: {bad:?}; the next job ran after {next:?}");
    run.stop().await?;
    Ok(())
}

async fn taken_key(pool: &PgPool) -> Result<()> {
    fresh(pool).await?;
    let client = client(pool, "taken", 1, MaintenanceConfig::default())?;
    let unique = || InsertOpts::default().with_unique(UniqueOpts::new().with_by_args(true));
    let job = || Trial { n: 1, act: Act::Nothing };
    client.insert(job()).opts(unique()).await?;
    let mut tx = begin_postgres(pool).await?;
    let second = client.insert(job()).opts(unique()).tx(&mut tx).await?;
    let goes_on = sqlx::query("insert into effect (n) values (1)").execute(&mut *tx).await.is_ok();
    tx.commit().await?;
    println!(
        "taken unique key in a transaction: skipped {}, the transaction goes on: {goes_on}",
        second.unique_skipped_as_duplicate
    );
    let mut run = client.start()?;
    wait_for(pool, DONE, 1, Duration::from_secs(10)).await?;
    run.stop().await?;
    let after = client.insert(job()).opts(unique()).await?;
    println!("  after the job has ended: skipped {}", after.unique_skipped_as_duplicate);
    Ok(())
}

async fn due_times(pool: &PgPool) -> Result<()> {
    fresh(pool).await?;
    let (client, mut run) = start(pool, 100, MaintenanceConfig::default())?;
    let base = Timestamp::now() + Duration::from_secs(3);
    for n in 0..500_i32 {
        let at = base + Duration::from_millis(20) * u32::try_from(n)?;
        let opts = InsertOpts::default().with_scheduled_at(at);
        client.insert(Trial { n: n.into(), act: Act::Nothing }).opts(opts).await?;
    }
    wait_for(pool, DONE, 500, Duration::from_secs(60)).await?;
    let late: (f64, f64, f64) = sqlx::query_as(
        "select min(late), percentile_cont(0.5) within group (order by late), max(late)
         from (select extract(epoch from r.at - (j.scheduled_at))::float8 as late
               from river_job j join ran r on r.n = (j.args ->> 'n')::bigint) as l",
    )
    .fetch_one(pool)
    .await?;
    println!("500 scheduled jobs over 10 s, seconds after the due time (least, median, most): {late:?}");
    run.stop().await?;
    Ok(())
}

async fn finished_jobs(pool: &PgPool) -> Result<()> {
    fresh(pool).await?;
    let cleaning = MaintenanceConfig::default()
        .with_completed_job_retention(Retention::DeleteAfter(Duration::from_secs(1)))
        .with_job_cleaner_interval(Duration::from_secs(1));
    println!("finished jobs: kept {:?} by default", MaintenanceConfig::default().completed_job_retention());
    let (client, mut run) = start(pool, 5, cleaning)?;
    insert(&client, 1, Act::Nothing).await?;
    wait_for(pool, RAN, 1, Duration::from_secs(10)).await?;
    let gone = wait_for(pool, "select 1 - count(*) from river_job", 1, Duration::from_secs(20)).await?;
    println!("  kept for a second: gone {gone:?} after the run");
    run.stop().await?;
    Ok(())
}

/// What an insertion costs the transaction of a business, and what a claim costs beside a backlog.
async fn costs(pool: &PgPool) -> Result<()> {
    for inserts in [false, true, false, true] {
        fresh(pool).await?;
        let mut tasks = tokio::task::JoinSet::new();
        let ends = Instant::now() + Duration::from_secs(4);
        for _ in 0..8 {
            let (pool, client) = (pool.clone(), Client::builder(pool.clone()).build()?);
            tasks.spawn(async move {
                let mut commits = 0_u32;
                while Instant::now() < ends {
                    let mut tx = begin_postgres(&pool).await?;
                    sqlx::query("insert into effect (n) values (1)").execute(&mut *tx).await?;
                    if inserts {
                        client.insert(Trial { n: 1, act: Act::Nothing }).tx(&mut tx).await?;
                    }
                    tx.commit().await?;
                    commits += 1;
                }
                anyhow::Ok(commits)
            });
        }
        let mut commits = 0;
        while let Some(done) = tasks.join_next().await {
            commits += done??;
        }
        println!("business commits/s on 8 connections, inserting {inserts}: {}", commits / 4);
    }
    fresh(pool).await?;
    pool.execute(
        "insert into river_job (args, kind, max_attempts, queue, state, scheduled_at)
         select jsonb_build_object('n', n, 'act', 'Nothing'), 'trial', 5, 'default', 'available', now()
         from generate_series(1, 200000) n",
    )
    .await?;
    pool.execute("vacuum analyze river_job").await?;
    if pool.execute("create extension if not exists pg_stat_statements").await.is_err() {
        println!("a claim beside 200,000 jobs: not measured without pg_stat_statements");
        return Ok(());
    }
    pool.execute("select pg_stat_statements_reset()").await?;
    let (_, mut run) = start(pool, 10, MaintenanceConfig::default())?;
    wait_for(pool, RAN, 2_000, Duration::from_secs(60)).await?;
    run.stop().await?;
    let claims: Vec<(f64, i64, i64)> = sqlx::query_as(
        "select mean_exec_time, calls, rows from pg_stat_statements
         where query ilike '%skip locked%' and query ilike '%river_job%' order by calls desc limit 1",
    )
    .fetch_all(pool)
    .await?;
    println!("a claim beside 200,000 jobs, 10 slots (mean ms, claims, rows): {claims:?}");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let url = std::env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    let pool = PgPoolOptions::new().max_connections(12).connect(&url).await?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, id] = arguments.as_slice()
        && role == "worker"
    {
        let mut run = client(&pool, id, 5, MaintenanceConfig::default())?.start()?;
        return Ok(run.wait().await?);
    }
    PostgresMigrator::new(pool.clone()).migrate_up().await?;
    pool.execute(
        "create table if not exists ran (n bigint, attempt integer, at timestamptz default clock_timestamp());
         create table if not exists effect (n bigint)",
    )
    .await?;
    if arguments.first().is_some_and(|only| only == "costs") {
        return costs(&pool).await;
    }
    killed_worker(&pool).await?;
    panic_and_failure(&pool).await?;
    long_jobs(&pool).await?;
    cut_connections(&pool, &url).await?;
    unreadable_payload(&pool).await?;
    taken_key(&pool).await?;
    due_times(&pool).await?;
    finished_jobs(&pool).await
}
