//! The queue as apalis sees it from outside a worker: enqueueing, listing, counting, waiting.
//!
//! A [`JobStore`] implements what apalis-core offers to backends for this. Programs that
//! administrate apalis, such as `apalis-board`, work over it. It runs no jobs: [`run`](crate::run)
//! starts workers.

mod list;
mod push;
mod wait;

use crate::{Job, QueueConfig, delivery::without_envelope, job::payload_of};
use apalis_core::{
    backend::{Backend, BackendConfig, WireFormatBackend, codec::Codec},
    task::Task,
    worker::context::WorkerContext,
};
use push::Pushes;
use serde_json::Value;
use sqlx::PgPool;
use std::{
    marker::PhantomData,
    task::{Context, Poll},
};
use uuid::Uuid;

/// The jobs of one type, as an apalis backend.
pub struct JobStore<J> {
    pool: PgPool,
    queue: QueueConfig,
    codec: PayloadCodec,
    pushes: Pushes,
    job: PhantomData<fn() -> J>,
}

/// The kind of this backend, for [`TaskSink`](apalis_core::backend::TaskSink).
#[derive(Clone, Copy, Debug, Default)]
pub struct JobStoreKind;

/// Reads and writes payloads: the job's fields as JSON, with its version.
#[derive(Clone, Copy, Debug, Default)]
pub struct PayloadCodec;

impl<J> JobStore<J> {
    /// The jobs of this type in the default queue of this database.
    pub fn new(pool: PgPool) -> Self {
        Self::of_queue(pool, QueueConfig::default())
    }

    /// The jobs of this type in this queue.
    pub fn of_queue(pool: PgPool, queue: QueueConfig) -> Self {
        Self { pool, queue, codec: PayloadCodec, pushes: Pushes::default(), job: PhantomData }
    }
}

impl<J> Clone for JobStore<J> {
    /// Without the tasks that are buffered and not flushed.
    fn clone(&self) -> Self {
        Self::of_queue(self.pool.clone(), self.queue.clone())
    }
}

impl<J> std::fmt::Debug for JobStore<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobStore").finish_non_exhaustive()
    }
}

/// It yields no tasks: a worker that is built on it ends.
impl<J> Backend for JobStore<J> {
    type Task = Task<Value>;
    type Error = sqlx::Error;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), sqlx::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        _: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Task<Value>, sqlx::Error>>> {
        Poll::Ready(None)
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), sqlx::Error>> {
        Poll::Ready(Ok(()))
    }
}

impl<J> BackendConfig for JobStore<J> {
    type Args = J;
    type Id = Uuid;
    type Kind = JobStoreKind;
    type Config = ();
    type Layer = tower::layer::util::Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Self::Layer {
        tower::layer::util::Identity::new()
    }
}

impl<J> WireFormatBackend for JobStore<J> {
    type Codec = PayloadCodec;
    type Compact = Value;

    fn codec(&self) -> &PayloadCodec {
        &self.codec
    }
}

impl<J: Job> Codec<J> for PayloadCodec {
    type Error = serde_json::Error;
    type Compact = Value;

    fn encode(&self, job: &J) -> Result<Value, serde_json::Error> {
        serde_json::to_value(payload_of(job))
    }

    fn decode(&self, payload: &Value) -> Result<J, serde_json::Error> {
        let (fields, _) = without_envelope(payload.clone());
        serde_json::from_value(fields)
    }
}
