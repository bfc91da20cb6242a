//! Batching: many requests, one statement, one commit. (PostgreSQL's group commit, one level higher.)
//!
//! A step's statement takes any number of requests. Requests that arrive while one execution runs share
//! the next. There is no timer: a request to an idle batcher starts a flush at once, with the requests
//! that are runnable at that moment.
//!
//! No request decides over another. Requests with a common [`ConflictKey`] (a seat, a key, an order) are
//! never in one batch, so the database decides between them as between two processes. A batch that fails
//! is retried request by request, unless the database is unreachable. Whether the batch had committed is
//! then unknown, as it is for a lone request; the barriers are made for that.
//!
//! Admission bounds how many requests can wait ([`Admission`](crate::settings::Admission)).

mod connections;
mod in_flight;
mod meters;
mod pacer;
mod queue;
mod statement;
#[cfg(test)]
mod tests;
mod traced;

pub use connections::{CachedConnection, ConnectionCache};
pub use in_flight::{InFlightGuard, InFlightSeats};
pub use meters::BatchMetrics;
pub use pacer::OverduePacer;
pub use queue::Batcher;
pub use statement::{BatchContext, BatchStatement, ConflictKey};
