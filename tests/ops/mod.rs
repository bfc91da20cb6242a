//! Operators: jobs, the audit log, the invariants, the command line.

pub mod actions;
mod alarms;
mod checker;
mod impact;
mod operators;
mod snooze;
