//! Trips and their seats.

use crate::http::{
    App,
    extract::{MaybeSignedIn, Paging, Params, Path, trip_id},
    language::preferred,
    paged::{before, next_in},
    problem::Problem,
    validators::{Keep, respond},
};
use crate::{
    domain::{self, FieldError, Id, Refusal, TripId},
    network::Code,
    storage::again,
    trips::{self, Itineraries, ListContext, PAGE, TripQuery, Viewer},
};
use axum::{body::Bytes, extract::State, http::HeaderMap, response::Response};
use serde::Deserialize;
use std::time::Duration;

#[derive(Deserialize)]
pub(crate) struct Day {
    date: Option<domain::Day>,
    direction: Option<i16>,
    route: Option<String>,
}

pub(crate) async fn list(
    State(app): State<App>,
    Params(day): Params<Day>,
    Params(paging): Params<Paging>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if day.direction.is_some_and(|direction| !trips::is_direction(direction)) {
        return Err(Problem::field(&FieldError::new("direction", trips::DIRECTION_RULE)));
    }
    if let Some(Err(rule)) = day.route.as_deref().map(str::parse::<Code>) {
        return Err(Problem::field(&FieldError::new("route", rule)));
    }
    let limit = paging.limit_of(PAGE, PAGE)?;
    let after = paging.cursor::<Id>()?.map(|Id(id)| TripId(id));
    let date = day.date.map(domain::Day::date);
    let wanted = TripQuery { direction: day.direction, route: day.route, after, ..TripQuery::default() };
    let context = ListContext {
        pool: &app.saga.pool,
        reads: &app.reads,
        lists: &app.trip_lists,
        redis: app.redis.as_ref(),
        max_age: Duration::from_millis(app.settings.redis.trips_ms),
        itineraries: &app.itineraries,
        language: |itineraries: &Itineraries| preferred(&headers, itineraries.languages()),
        booking: &app.settings.booking,
        trips: &app.settings.trips,
    };
    let list = again(|| trips::list(&context, date, &wanted, limit)).await?;
    let next = next_in(&list);
    let list = respond(&headers, Keep::Revalidated, "accept-language", Bytes::from_owner(list));
    Ok(before(next, list))
}

pub(crate) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    MaybeSignedIn(caller): MaybeSignedIn,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let viewer = match caller {
        Some(caller) if caller.role.may_view() => Viewer::StaffMember(caller.rider_id),
        Some(caller) => Viewer::Rider(caller.rider_id),
        None => Viewer::Anyone,
    };
    // Own seats and drivers are for the caller alone.
    let keep = if viewer == Viewer::Anyone { Keep::Revalidated } else { Keep::Nobody };
    let map = app.seat_maps.submit((trip_id(&id)?, viewer)).await?;
    let map = map.ok_or(Refusal::NotFound("trip"))?;
    let itineraries = app.itineraries.of_import(&app.saga.pool, map.trip.route.imported_at).await?;
    let language = preferred(&headers, itineraries.languages());
    let journeys = app.journeys(&itineraries, language.as_ref());
    // The capacity is reserved at once: a body that grows is copied each time.
    let mut body = Vec::with_capacity(TRIP_BYTES + map.seats.len() * SEAT_BYTES);
    serde_json::to_writer(&mut body, &journeys.shown(&map)).map_err(|_| Problem::broken())?;
    Ok(respond(&headers, keep, "accept-language, authorization", body.into()))
}

/// The approximate length of a trip without its seats in a response, bytes.
const TRIP_BYTES: usize = 600;
/// The approximate length of a seat in a response, bytes.
const SEAT_BYTES: usize = 64;
