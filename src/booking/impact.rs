//! What each undo of a booking would change: the same rules as the undos', as pure functions over
//! the facts.

use crate::domain::{Effects, OrderStatus, UndoFacts};

/// [`claim::undo`](super::claim::undo) and [`price::undo`](super::price::undo): frees the seats of
/// an order that was never added.
pub fn of_claim(facts: &UndoFacts) -> Effects {
    facts.effects(facts.order_status.is_none(), false)
}

/// [`add_order::undo`](super::add_order::undo): closes the unpaid order, or frees the seats of one
/// that was never added.
pub fn of_add_order(facts: &UndoFacts) -> Effects {
    facts.effects(matches!(facts.order_status, None | Some(OrderStatus::Unpaid)), false)
}

/// [`cancel::undo`](super::cancel::undo): closes the unpaid order.
pub fn of_cancel(facts: &UndoFacts) -> Effects {
    facts.effects(facts.order_status == Some(OrderStatus::Unpaid), false)
}

/// [`unpaid::expire`](super::unpaid::expire): closes the order at its deadline, or frees the seats
/// of one that was never added, once their hold has lapsed. Before that the timer waits on.
pub fn of_expiry(facts: &UndoFacts) -> Effects {
    let open = matches!(facts.order_status, None | Some(OrderStatus::Unpaid));
    facts.effects(open && facts.overdue, false)
}
