//! Trips with their seats.

use super::{
    App,
    extract::{Params, Path, maybe_caller, trip_id},
    problem::Problem,
};
use crate::{
    domain::{FieldError, Refusal},
    trips::{self, Trip, TripDetail},
};
use axum::{Json, extract::State, http::HeaderMap};
use chrono::{NaiveDate, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
pub(super) struct Day {
    date: Option<NaiveDate>,
    direction: Option<i16>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Trips {
    items: Vec<Trip>,
    next: Option<String>,
}

pub(super) async fn list(State(app): State<App>, Params(day): Params<Day>) -> Result<Json<Trips>, Problem> {
    if day.direction.is_some_and(|direction| !(0..=1).contains(&direction)) {
        return Err(Problem::field(&FieldError::new("direction", "0 or 1")));
    }
    let zone = app.settings.trips.zone;
    let date = day.date.unwrap_or_else(|| Utc::now().with_timezone(&zone).date_naive());
    let items = trips::of_day(&app.flow.pool, zone, date, day.direction).await?;
    Ok(Json(Trips { items, next: None }))
}

pub(super) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<TripDetail>, Problem> {
    let viewer = maybe_caller(&headers, &app).map(|caller| caller.rider_id);
    let trip = trips::detail(&mut *app.flow.pool.acquire().await?, trip_id(&id)?, viewer).await?;
    trip.map(Json).ok_or_else(|| Refusal::NotFound("trip").into())
}
