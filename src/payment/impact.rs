//! What each undo of a payment would change: the same rules as the undos', as pure functions over
//! the facts.

use crate::domain::{Effects, OrderStatus, PaymentState, UndoFacts};

/// [`debit::undo`](super::debit::undo): gives the debit back.
pub fn of_debit(facts: &UndoFacts) -> Effects {
    facts.effects(false, facts.payment == Some(PaymentState::Debited))
}

/// [`mark_paid::undo`](super::mark_paid::undo): marks the order paid if it is still in time, and
/// gives the debit back otherwise.
pub fn of_mark_paid(facts: &UndoFacts) -> Effects {
    let debited = facts.payment == Some(PaymentState::Debited);
    let marks_paid = debited && facts.order_status == Some(OrderStatus::Unpaid) && !facts.overdue;
    Effects { marks_paid, ..facts.effects(false, debited && !marks_paid) }
}

/// [`refund::undo`](super::refund::undo): frees the seats and gives the money back.
pub fn of_refund(facts: &UndoFacts) -> Effects {
    let refunding = facts.order_status == Some(OrderStatus::Refunding);
    facts.effects(refunding, refunding && facts.payment == Some(PaymentState::Settled))
}
