//! Enqueueing through apalis's sink.

use super::{JobStore, JobStoreKind};
use crate::{Due, Job, NewJob, Priority, QueueConfig, enqueue};
use apalis_core::{
    backend::{TaskSink, TaskSinkError},
    task::{ExecutionContext, Task, builder::TaskBuilder},
};
use chrono::DateTime;
use futures_util::{FutureExt, Stream, StreamExt, future::BoxFuture};
use sqlx::PgPool;
use std::{
    future::poll_fn,
    mem::take,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

/// How many tasks are buffered before they are flushed.
const MAX_BUFFERED: usize = 500;

/// Tasks on their way to the queue.
#[derive(Default)]
pub(super) struct Pushes {
    buffered: Vec<(NewJob, Due)>,
    flush: Mutex<Option<BoxFuture<'static, Result<(), sqlx::Error>>>>,
}

/// The job of a task. What the task leaves open is the job type's; the idempotency key takes the
/// place of the job's key.
fn job_of<J: Job>(task: &Task<J>) -> (NewJob, Due) {
    let context: &ExecutionContext = task.ctx();
    let mut job = NewJob::of(&task.args);
    if let Some(key) = context.idempotency_key() {
        key.clone_into(&mut job.key);
    }
    if let Some(attempts) = context.max_attempts().and_then(|attempts| i32::try_from(attempts).ok()) {
        job.max_attempts = attempts.max(1);
    }
    if context.priority().is_some_and(|priority| priority > 0) {
        job.priority = Priority::High;
    }
    let run_at = context.run_at().and_then(|secs| i64::try_from(secs).ok());
    let due = run_at.and_then(|secs| DateTime::from_timestamp(secs, 0)).map_or(Due::Now, Due::At);
    (job, due)
}

/// One transaction for all. A taken key is no error: that job is in the queue already.
async fn enqueue_all(pool: PgPool, queue: QueueConfig, jobs: Vec<(NewJob, Due)>) -> Result<(), sqlx::Error> {
    let mut tx = crate::begin(&pool).await?;
    let mut conn = queue.on(&mut *tx);
    let (now, later): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|(_, due)| *due == Due::Now);
    for (job, due) in later {
        enqueue(&mut conn, &[job], due).await?;
    }
    let now: Vec<NewJob> = now.into_iter().map(|(job, _)| job).collect();
    enqueue(&mut conn, &now, Due::Now).await?;
    tx.commit().await
}

impl<J> JobStore<J> {
    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), sqlx::Error>> {
        let flush = self.pushes.flush.get_mut().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(running) = flush {
                let Poll::Ready(result) = running.poll_unpin(cx) else { return Poll::Pending };
                *flush = None;
                if result.is_err() {
                    return Poll::Ready(result);
                }
            }
            if self.pushes.buffered.is_empty() {
                return Poll::Ready(Ok(()));
            }
            *flush = Some(
                enqueue_all(self.pool.clone(), self.queue.clone(), take(&mut self.pushes.buffered)).boxed(),
            );
        }
    }

    async fn flush(&mut self) -> Result<(), TaskSinkError<sqlx::Error>> {
        Ok(poll_fn(|cx| self.poll_flushed(cx)).await?)
    }
}

impl<J: Job + Send> TaskSink<J, JobStoreKind> for JobStore<J> {
    fn start_send(mut self: Pin<&mut Self>, task: Task<J>) -> Result<(), TaskSinkError<sqlx::Error>> {
        self.pushes.buffered.push(job_of(&task));
        Ok(())
    }

    fn poll_ready(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TaskSinkError<sqlx::Error>>> {
        if self.pushes.buffered.len() < MAX_BUFFERED {
            return Poll::Ready(Ok(()));
        }
        self.poll_flushed(cx).map_err(TaskSinkError::PushError)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TaskSinkError<sqlx::Error>>> {
        self.poll_flushed(cx).map_err(TaskSinkError::PushError)
    }

    fn poll_close(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TaskSinkError<sqlx::Error>>> {
        self.poll_flush(cx)
    }

    async fn push(&mut self, job: J) -> Result<(), TaskSinkError<sqlx::Error>> {
        self.push_task(TaskBuilder::new(job).build()).await
    }

    async fn push_bulk(&mut self, jobs: Vec<J>) -> Result<(), TaskSinkError<sqlx::Error>> {
        self.pushes.buffered.extend(jobs.iter().map(|job| (NewJob::of(job), Due::Now)));
        self.flush().await
    }

    async fn push_stream(
        &mut self,
        jobs: impl Stream<Item = J> + Unpin + Send,
    ) -> Result<(), TaskSinkError<sqlx::Error>> {
        self.push_all(jobs.map(|job| TaskBuilder::new(job).build())).await
    }

    async fn push_task(&mut self, task: Task<J>) -> Result<(), TaskSinkError<sqlx::Error>> {
        self.pushes.buffered.push(job_of(&task));
        self.flush().await
    }

    async fn push_all(
        &mut self,
        tasks: impl Stream<Item = Task<J>> + Unpin + Send,
    ) -> Result<(), TaskSinkError<sqlx::Error>> {
        let mut batches = tasks.ready_chunks(MAX_BUFFERED);
        while let Some(tasks) = batches.next().await {
            self.pushes.buffered.extend(tasks.iter().map(job_of));
            self.flush().await?;
        }
        Ok(())
    }
}
