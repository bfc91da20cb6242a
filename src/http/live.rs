//! Live seats as server-sent events.

use super::{
    App,
    extract::{Path, trip_id},
    problem::Problem,
};
use crate::{
    domain::Refusal,
    trips::live::{News, NoStream, Told},
};
use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use std::time::Duration;

/// The shortest time between two heartbeats, milliseconds.
const SHORTEST_HEARTBEAT: u64 = 10;

/// `snapshot` with every seat first, unless `Last-Event-ID` names the present state; then `seats` with what changed.
pub(super) async fn events(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last_id = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let opened = app.live.open(&app.flow.pool, trip_id(&id)?, last_id).await?;
    let events =
        stream::unfold(opened, |mut opened| async move { Some((event(&opened.next().await?), opened)) });
    let heartbeat = Duration::from_millis(app.settings.trips.live_heartbeat_ms.max(SHORTEST_HEARTBEAT));
    let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(heartbeat));
    // A proxy that gathers an answer before it passes it on would hold events back.
    Ok(([("x-accel-buffering", "no")], sse).into_response())
}

fn event(news: &News) -> Result<Event, axum::Error> {
    let name = match news.told {
        Told::Seats(_) => "snapshot",
        Told::Changed(_) => "seats",
    };
    Event::default().event(name).id(&news.id).json_data(&news.told)
}

impl From<NoStream> for Problem {
    fn from(why: NoStream) -> Self {
        match why {
            NoStream::Full => Self::streams_full(),
            NoStream::UnknownTrip => Refusal::NotFound("trip").into(),
            NoStream::Database(error) => error.into(),
        }
    }
}
