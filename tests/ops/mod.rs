//! Operators: jobs, the audit log, the invariants, the command line.

pub mod acts;
mod checker;
mod operators;
mod snooze;
mod truth;
