//! Trips and their seats.

use crate::http::{
    App,
    extract::{Paging, Params, Path, maybe_caller, trip_id},
    problem::Problem,
};
use crate::{
    domain::{self, FieldError, Id, Refusal, TripId},
    storage::again,
    trips::{self, PAGE, TripQuery, Viewer},
};
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use chrono::Utc;
use serde::Deserialize;
use std::time::Duration;

#[derive(Deserialize)]
pub(crate) struct Day {
    date: Option<domain::Day>,
    direction: Option<i16>,
}

pub(crate) async fn list(
    State(app): State<App>,
    Params(day): Params<Day>,
    Params(paging): Params<Paging>,
) -> Result<Response, Problem> {
    if day.direction.is_some_and(|direction| !(0..=1).contains(&direction)) {
        return Err(Problem::field(&FieldError::new("direction", "0 or 1")));
    }
    let limit = paging.limit_of(PAGE, PAGE)?;
    let after = paging.cursor::<Id>()?.map(|Id(id)| TripId(id));
    let wanted = TripQuery { direction: day.direction, after, ..TripQuery::default() };
    let zone = app.settings.trips.zone;
    let date = day.date.map_or_else(|| Utc::now().with_timezone(&zone).date_naive(), domain::Day::date);
    let fresh = Duration::from_millis(app.settings.redis.trips_ms);
    let (pool, redis) = (&app.saga.pool, app.redis.as_ref());
    let list = again(|| trips::list(pool, redis, fresh, zone, date, &wanted, limit)).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], list).into_response())
}

pub(crate) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let viewer = match maybe_caller(&headers, &app) {
        Some(caller) if caller.role.may_view() => Viewer::StaffMember(caller.rider_id),
        Some(caller) => Viewer::Rider(caller.rider_id),
        None => Viewer::Anyone,
    };
    let map = app.seat_maps.submit((trip_id(&id)?, viewer)).await?;
    let map = map.ok_or(Refusal::NotFound("trip"))?;
    // The capacity is reserved at once: a body that grows is copied each time.
    let mut body = Vec::with_capacity(TRIP_BYTES + map.seats.len() * SEAT_BYTES);
    serde_json::to_writer(&mut body, &*map).map_err(|_| Problem::broken())?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// The approximate length of a trip without its seats in a response, bytes.
const TRIP_BYTES: usize = 600;
/// The approximate length of a seat in a response, bytes.
const SEAT_BYTES: usize = 64;
