//! What a statement must say of itself, so that many requests can share one execution of it.

use super::connections::ConnectionCache;
use crate::settings::Booking as BookingRules;
use std::future::Future;
use uuid::Uuid;

/// A statement that carries many callers' requests.
pub trait BatchStatement: 'static {
    /// What the statement is called in metrics and traces.
    const NAME: &'static str;

    /// Queue length that starts a second flush beside the first. It pays only where two executions
    /// do not slow each other: they read, or the first waits for the disk. Other writing statements
    /// spend the server's time on two half-full batches.
    const SECOND_FLUSH_AT: usize = usize::MAX;

    /// What the statement is executed with.
    type Context: Send + Sync + 'static;
    /// What one caller wants.
    type Request: Send + Sync + 'static;
    /// The result of one request.
    type Output: Send + 'static;

    /// What two requests of one batch may not have in common.
    fn conflict_keys(request: &Self::Request) -> Vec<ConflictKey>;

    /// Executes the batch. The outputs stand in the order of the requests.
    fn execute(
        context: &Self::Context,
        batch: &[Self::Request],
    ) -> impl Future<Output = Result<Vec<Self::Output>, sqlx::Error>> + Send;
}

/// Something that two requests could both want.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConflictKey {
    /// A seat of a trip, by its label. A trip's labels and numbers are one to one.
    Seat(Uuid, String),
    /// A client's idempotency key.
    Key(Uuid, String),
    /// An order, or its payment.
    Order(Uuid),
    /// A live job, by its tag and key.
    Job(&'static str, String),
}

/// What the statements of sagas are executed with.
pub struct BatchContext {
    /// Connections to the database.
    pub connections: ConnectionCache,
    /// Hold time, cut-offs, the delay of armed undos.
    pub rules: BookingRules,
}
