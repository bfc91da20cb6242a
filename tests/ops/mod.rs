//! Operators: jobs, the audit log, the invariants, the command line.

pub mod actions;
mod alarms;
mod chain;
mod checker;
mod operators;
mod snooze;
