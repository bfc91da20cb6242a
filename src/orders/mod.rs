//! Orders as their riders see them, and the one place that reads an order's row.

mod detail;
mod evaluation;
pub mod flows;
pub mod jobs;
mod list;
mod load;
pub mod pending;
pub mod search;
pub mod snapshot;
mod timeline;
mod view;

pub use detail::{OrderDetail, StateChange, TripChange, detail};
pub use evaluation::{Evaluation, NewEvaluation, evaluate};
pub use list::{List, ListedOrder, Ride, list};
pub use load::{FindOrders, find, find_batched, lock_status, rebuild_response};
pub use timeline::{Event, MOST_EVENTS, timeline};
pub use view::OrderView;
pub(crate) use view::{OrderRow, labels_of, order_row, prices_of, query_orders, read_status};

use crate::{
    domain::{OrderId, RiderId},
    idempotency::IdempotencyKey,
};
use uuid::Uuid;

/// A rider's request to cancel or refund an order.
#[derive(Clone, Debug)]
pub struct Command {
    /// The id of this request, for which its idempotency key is reserved.
    pub attempt: Uuid,
    /// Which order.
    pub order_id: OrderId,
    /// Whose it must be.
    pub rider_id: RiderId,
    /// The client's idempotency key.
    pub key: Option<IdempotencyKey>,
}
