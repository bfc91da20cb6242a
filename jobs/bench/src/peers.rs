//! The peers: graphile_worker with its local queue, apalis's own PostgreSQL storage, and River.

use crate::counter::COUNTER;
use anyhow::Result;
use apalis::{layers::WorkerBuilderExt, prelude::*};
use apalis_postgres::{Config, PostgresStorage};
use graphile_worker::{IntoTaskHandlerResult, LocalQueueConfig, TaskHandler, WorkerOptions};
use serde::{Deserialize, Serialize};
use sqlx::{Executor, PgPool};
use std::time::Duration;

#[derive(Deserialize, Serialize)]
pub struct Noop {
    pub n: usize,
}

impl TaskHandler for Noop {
    const IDENTIFIER: &'static str = "noop";

    async fn run(self, _: graphile_worker::WorkerContext) -> impl IntoTaskHandlerResult {
        COUNTER.handled(self.n);
        Ok::<(), String>(())
    }
}

pub mod graphile {
    use super::*;

    async fn worker(pool: &PgPool, concurrency: usize, queue: usize) -> Result<graphile_worker::Worker> {
        Ok(WorkerOptions::default()
            .pg_pool(pool.clone())
            .schema("graphile_worker")
            .concurrency(concurrency)
            .poll_interval(Duration::from_secs(1))
            .listen_os_shutdown_signals(false)
            .local_queue(LocalQueueConfig::builder().size(queue).build())
            .complete_job_batch_delay(Duration::ZERO)
            .define_job::<Noop>()
            .init()
            .await?)
    }

    pub async fn fill(pool: &PgPool, jobs: usize) -> Result<()> {
        drop(worker(pool, 1, 1).await?); // its migrations
        pool.execute("truncate graphile_worker._private_jobs cascade").await?;
        // All at once: each call walks over the whole table.
        sqlx::query(
            "select count(*) from graphile_worker.add_jobs((
                 select array_agg(('noop', json_build_object('n', n), null, null, null, null, null, null)
                                  ::graphile_worker.job_spec)
                 from generate_series(0, $1 - 1) n))",
        )
        .bind(i32::try_from(jobs)?)
        .execute(pool)
        .await?;
        pool.execute("vacuum analyze graphile_worker._private_jobs").await?;
        Ok(())
    }

    pub async fn send(pool: &PgPool, n: usize) -> Result<()> {
        let mut tx = pool.begin().await?;
        sqlx::query("select graphile_worker.add_job('noop', json_build_object('n', $1::int))")
            .bind(i32::try_from(n)?)
            .execute(&mut *tx)
            .await?;
        COUNTER.sent(n);
        tx.commit().await?;
        Ok(())
    }

    pub async fn work(pool: &PgPool, concurrency: usize, queue: usize) -> Result<()> {
        let worker = worker(pool, concurrency, queue).await?;
        let stop = async {
            COUNTER.reached().await;
            worker.request_shutdown();
        };
        let (ended, ()) = tokio::join!(worker.run(), stop);
        Ok(ended?)
    }
}

pub mod stock {
    use super::*;

    const QUEUE: &str = "bench";

    async fn noop(job: Noop) -> Result<(), BoxDynError> {
        COUNTER.handled(job.n);
        Ok(())
    }

    pub async fn push(pool: &PgPool, numbers: &[usize]) -> Result<()> {
        let tasks = numbers
            .iter()
            .map(|&n| Ok(TaskBuilder::new(serde_json::to_vec(&Noop { n })?).build()))
            .collect::<Result<Vec<_>>>()?;
        let mut tx = pool.begin().await?;
        apalis_postgres::queries::push_tasks(&mut *tx, QUEUE, tasks).await?;
        if let [n] = numbers
            && COUNTER.timed()
        {
            COUNTER.sent(*n);
        }
        tx.commit().await?;
        Ok(())
    }

    pub async fn fill(pool: &PgPool, jobs: usize) -> Result<()> {
        PostgresStorage::setup(pool).await?;
        pool.execute("truncate apalis.jobs, apalis.workers cascade").await?;
        let numbers: Vec<usize> = (0..jobs).collect();
        for chunk in numbers.chunks(1_000) {
            push(pool, chunk).await?;
        }
        pool.execute("vacuum analyze apalis.jobs").await?;
        Ok(())
    }

    pub async fn work(pool: &PgPool, concurrency: usize) -> Result<()> {
        let config = Config::default().queue(QUEUE).batch_size(concurrency);
        let backend = PostgresStorage::new(pool)
            .with_config(config)
            .with_pubsub()
            .poll_with_interval(Duration::from_millis(100));
        let worker = WorkerBuilder::new(format!("bench-{}", uuid::Uuid::now_v7()))
            .backend(backend)
            .concurrency(concurrency)
            .build(noop);
        let stop = async {
            COUNTER.reached().await;
            Ok::<(), std::io::Error>(())
        };
        Ok(worker.run_until(stop).await?)
    }
}

pub mod river {
    use super::*;
    use riverqueue::{
        BoxError, Client, Job, JobArgs, QueueConfig, WorkContext, WorkOutcome, Workers,
        database::begin_postgres, migrate::PostgresMigrator,
    };

    #[derive(Clone, Debug, Deserialize, JobArgs, Serialize)]
    #[river(kind = "noop")]
    struct Numbered {
        n: usize,
    }

    async fn noop(_: WorkContext, job: Job<Numbered>) -> Result<WorkOutcome, BoxError> {
        COUNTER.handled(job.args.n);
        Ok(WorkOutcome::Complete)
    }

    pub async fn fill(pool: &PgPool, jobs: usize) -> Result<()> {
        PostgresMigrator::new(pool.clone()).migrate_up().await?;
        pool.execute("truncate river_job").await?;
        sqlx::query(
            "insert into river_job (args, kind, max_attempts, queue, state, scheduled_at)
             select jsonb_build_object('n', n), 'noop', 5, 'default', 'available', now()
             from generate_series(0, $1 - 1) n",
        )
        .bind(i32::try_from(jobs)?)
        .execute(pool)
        .await?;
        pool.execute("vacuum analyze river_job").await?;
        Ok(())
    }

    pub async fn send(pool: &PgPool, n: usize) -> Result<()> {
        let client = Client::builder(pool.clone()).build()?;
        let mut tx = begin_postgres(pool).await?;
        client.insert(Numbered { n }).tx(&mut tx).await?;
        COUNTER.sent(n);
        tx.commit().await?;
        Ok(())
    }

    pub async fn work(pool: &PgPool, concurrency: usize) -> Result<()> {
        let mut workers = Workers::new();
        workers.add_fn(noop)?;
        let client = Client::builder(pool.clone())
            .workers(workers)
            .queue("default", QueueConfig::new(concurrency))
            .build()?;
        let mut run = client.start_with_graceful_stop(COUNTER.reached())?;
        Ok(run.wait().await?)
    }
}
