//! `webhook_delivery`: sending an endpoint what is due to it.

use crate::{
    MqTag,
    queue::{Job, RetryPolicy},
    retry::WEBHOOK,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Sends an endpoint its deliveries that are due, and comes again when the next one is. One job for each
/// endpoint, so an endpoint that is slow or dead takes one slot of the workers, and never more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WebhookDelivery {
    endpoint_id: Uuid,
}

impl WebhookDelivery {
    /// For an endpoint with deliveries that are written down.
    pub fn new(endpoint_id: Uuid) -> Self {
        Self { endpoint_id }
    }

    /// The endpoint.
    pub fn endpoint_id(&self) -> Uuid {
        self.endpoint_id
    }
}

impl Job for WebhookDelivery {
    const TAG: &'static str = MqTag::WebhookDelivery.wire();
    const VERSION: u16 = 1;
    const RETRY: RetryPolicy = WEBHOOK;

    fn key(&self) -> String {
        self.endpoint_id.to_string()
    }
}
