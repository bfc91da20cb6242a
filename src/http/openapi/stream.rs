//! The stream of live seats: its events, its end, and their schemas.

use super::builder::Schemas;
use crate::trips::live::{SeatState, TripCancelled};
use serde_json::{Map, Value, json};

/// What the stream is.
pub(super) const MEANING: &str = "Events, as `x-events` has them: first a `snapshot` of every seat, unless `Last-Event-ID` \
    names the present state; then `seats` with what changes, and `cancelled` if the trip is cancelled. Changes that come \
    faster than the client reads are merged; none is lost. An event's `id` names the whole state after it, on every \
    process. A comment comes every 15 s as a heartbeat (`trips.live_heartbeat_ms`): a client that gets nothing for 45 s \
    opens another stream. The stream ends after 15 minutes (`trips.live_stream_secs`) and when its server stops; then the \
    client opens the next one with the last id, as `EventSource` does by itself after the time of the `retry:` line. \
    A client that accepts `text/event-stream` and finds no room, or no database, gets one event `busy` and the end; any \
    other client gets the problem";

/// The events by name.
pub(super) fn events() -> Value {
    let event = |data: &str, has_id: bool, about: &str, example: Value| {
        let schema = json!({ "$ref": format!("#/components/schemas/{data}") });
        json!({ "description": about, "hasId": has_id, "data": schema, "example": example })
    };
    json!({
        "snapshot": event("SeatSnapshot", true, "Every seat: first, and again if the trip gets the seats of another bus.",
            json!({ "seats": [{ "seat": "1", "state": "free" }, { "seat": "2", "state": "held" }] })),
        "seats": event("SeatChanges", true, "The seats that have changed since the last event.",
            json!({ "changed": [{ "seat": "1", "state": "held" }] })),
        "cancelled": event("TripCancelled", false, "The trip is cancelled: once a stream, when it happens or, if it has \
            happened, after the snapshot. Its seats are then blocked one after another. It has no id, so a client that comes \
            back gets it again.",
            json!({ "cancelled_at": "2030-01-01T06:30:00.000000Z", "message": "The pass is closed." })),
        "busy": event("StreamBusy", false, "No room, or no database: come back then. The stream ends.",
            json!({ "retry_after": 7 })),
    })
}

/// The schemas of the events' data.
pub(super) fn schemas(s: &mut Schemas) -> Map<String, Value> {
    let seat = s.gives::<SeatState>();
    let _ = s.gives::<TripCancelled>();
    let list = |field: &str, about: &str| {
        let seats = json!({ "type": "array", "items": seat, "description": about });
        json!({ "type": "object", "required": [field], "properties": { field: seats } })
    };
    let busy =
        json!({ "type": "integer", "minimum": 1, "description": "Seconds to wait before the next stream." });
    let described = |mut schema: Value, about: &str| {
        schema["description"] = json!(about);
        schema
    };
    let busy =
        json!({ "type": "object", "required": ["retry_after"], "properties": { "retry_after": busy } });
    [
        (
            "SeatSnapshot",
            described(list("seats", "Each seat, in the order of the bus."), "Data of the event `snapshot`."),
        ),
        ("SeatChanges", described(list("changed", "The seats that changed."), "Data of the event `seats`.")),
        ("StreamBusy", described(busy, "Data of the event `busy`.")),
    ]
    .into_iter()
    .map(|(name, schema)| (name.to_owned(), schema))
    .collect()
}
