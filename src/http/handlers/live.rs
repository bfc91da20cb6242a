//! Live seats as server-sent events.
//!
//! A browser's `EventSource` gives up for good at any answer but 200 with a stream, and comes back by itself after a stream
//! that ends. So whoever asks for `text/event-stream` and cannot be served just now gets a stream of one event, `busy`, that
//! says when to come back and ends; any other client gets the problem.

use crate::http::{
    App,
    extract::{Path, trip_id},
    middleware::client_address::Address,
    problem::Problem,
};
use crate::{
    domain::Refusal,
    trips::live::{Delta, NoStream, SeatEvent},
};
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{StreamExt, stream};
use serde_json::json;
use std::{convert::Infallible, time::Duration};
use uuid::Uuid;

/// Where streams of live seats are.
pub(crate) const ROUTE: &str = "/v1/trips/{id}/seats/events";
/// The shortest time between two heartbeats, milliseconds.
const SHORTEST_HEARTBEAT: u64 = 10;

/// After how long a browser whose stream has ended opens another, milliseconds.
const COME_BACK: u64 = 3_000;
/// After how long one that found no room asks again, milliseconds: from so many on, and up to as many more, so that those who
/// were refused together do not come back together.
const BUSY: u64 = 5_000;

/// `snapshot` with every seat first, unless `Last-Event-ID` names the present state; then `seats` with what changed.
pub(crate) async fn events(
    State(app): State<App>,
    Path(id): Path<String>,
    address: Address,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last_id = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let opened = match app.live.open(&app.saga.pool, trip_id(&id)?, last_id, address.0).await {
        Ok(opened) => opened,
        Err(why) => return refuse(why, &headers),
    };
    let first = stream::iter([Ok(Event::default().retry(Duration::from_millis(COME_BACK)))]);
    let events =
        stream::unfold(opened, |mut opened| async move { Some((event(&opened.next().await?), opened)) });
    let heartbeat = Duration::from_millis(app.settings.trips.live_heartbeat_ms.max(SHORTEST_HEARTBEAT));
    let sse = Sse::new(first.chain(events)).keep_alive(KeepAlive::new().interval(heartbeat));
    // A proxy that gathers an answer before it passes it on would hold events back.
    Ok(([("x-accel-buffering", "no")], sse).into_response())
}

fn refuse(why: NoStream, headers: &HeaderMap) -> Result<Response, Problem> {
    let problem = Problem::from(why);
    if problem.status.is_server_error() && takes_events(headers) { Ok(busy()) } else { Err(problem) }
}

/// A stream of one event that says when to come back.
pub(crate) fn busy() -> Response {
    let random = u64::try_from(Uuid::new_v4().as_u128() % u128::from(BUSY)).unwrap_or_default();
    let millis = BUSY + random;
    let secs = millis.div_ceil(1_000);
    let told = json!({ "retry_after": secs }).to_string();
    let event = Event::default().event("busy").retry(Duration::from_millis(millis)).data(told);
    let sse = Sse::new(stream::iter([Ok::<_, Infallible>(event)]));
    ([("x-accel-buffering", "no".to_owned()), ("retry-after", secs.to_string())], sse).into_response()
}

/// Whether the client asks for events by name, as every `EventSource` does.
pub(crate) fn takes_events(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds = lines.flat_map(|line| line.split(',')).filter_map(|part| part.split(';').next());
    kinds.into_iter().any(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}

fn event(news: &SeatEvent) -> Result<Event, axum::Error> {
    let name = match news.delta {
        Delta::Seats(_) => "snapshot",
        Delta::Changed(_) => "seats",
    };
    Event::default().event(name).id(&news.id).json_data(&news.delta)
}

impl From<NoStream> for Problem {
    fn from(why: NoStream) -> Self {
        match why {
            NoStream::Full => Self::streams_full("this server has no room for another stream"),
            NoStream::TooManyOfAddress => {
                Self::streams_full("this address has as many streams open as one address may have")
            }
            NoStream::UnknownTrip => Refusal::NotFound("trip").into(),
            NoStream::Database(error) => error.into(),
        }
    }
}
