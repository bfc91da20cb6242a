//! What events are about that leave the service.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What an event says. The words are the wire's, and stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum EventKind {
    /// An unpaid order was closed at its deadline, and its seats are free.
    #[serde(rename = "hold.expired")]
    HoldExpired,
    /// An order is paid.
    #[serde(rename = "order.paid")]
    OrderPaid,
    /// A paid order is refunded: the money is back, and its seats are free.
    #[serde(rename = "order.refunded")]
    OrderRefunded,
    /// A trip is cancelled; its orders are ended one by one after that.
    #[serde(rename = "trip.cancelled")]
    TripCancelled,
    /// The undo of a failed step has ended.
    #[serde(rename = "rollback.done")]
    RollbackDone,
    /// The undo of a failed step was given up, and waits for an operator.
    #[serde(rename = "rollback.failed")]
    RollbackFailed,
}

/// A kind that this build does not know.
#[derive(Debug, thiserror::Error)]
#[error("one of {known}", known = EventKind::ALL.map(EventKind::wire).join(", "))]
pub struct UnknownKind;

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::HoldExpired,
        Self::OrderPaid,
        Self::OrderRefunded,
        Self::TripCancelled,
        Self::RollbackDone,
        Self::RollbackFailed,
    ];

    /// As `type` in the body of a webhook, and in the database.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::HoldExpired => "hold.expired",
            Self::OrderPaid => "order.paid",
            Self::OrderRefunded => "order.refunded",
            Self::TripCancelled => "trip.cancelled",
            Self::RollbackDone => "rollback.done",
            Self::RollbackFailed => "rollback.failed",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wire())
    }
}

impl FromStr for EventKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.wire() == text).ok_or(UnknownKind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_word_in_all_forms() {
        for kind in EventKind::ALL {
            assert_eq!(serde_json::to_value(kind).ok(), Some(kind.wire().into()));
            assert_eq!(kind.wire().parse::<EventKind>().ok(), Some(kind));
        }
        assert!("order.Paid".parse::<EventKind>().is_err());
    }
}
