//! `order_cancel`: a failure in cancelling an order.

use crate::{
    MqTag,
    ids::OrderId,
    queue::{Job, RetryPolicy},
    retry::UNDO,
};
use serde::{Deserialize, Serialize};

/// After a failure in cancelling an order: finishes the cancelling: an unpaid order is closed and its
/// seats are given back. Refused once the order is paid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrderCancel {
    order_id: OrderId,
}

impl OrderCancel {
    /// For this order.
    pub fn new(order_id: OrderId) -> Self {
        Self { order_id }
    }

    /// The order.
    pub fn order_id(&self) -> OrderId {
        self.order_id
    }
}

impl Job for OrderCancel {
    const TAG: &'static str = MqTag::OrderCancel.wire();
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy = UNDO;

    fn key(&self) -> String {
        self.order_id.to_string()
    }
}
