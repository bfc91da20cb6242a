//! `pay_money_cancle`: a failure in debiting the wallet.

use crate::{
    MqTag,
    payload::Paying,
    queue::{Job, RetryPolicy},
    retry::UNDO,
};
use serde::{Deserialize, Serialize};

/// Undoes a payment that failed in debiting the wallet: gives the money back with one reversing entry.
/// Armed by the debit itself, removed when the order is marked paid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PayMoney {
    paying: Paying,
}

impl PayMoney {
    /// For this attempt to pay.
    pub fn new(paying: &Paying) -> Self {
        Self { paying: paying.clone() }
    }

    /// What was being paid.
    pub fn paying(&self) -> &Paying {
        &self.paying
    }
}

impl Job for PayMoney {
    const TAG: &'static str = MqTag::PayMoney.wire();
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy = UNDO;

    fn key(&self) -> String {
        self.paying.payment_id.to_string()
    }
}
