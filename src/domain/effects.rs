//! What an undo would change, and the facts that decide it.

use super::{Money, OrderStatus, PaymentState};

/// The order, its seats and its payment, as an undo would find them now.
#[derive(Clone, Debug, Default)]
pub struct UndoFacts {
    /// The order's state; `None` if it was never added.
    pub order_status: Option<OrderStatus>,
    /// Whether its deadline has passed; of an order that was never added, the hold on its seats.
    pub overdue: bool,
    /// The seats that it owns.
    pub owned_seats: Vec<i32>,
    /// Their labels; empty where the numbers are the labels.
    pub owned_labels: Vec<String>,
    /// The state of its payment, if there is one.
    pub payment: Option<PaymentState>,
    /// The amount of its payment.
    pub amount: Option<Money>,
}

impl UndoFacts {
    /// Effects that free the owned seats if `frees` and give the amount back if `pays_back`.
    pub fn effects(&self, frees: bool, pays_back: bool) -> Effects {
        Effects {
            seats: if frees { self.owned_seats.clone() } else { Vec::new() },
            labels: if frees { self.owned_labels.clone() } else { Vec::new() },
            amount: self.amount.filter(|_| pays_back),
            marks_paid: false,
        }
    }
}

/// What a run would change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The seats that become free.
    pub seats: Vec<i32>,
    /// Their labels; empty where the numbers are the labels.
    pub labels: Vec<String>,
    /// The money that goes back to the rider.
    pub amount: Option<Money>,
    /// Whether the order becomes paid after all.
    pub marks_paid: bool,
}
