//! Operators: jobs, the audit log, the invariants, the command line.

pub mod actions;
mod alarms;
mod checker;
mod money_by_hand;
mod operators;
mod people;
mod snooze;
mod traces;
