//! `pay_back_cancle`: a failure in refunding an order.

use crate::{
    MqTag,
    ids::OrderId,
    queue::{Job, RetryPolicy},
    retry::UNDO,
};
use serde::{Deserialize, Serialize};

/// After a failure in refunding an order: carries a begun refund to its end: money first, then the
/// seats. Armed when the refund begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PayBack {
    order_id: OrderId,
}

impl PayBack {
    /// For this order.
    pub fn new(order_id: OrderId) -> Self {
        Self { order_id }
    }

    /// The order.
    pub fn order_id(&self) -> OrderId {
        self.order_id
    }
}

impl Job for PayBack {
    const TAG: &'static str = MqTag::PayBack.wire();
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy = UNDO;

    fn key(&self) -> String {
        self.order_id.to_string()
    }
}
