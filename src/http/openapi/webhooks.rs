//! The operations on webhooks by operators, and the events that webhooks are sent.

use super::builder::{
    Access::{Operator, Viewer},
    Operation, Schemas, operation,
};
use crate::{
    domain::Page,
    http::handlers::ops::webhooks as http_webhooks,
    webhooks::{Delivery, Endpoint, OrderData, Redelivered, RollbackData, Secret, TripData},
};
use farebox_jobs::EventKind;
use serde_json::{Map, Value, json};

fn reason() -> Value {
    json!({ "reason": "the accounting service has moved" })
}

/// All of them.
pub(super) fn operations(s: &mut Schemas) -> Vec<Operation> {
    let mut act = |path: &'static str, summary: &'static str| {
        operation("post", path, Operator, summary)
            .takes(s.takes::<http_webhooks::WebhookReason>(), reason())
            .gives(200, "The webhook", s.gives::<Endpoint>())
            .keyed()
    };
    let acts = [
        act("/v1/ops/webhooks/{id}/enable", "Enable a webhook; what waits for it is sent"),
        act("/v1/ops/webhooks/{id}/disable", "Disable a webhook: nothing is sent, nothing is added"),
        act("/v1/ops/webhooks/{id}/rotate", "Give a webhook another secret; the old one signs for a day too"),
        act("/v1/ops/webhooks/{id}/remove", "Remove a webhook; its deliveries stay until they are old"),
    ];
    kept(s).into_iter().chain(acts).chain(log(s)).collect()
}

/// Reading, adding and changing webhooks.
fn kept(s: &mut Schemas) -> Vec<Operation> {
    vec![
        operation("get", "/v1/ops/webhooks", Viewer, "The webhooks, the oldest first").gives(
            200,
            "All of them: `next` is always null",
            s.gives::<Page<Endpoint>>(),
        ),
        operation("post", "/v1/ops/webhooks", Operator, "Add a webhook")
            .takes(
                s.takes::<http_webhooks::NewWebhook>(),
                json!({
                    "name": "accounting", "url": "https://hooks.example.com/farebox",
                    "kinds": ["order.paid", "order.refunded"], "reason": "the books follow the sales",
                }),
            )
            .gives(201, "The webhook", s.gives::<Endpoint>())
            .keyed(),
        operation("get", "/v1/ops/webhooks/{id}", Viewer, "A webhook").gives(
            200,
            "The webhook",
            s.gives::<Endpoint>(),
        ),
        operation(
            "post",
            "/v1/ops/webhooks/{id}/change",
            Operator,
            "Change name, address or kinds of a webhook",
        )
        .takes(
            s.takes::<http_webhooks::ChangeWebhook>(),
            json!({ "url": "https://hooks.example.com/v2", "reason": "the accounting service has moved" }),
        )
        .gives(200, "The webhook", s.gives::<Endpoint>())
        .keyed(),
        operation(
            "post",
            "/v1/ops/webhooks/{id}/secret",
            Operator,
            "Read the secret that signs; each time is recorded",
        )
        .takes(s.takes::<http_webhooks::WebhookReason>(), reason())
        .gives(200, "The secret", s.gives::<Secret>())
        .refuses("003092"),
    ]
}

/// What was sent, and sending it again.
fn log(s: &mut Schemas) -> Vec<Operation> {
    vec![
        operation("get", "/v1/ops/webhooks/{id}/deliveries", Viewer, "What a webhook was sent, newest first")
            .query(
                "state",
                "In this state",
                json!({ "type": "string", "enum": ["pending", "delivered", "failed"] }),
            )
            .paged()
            .gives(200, "A page", s.gives::<Page<Delivery>>()),
        operation(
            "post",
            "/v1/ops/webhooks/{id}/deliveries/{event_id}/redeliver",
            Operator,
            "Send an event again, with the same id",
        )
        .takes(s.takes::<http_webhooks::WebhookReason>(), reason())
        .gives(202, "It is due now", s.gives::<Redelivered>())
        .keyed(),
        operation(
            "post",
            "/v1/ops/webhooks/{id}/redeliver",
            Operator,
            "Send again what was given up, the oldest first",
        )
        .takes(
            s.takes::<http_webhooks::RedeliverFailed>(),
            json!({ "since": "2026-11-30T00:00:00Z", "reason": "the accounting service is back" }),
        )
        .gives(202, "How many are due now", s.gives::<Redelivered>())
        .keyed(),
    ]
}

/// What a kind of event says.
fn summary(kind: EventKind) -> &'static str {
    match kind {
        EventKind::HoldExpired => "An unpaid order was closed at its deadline, and its seats are free",
        EventKind::OrderPaid => "An order is paid",
        EventKind::OrderRefunded => "An order is refunded: the money is back, and its seats are free",
        EventKind::TripCancelled => "A trip is cancelled; its orders end one by one after that",
        EventKind::RollbackDone => "The undo of a failed step has ended",
        EventKind::RollbackFailed => "The undo of a failed step was given up, and waits for an operator",
    }
}

/// The section `webhooks`: what a receiver is sent.
pub(super) fn events(s: &mut Schemas) -> Map<String, Value> {
    let (order, trip, rollback) = (s.gives::<OrderData>(), s.gives::<TripData>(), s.gives::<RollbackData>());
    let data = |kind: EventKind| match kind {
        EventKind::HoldExpired | EventKind::OrderPaid | EventKind::OrderRefunded => order.clone(),
        EventKind::TripCancelled => trip.clone(),
        EventKind::RollbackDone | EventKind::RollbackFailed => rollback.clone(),
    };
    EventKind::ALL.into_iter().map(|kind| (kind.wire().to_owned(), event(kind, &data(kind)))).collect()
}

fn event(kind: EventKind, data: &Value) -> Value {
    let header = |name: &str, description: &str| json!({ "name": name, "in": "header", "required": true, "description": description, "schema": { "type": "string" } });
    json!({ "post": {
        "operationId": format!("event_{}", kind.wire().replace('.', "_")),
        "summary": summary(kind),
        "tags": ["ops-webhooks"],
        "parameters": [
            header("webhook-id", "The event's id, the same at every attempt: what a receiver knows it has done."),
            header("webhook-timestamp", "When this attempt was signed, seconds since 1970."),
            header("webhook-signature", "`v1,` and a Base64 HMAC-SHA-256 of id, timestamp and body; several by blanks."),
        ],
        "requestBody": { "required": true, "content": { "application/json": { "schema": {
            "type": "object",
            "required": ["type", "timestamp", "data"],
            "properties": {
                "type": { "type": "string", "const": kind.wire() },
                "timestamp": { "type": "string", "format": "date-time", "description": "When the change was made." },
                "data": data,
            },
        } } } },
        "responses": {
            "2XX": { "description": "It is delivered" },
            "410": { "description": "No more events, ever: the webhook is disabled" },
            "default": { "description": "It is sent again, for three days" },
        },
        "security": [],
    } })
}
