//! The states of an order.
//!
//! `unpaid → paid → refunding → refunded`, or `unpaid → closed`. There is no other arrow: each is
//! one compare-and-set in SQL (`orders`), and `order_event` holds each state at most once
//! (`order_history` takes booked and paid from the order itself).

use schemars::JsonSchema;
use serde::Serialize;
use std::str::FromStr;

// `Paying` is never stored.
/// What an order is. `paying` is how an unpaid order shows while a debit for it is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Holds its seats until `expires_at`.
    Unpaid,
    /// Unpaid, with money debited for it and not yet marked paid.
    Paying,
    /// Owns its seats.
    Paid,
    /// The money is on its way back.
    Refunding,
    /// Money back, seats free.
    Refunded,
    /// Never charged, or charged and given back; seats free.
    Closed,
}

impl OrderStatus {
    /// The word for it in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unpaid => "unpaid",
            Self::Paying => "paying",
            Self::Paid => "paid",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
            Self::Closed => "closed",
        }
    }
}

impl FromStr for OrderStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "unpaid" => Self::Unpaid,
            "paying" => Self::Paying,
            "paid" => Self::Paid,
            "refunding" => Self::Refunding,
            "refunded" => Self::Refunded,
            "closed" => Self::Closed,
            other => return Err(format!("no order status is called {other:?}")),
        })
    }
}

/// Until when a rider gets back how much of a paid order: the rules of its route when the seats were
/// claimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefundRules {
    /// How long before departure refunding ends, seconds; `None` for the settings' time.
    pub secs: Option<i32>,
    /// How much of the amount is given back, percent; `None` for all of it.
    pub percent: Option<i16>,
}

/// Why an order was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// It was not paid in time.
    Expired,
    /// Its rider cancelled it.
    CancelledByRider,
    /// Its booking failed and was rolled back.
    CancelledBySystem,
}

impl CloseReason {
    /// The word for it in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::CancelledByRider => "cancelled_by_rider",
            Self::CancelledBySystem => "cancelled_by_system",
        }
    }
}
