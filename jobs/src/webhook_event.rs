//! `webhook_event`: writing an event down, with a delivery for each endpoint that takes it.

use crate::{
    MqTag,
    event_kind::EventKind,
    queue::{Job, RetryPolicy},
    retry::WEBHOOK,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// An event that a change announced in its own transaction. The SQL function `announce` enqueues it: its
/// payload is written there, and read here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WebhookEvent {
    event_id: Uuid,
    kind: EventKind,
    subject: Uuid,
    /// RFC 3339, as the database wrote it.
    at: String,
    #[serde(default)]
    facts: Value,
}

impl WebhookEvent {
    /// The event's id, the same for the same change.
    pub fn event_id(&self) -> Uuid {
        self.event_id
    }

    /// What happened.
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// The order, the trip or the job that it happened to.
    pub fn subject(&self) -> Uuid {
        self.subject
    }

    /// When, RFC 3339.
    pub fn at(&self) -> &str {
        &self.at
    }

    /// What only the change knew: of a rollback its tag, its key, its order and its result.
    pub fn facts(&self) -> &Value {
        &self.facts
    }
}

impl Job for WebhookEvent {
    const TAG: &'static str = MqTag::WebhookEvent.wire();
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy = WEBHOOK;

    fn key(&self) -> String {
        self.event_id.to_string()
    }
}
