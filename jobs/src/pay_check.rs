//! `pay_check_cancle`: a failure in checking a payment.

use crate::{
    MqTag,
    payload::Paying,
    queue::{Job, RetryPolicy},
    retry::UNDO,
};
use serde::{Deserialize, Serialize};

/// Undoes a payment that failed in its check: nothing was written, so nothing is undone. The undo bars
/// the saga's late steps and proves that no money moved.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PayCheck {
    paying: Paying,
}

impl PayCheck {
    /// For this attempt to pay.
    pub fn new(paying: &Paying) -> Self {
        Self { paying: paying.clone() }
    }

    /// What was being paid.
    pub fn paying(&self) -> &Paying {
        &self.paying
    }
}

impl Job for PayCheck {
    const TAG: &'static str = MqTag::PayCheck.wire();
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy = UNDO;

    fn key(&self) -> String {
        self.paying.payment_id.to_string()
    }
}
