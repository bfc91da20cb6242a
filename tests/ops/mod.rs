//! Operators: jobs, the audit log, the invariants, the command line.

mod actions;
mod alarms;
mod alerts;
mod bulk;
mod chain;
mod checker;
pub mod dead_letters;
mod impact;
mod operators;
mod pending;
mod reports;
mod snooze;
