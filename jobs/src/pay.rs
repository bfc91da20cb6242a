//! `pay_cancle`: a failure in marking the order paid.

use crate::{
    MqTag,
    payload::Paying,
    queue::{Job, RetryPolicy},
    retry::UNDO,
};
use serde::{Deserialize, Serialize};

/// Undoes a payment that failed in marking the order paid: if the order can still become paid, finishes
/// it; else gives the money back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pay {
    paying: Paying,
}

impl Pay {
    /// For this attempt to pay.
    pub fn new(paying: &Paying) -> Self {
        Self { paying: paying.clone() }
    }

    /// What was being paid.
    pub fn paying(&self) -> &Paying {
        &self.paying
    }
}

impl Job for Pay {
    const TAG: &'static str = MqTag::Pay.wire();
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy = UNDO;

    fn key(&self) -> String {
        self.paying.payment_id.to_string()
    }
}
