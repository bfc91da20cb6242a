//! Operators: jobs, the audit log, the invariants, the command line.

mod account_events;
mod actions;
mod alarms;
mod alerts;
mod bulk;
mod chain;
mod checker;
mod dashboard;
pub mod dead_letters;
mod discard;
mod filters;
mod impact;
mod metrics;
mod money_by_hand;
mod operators;
mod order_acts;
mod pending;
mod people;
mod prometheus;
mod promtool;
mod reports;
mod retention;
mod search;
mod snooze;
mod traces;
