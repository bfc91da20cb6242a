//! What this process has sent.

use super::round::Attempt;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use std::sync::LazyLock;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    outcome: &'static str,
}

/// Attempts to send an event to a webhook.
pub struct WebhookMetrics(Family<OfOutcome, Counter>);

/// Those of this process.
pub static ATTEMPTS: LazyLock<WebhookMetrics> = LazyLock::new(|| {
    let attempts = WebhookMetrics(Family::default());
    // Each is there from the start: `increase` of a series that begins with its first one is 0.
    for outcome in ["delivered", "refused", "unanswered"] {
        drop(attempts.0.get_or_create(&OfOutcome { outcome }));
    }
    attempts
});

impl WebhookMetrics {
    /// Puts them into a registry.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Attempts to send an event to a webhook, by whether it was taken, refused or not answered";
        registry.register("webhook_attempts", help, self.0.clone());
    }
}

/// Counts attempts.
pub(super) fn count(attempts: &[Attempt]) {
    for attempt in attempts {
        let outcome = match (&attempt.error, attempt.status) {
            (None, _) => "delivered",
            (Some(_), Some(_)) => "refused",
            (Some(_), None) => "unanswered",
        };
        ATTEMPTS.0.get_or_create(&OfOutcome { outcome }).inc();
    }
}
