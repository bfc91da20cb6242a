//! The queue as an apalis backend: apalis runs the handlers; the [`Driver`] talks to the database.

use super::supervisor::Supervise;
use crate::{Delivery, driver::Driver, prefetch::PrefetchBuffer, state::WorkerState};
use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    task::Task,
    worker::context::WorkerContext,
};
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{sync::watch, task::JoinSet};
use tower::{layer::util::Stack, limit::ConcurrencyLimitLayer};
use uuid::Uuid;

/// The driver has ended without being stopped: a bug, which ends the worker.
#[derive(Debug, thiserror::Error)]
#[error("the queue's driver has stopped")]
pub(crate) struct DriverStopped;

/// What apalis polls.
pub(crate) struct PgBackend {
    /// The driver until the first poll starts it.
    driver: Option<Driver>,
    /// The driver's task after that; dropping it ends the driver.
    running: JoinSet<()>,
    prefetch: Arc<PrefetchBuffer>,
    state: Arc<watch::Sender<WorkerState>>,
    layer: Supervise,
    slots: usize,
}

impl PgBackend {
    pub(crate) fn new(
        driver: Driver,
        prefetch: Arc<PrefetchBuffer>,
        state: Arc<watch::Sender<WorkerState>>,
        layer: Supervise,
        slots: usize,
    ) -> Self {
        Self { driver: Some(driver), running: JoinSet::new(), prefetch, state, layer, slots }
    }
}

impl Backend for PgBackend {
    type Task = Task<Delivery>;
    type Error = DriverStopped;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), DriverStopped>> {
        if let Some(driver) = self.driver.take() {
            self.running.spawn(driver.run());
        }
        Poll::Ready(Ok(()))
    }

    /// Asked only while a slot is free.
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Task<Delivery>, DriverStopped>>> {
        self.prefetch.poll_pop(cx).map(|delivery| Some(delivery.map(Task::new).ok_or(DriverStopped)))
    }

    /// The driver writes down what it still has, then ends.
    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), DriverStopped>> {
        self.state
            .send_if_modified(|state| std::mem::replace(state, WorkerState::Closing) != WorkerState::Closing);
        self.running.poll_join_next(cx).map(|_| Ok(()))
    }
}

impl BackendConfig for PgBackend {
    type Args = Delivery;
    type Id = Uuid;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Stack<Supervise, ConcurrencyLimitLayer>;

    fn config(&self) -> &() {
        &()
    }

    /// A slot is taken from when a job is taken out of the prefetch buffer until its report is with
    /// the driver.
    fn middleware(&mut self, _: &mut WorkerContext) -> Self::Layer {
        Stack::new(self.layer.clone(), ConcurrencyLimitLayer::new(self.slots))
    }
}
