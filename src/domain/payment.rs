//! The states of a payment.
//!
//! `debited → settled → refunded`, or `debited → reversed`. Each arrow is one compare-and-set in SQL.

use std::str::FromStr;

/// What a payment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentState {
    /// The wallet is debited, and the order is not yet marked paid.
    Debited,
    /// The order is paid.
    Settled,
    /// The order was not marked paid; the money is back.
    Reversed,
    /// The order was refunded; the money is back.
    Refunded,
}

impl PaymentState {
    /// The word for it in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debited => "debited",
            Self::Settled => "settled",
            Self::Reversed => "reversed",
            Self::Refunded => "refunded",
        }
    }
}

impl FromStr for PaymentState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "debited" => Self::Debited,
            "settled" => Self::Settled,
            "reversed" => Self::Reversed,
            "refunded" => Self::Refunded,
            other => return Err(format!("unknown payment state {other:?}")),
        })
    }
}
