//! Live seats as server-sent events.

use crate::http::{
    App,
    events::{busy, takes_events},
    extract::{Path, trip_id},
    middleware::client_address::Address,
    problem::Problem,
};
use crate::{
    domain::Refusal,
    trips::live::{NoStream, SeatEvent},
};
use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{StreamExt, stream};
use std::{convert::Infallible, time::Duration};

/// The shortest time between two heartbeats, milliseconds.
const MIN_HEARTBEAT_MS: u64 = 10;

/// How long a browser waits before it opens another stream, milliseconds.
const RECONNECT_MS: u64 = 3_000;
/// `snapshot` with every seat first, unless `Last-Event-ID` names the present state; then `seats`
/// with what changed. `cancelled` once, if the trip is.
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
    let first =
        stream::iter([Ok::<_, Infallible>(Event::default().retry(Duration::from_millis(RECONNECT_MS)))]);
    let events =
        stream::unfold(opened, |mut opened| async move { Some((Ok(event(&opened.next().await?)), opened)) });
    let heartbeat = Duration::from_millis(app.settings.trips.live_heartbeat_ms.max(MIN_HEARTBEAT_MS));
    let sse = Sse::new(first.chain(events)).keep_alive(KeepAlive::new().interval(heartbeat));
    // A proxy that buffers a response would hold events back.
    Ok(([("x-accel-buffering", "no")], sse).into_response())
}

fn refuse(why: NoStream, headers: &HeaderMap) -> Result<Response, Problem> {
    let problem = Problem::from(why);
    if problem.status.is_server_error() && takes_events(headers) { Ok(busy()) } else { Err(problem) }
}

fn event(news: &SeatEvent) -> Event {
    let event = Event::default().event(news.name).data(&news.data);
    match &news.id {
        Some(id) => event.id(id),
        None => event,
    }
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
