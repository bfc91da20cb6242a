//! The console's pages.

pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod bulk;
pub(crate) mod home;
mod home_charts;
pub(crate) mod jobs;
pub(crate) mod live;
pub(crate) mod money;
pub(crate) mod order;
pub(crate) mod orders;
pub(crate) mod people;
pub(crate) mod preferences;
pub(crate) mod queues;
pub(crate) mod riders;
pub(crate) mod search;
pub(crate) mod sign_in;
pub(crate) mod trips;
