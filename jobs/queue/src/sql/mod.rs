//! The statements of the driver, each a transaction of its own.

pub(crate) mod claim;
pub(crate) mod complete;
pub(crate) mod cursor;
pub(crate) mod heartbeat;
pub(crate) mod rollup;
