//! What every request passes before its handler.

pub(crate) mod admission;
pub(crate) mod client_address;
pub(crate) mod context;
pub(crate) mod cors;
pub(crate) mod host;
pub(crate) mod limited_routes;
pub(crate) mod rate_limit;
pub(crate) mod scheme;
pub(crate) mod stale_plan;
pub(crate) mod timeout;
pub(crate) mod validate;
