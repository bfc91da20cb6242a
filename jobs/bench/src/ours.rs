//! Ours, under the apalis worker, and the floor on the same table.

use crate::counter::COUNTER;
use anyhow::Result;
use farebox_queue::{
    self as queue, Delivery, Due, JobError, NewJob, Notifier, Outcome, Priority, RetryPolicy, WorkerConfig,
    protocol::{ClaimCursor, ClaimRequest, Completion, Disposition, complete_and_claim},
};
use serde::Deserialize;
use serde_json::value::to_raw_value;
use sqlx::{Connection, Executor, PgConnection, PgPool, postgres::PgConnectOptions};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;

pub const TAG: &str = "noop";
const RETRY: RetryPolicy =
    RetryPolicy { max_attempts: 5, base: Duration::from_millis(100), cap: Duration::from_secs(1) };

/// Jobs that were handled before they were due.
pub static EARLY: AtomicU64 = AtomicU64::new(0);

pub fn job(n: usize) -> NewJob {
    let id = Uuid::now_v7();
    NewJob {
        id,
        tag: TAG,
        key: id.to_string(),
        priority: Priority::Normal,
        concurrency_key: None,
        payload: to_raw_value(&serde_json::json!({ "v": 1, "n": n })).expect("a JSON object"),
        max_attempts: 5,
    }
}

pub async fn setup(pool: &PgPool) -> Result<()> {
    Ok(queue::migrate(&mut *pool.acquire().await?).await?)
}

pub async fn fill(pool: &PgPool, jobs: usize) -> Result<()> {
    pool.execute("truncate queue.job, queue.finished, queue.dead_letter").await?;
    let numbers: Vec<usize> = (0..jobs).collect();
    for chunk in numbers.chunks(1_000) {
        let jobs: Vec<NewJob> = chunk.iter().copied().map(job).collect();
        queue::enqueue(&mut *pool.acquire().await?, &jobs, Due::Now).await?;
    }
    pool.execute("vacuum analyze queue.job").await?;
    Ok(())
}

/// Enqueues one job in a transaction of its own and wakes the workers up, as a failed flow does.
pub async fn send(pool: &PgPool, notifier: &Notifier, n: usize) -> Result<()> {
    let mut tx = pool.begin().await?;
    queue::enqueue(&mut tx, &[job(n)], Due::NowSilently).await?;
    COUNTER.sent(n);
    tx.commit().await?;
    notifier.notify();
    Ok(())
}

#[derive(Deserialize)]
struct Payload {
    n: usize,
}

async fn handle(delivery: Delivery, settle_in: Option<PgPool>) -> Result<Outcome, JobError> {
    let payload: Payload = serde_json::from_str(&delivery.payload).map_err(JobError::fatal)?;
    if COUNTER.timed() && nanos(&delivery) > crate::counter::clock() {
        EARLY.fetch_add(1, Ordering::Relaxed);
    }
    COUNTER.handled(payload.n);
    let Some(pool) = settle_in else { return Ok(Outcome::Done(None)) };
    let mut tx = pool.begin().await?;
    delivery.lease.complete(&mut tx, None).await?;
    tx.commit().await?;
    Ok(Outcome::Settled)
}

fn nanos(delivery: &Delivery) -> u64 {
    u64::try_from(delivery.lease.run_at.timestamp_nanos_opt().unwrap_or(0)).unwrap_or(0)
}

/// Runs until everything is handled.
pub async fn work(pool: &PgPool, concurrency: usize, batch: usize, settled: bool) -> Result<()> {
    let config = WorkerConfig {
        concurrency,
        batch,
        lease: Duration::from_secs(30),
        poll: Duration::from_secs(1),
        ..WorkerConfig::new("bench", &[TAG])
    };
    let own = settled.then(|| pool.clone());
    let handler = move |delivery| handle(delivery, own.clone());
    queue::run(pool.clone(), config, |_: &str| RETRY, handler, COUNTER.reached()).await?;
    Ok(())
}

/// As the driver sets them.
const SETTINGS: &str = "set enable_seqscan = off; set enable_bitmapscan = off; set enable_hashjoin = off;
     set enable_mergejoin = off; set jit = off; set plan_cache_mode = force_generic_plan";
/// As it is for the driver's commits, and not for the floor's.
const ASYNC_COMMIT: &str = "set synchronous_commit = off";

const FLOOR: &str = "
    with ended as (
        delete from queue.job where id = any($1::uuid[]) and lease_token = $2 returning *
    ), finished as (
        insert into queue.finished (id, tag, key, payload, outcome, attempt, worker, failures,
                                    run_at, created_at, started_at, ended_at)
        select id, tag, key, payload, 'done', attempt, worker, failures,
               run_at, created_at, leased_at, clock_timestamp() from ended
    ), claimed as (
        update queue.job set attempt = attempt + 1, worker = 'floor', leased_at = clock_timestamp(),
               lease_token = $2, lease_until = now() + interval '30 s'
        where ctid = any(array(
            select ctid from queue.job where tag = 'noop' and priority = 1 and run_at <= now() and lease_until is null
            order by run_at limit $3 for update skip locked))
        returning id, tag, key, payload::text
    )
    select id, tag, key, payload from claimed";

/// The loop that hardly anything can beat: one statement completes the last batch and claims the
/// next. Its commit waits for the disk, or not.
pub async fn floor(options: &PgConnectOptions, batch: usize, waits: bool) -> Result<()> {
    let mut conn = PgConnection::connect_with(options).await?;
    conn.execute(SETTINGS).await?;
    if !waits {
        conn.execute(ASYNC_COMMIT).await?;
    }
    let (token, mut ids) = (Uuid::now_v7(), Vec::<Uuid>::new());
    loop {
        let rows: Vec<(Uuid, String, String, String)> = sqlx::query_as(FLOOR)
            .bind(&ids)
            .bind(token)
            .bind(i64::try_from(batch)?)
            .fetch_all(&mut conn)
            .await?;
        if rows.is_empty() && ids.is_empty() {
            break;
        }
        ids = rows.into_iter().map(|(id, ..)| id).collect();
        ids.iter().for_each(|_| COUNTER.handled(0));
    }
    COUNTER.reached().await;
    conn.close().await?;
    Ok(())
}

/// Our statement in the floor's loop: what the statement costs, without the worker around it.
pub async fn bare(options: &PgConnectOptions, batch: usize) -> Result<()> {
    let mut conn = PgConnection::connect_with(options).await?;
    conn.execute(SETTINGS).await?;
    conn.execute(ASYNC_COMMIT).await?;
    let mut cursor = ClaimCursor::new(&[TAG.to_owned()]);
    let mut done: Vec<Completion> = Vec::new();
    loop {
        let (token, lease) = (Uuid::new_v4(), Duration::from_secs(30));
        let request = ClaimRequest { cursor: &cursor, slots: batch, worker: "bare", lease, token };
        let result = complete_and_claim(&mut conn, &done, &request).await?;
        if result.claimed.is_empty() && done.is_empty() {
            break;
        }
        done.clear();
        for job in result.claimed {
            cursor.advance_to(&job.lease, job.priority);
            COUNTER.handled(0);
            done.push(Completion { lease: Arc::new(job.lease), disposition: Disposition::Done(None) });
        }
    }
    COUNTER.reached().await;
    conn.close().await?;
    Ok(())
}
