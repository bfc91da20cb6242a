//! The pages, a file for each subject.

pub(super) mod account;
mod changes;
mod choice;
pub(super) mod order;
mod order_parts;
pub(super) mod orders;
pub(super) mod preferences;
mod seats;
pub(super) mod sign_in;
pub(super) mod trip;
pub(super) mod trips;
pub(super) mod wallet;
