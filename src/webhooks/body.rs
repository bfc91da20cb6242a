//! What a receiver is sent.

use crate::domain::json::rfc3339;
use axum::body::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// The body: the same text at every attempt, because the fields stand in one order and `data` has that of
/// the database.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    timestamp: String,
    data: &'a Value,
}

/// The body of an event, JSON.
pub(super) fn body(kind: &str, at: DateTime<Utc>, data: &Value) -> Bytes {
    serde_json::to_vec(&Body { r#type: kind, timestamp: rfc3339(&at), data }).unwrap_or_default().into()
}

/// The header `webhook-id`. It has no dot, which separates the parts of what is signed.
pub fn id_of(event: Uuid) -> String {
    format!("evt_{}", event.simple())
}

/// The event of a `webhook-id`; none for another text.
pub(super) fn event_of(id: &str) -> Option<Uuid> {
    let digits = id.strip_prefix("evt_").filter(|digits| digits.len() == 32)?;
    Uuid::try_parse(digits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_has_one_form() {
        let event = Uuid::now_v7();
        assert_eq!(event_of(&id_of(event)), Some(event));
        for other in [event.to_string(), format!("evt_{event}"), "evt_".to_owned(), id_of(event) + "0"] {
            assert_eq!(event_of(&other), None, "{other}");
        }
    }

    #[test]
    fn a_body_has_its_fields_in_one_order() {
        let at = "2026-11-30T12:00:00.5Z".parse().expect("a time");
        let sent = body("order.paid", at, &serde_json::json!({ "order_id": 1 }));
        let text = r#"{"type":"order.paid","timestamp":"2026-11-30T12:00:00.500000Z","data":{"order_id":1}}"#;
        assert_eq!(sent, text);
    }
}
