//! What every stream of server-sent events shares.
//!
//! An `EventSource` gives up for good at any response but 200 with a stream, and reconnects after a
//! stream that ends. A client that accepts `text/event-stream` and cannot be served therefore gets
//! a stream of one event, `busy`, with the time to reconnect; any other client gets the problem.

use axum::{
    http::{HeaderMap, header},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures_util::stream;
use serde_json::json;
use std::{convert::Infallible, time::Duration};
use uuid::Uuid;

/// The route of the streams of live seats.
pub(crate) const LIVE_SEATS_ROUTE: &str = "/v1/trips/{id}/seats/events";

/// How long a refused client waits, milliseconds: at least this long and less than twice as long.
/// The random part keeps clients that were refused together from returning together.
const BUSY_MS: u64 = 5_000;

/// A stream of one event that says when to reconnect.
pub(crate) fn busy() -> Response {
    let random = u64::try_from(Uuid::new_v4().as_u128() % u128::from(BUSY_MS)).unwrap_or_default();
    let millis = BUSY_MS + random;
    let secs = millis.div_ceil(1_000);
    let data = json!({ "retry_after": secs }).to_string();
    let event = Event::default().event("busy").retry(Duration::from_millis(millis)).data(data);
    let sse = Sse::new(stream::iter([Ok::<_, Infallible>(event)]));
    ([("x-accel-buffering", "no".to_owned()), ("retry-after", secs.to_string())], sse).into_response()
}

/// Whether the client accepts events by name, as every `EventSource` does.
pub(crate) fn takes_events(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds = lines.flat_map(|line| line.split(',')).filter_map(|part| part.split(';').next());
    kinds.into_iter().any(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}
