//! Waking workers up by NOTIFY. Only a shortcut: workers poll as well.

pub(crate) mod listener;
pub(crate) mod notifier;

/// The channel on which an immediate job is announced, with an empty payload, and a request to cancel with [`CANCEL`].
pub const CHANNEL: &str = "farebox_jobs";
/// The payload of a message that the cancellation of a running job was requested.
pub const CANCEL: &str = "cancel";
