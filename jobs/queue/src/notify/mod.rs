//! Waking workers up by NOTIFY. Only a shortcut: workers poll as well.

pub(crate) mod listener;
pub(crate) mod notifier;

/// The payload of a message that the cancellation of a running job was requested. An immediate job
/// is announced with an empty payload.
pub(crate) const CANCEL: &str = "cancel";
