//! A worker in the test's own process, for jobs that are the test's own.

use farebox_jobs::queue::{self, Delivery, JobError, Outcome, RetryPolicy, WorkerConfig};
use sqlx::PgPool;
use std::{future::Future, time::Duration};
use tokio::sync::oneshot;

/// Three attempts, at once.
pub const RETRY: RetryPolicy =
    RetryPolicy { max_attempts: 3, base: Duration::from_millis(1), cap: Duration::from_millis(1) };

/// Runs a worker until the sender is dropped.
pub fn inside<F>(
    pool: &PgPool,
    config: WorkerConfig,
    handler: impl Fn(Delivery) -> F + Clone + Send + Sync + 'static,
) -> oneshot::Sender<()>
where
    F: Future<Output = Result<Outcome, JobError>> + Send + 'static,
{
    let (stop, stopped) = oneshot::channel::<()>();
    let pool = pool.clone();
    tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        queue::run(pool, config, |_: &str| RETRY, handler, stopped).await.unwrap();
    });
    stop
}
