//! The driver's connections, and the requests that are under way on them.

use super::{
    connection::DriverConnection,
    request::{DbRequest, DbResponse},
};
use crate::QueueConfig;
use sqlx::postgres::PgConnectOptions;
use std::panic::resume_unwind;
use tokio::task::{JoinError, JoinSet};

/// How many requests may be under way at once.
const MAX_CONNECTIONS: usize = 2;

/// Connections are made when they are first needed: at low load, one.
pub(super) struct Connections {
    idle: Vec<DriverConnection>,
    in_flight: JoinSet<DbResponse>,
    /// Completions in the requests under way.
    completing: usize,
    /// Slots that the requests under way are to fill.
    slots_requested: usize,
}

impl Connections {
    pub(super) fn new(options: &PgConnectOptions, pooled: bool, queue: &QueueConfig) -> Self {
        let idle = (0..MAX_CONNECTIONS)
            .map(|_| DriverConnection::new(options.clone(), pooled, queue.clone()))
            .collect();
        Self { idle, in_flight: JoinSet::new(), completing: 0, slots_requested: 0 }
    }

    pub(super) fn completing(&self) -> usize {
        self.completing
    }

    pub(super) fn slots_requested(&self) -> usize {
        self.slots_requested
    }

    /// Whether a request could start now.
    pub(super) fn has_idle(&self) -> bool {
        !self.idle.is_empty()
    }

    /// Whether no request is under way.
    pub(super) fn are_quiet(&self) -> bool {
        self.in_flight.is_empty()
    }

    pub(super) fn take_idle(&mut self) -> Option<DriverConnection> {
        self.idle.pop()
    }

    pub(super) fn put_back(&mut self, conn: DriverConnection) {
        self.idle.push(conn);
    }

    /// Sends this request on this connection.
    pub(super) fn start(&mut self, request: DbRequest, conn: DriverConnection) {
        self.completing += request.done.len();
        self.slots_requested += request.slots;
        self.in_flight.spawn(request.run(conn));
    }

    /// Waits for a request to come back; none if none is under way. Safe to drop: it has then taken
    /// nothing.
    pub(super) async fn next(&mut self) -> Option<DbResponse> {
        let response = self.in_flight.join_next().await?.unwrap_or_else(propagate_panic);
        self.completing -= response.request.done.len();
        self.slots_requested -= response.request.slots;
        Some(response)
    }

    /// Closes what is idle.
    pub(super) async fn close(&mut self) {
        for conn in &mut self.idle {
            conn.close().await;
        }
    }
}

fn propagate_panic(error: JoinError) -> DbResponse {
    resume_unwind(error.into_panic())
}
