//! What each route does.

pub(crate) mod account;
pub(crate) mod health;
pub(crate) mod live;
pub(in crate::http) mod missing;
pub(crate) mod ops;
pub(crate) mod orders;
pub(crate) mod riders;
pub(crate) mod trips;
