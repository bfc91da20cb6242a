//! The states of a payment.

use std::str::FromStr;

/// Where a payment's money is: `debited → settled → refunded`, or `debited → reversed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentState {
    /// Taken from the wallet; the order is not yet paid.
    Debited,
    /// The order is paid.
    Settled,
    /// Given back, because the payment failed.
    Reversed,
    /// Given back, because the order was refunded.
    Refunded,
}

impl PaymentState {
    /// All.
    pub const ALL: [Self; 4] = [Self::Debited, Self::Settled, Self::Reversed, Self::Refunded];

    /// The word for it in SQL and JSON.
    pub const fn as_str(self) -> &'static str {
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
        let state = Self::ALL.into_iter().find(|state| state.as_str() == text);
        state.ok_or_else(|| format!("unknown payment state {text:?}"))
    }
}
