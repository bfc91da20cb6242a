//! The operations side.

use super::{
    App,
    extract::{OpsChange, Viewer, order_id, rider_id},
    problem::Problem,
};
use crate::{
    domain::{Money, Refusal},
    orders::{self, Event},
    riders::wallet::{self, Entry},
    trips::{self, NewTrip, TripDetail},
    verify::{self, Verdict},
};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TopUp {
    amount: Money,
    #[schemars(length(min = 1, max = 100))]
    reference: String,
}

pub(super) async fn top_up(
    Path(id): Path<String>,
    OpsChange(change): OpsChange<TopUp>,
) -> Result<(StatusCode, Json<Entry>), Problem> {
    let (rider, TopUp { amount, reference }) = (rider_id(&id)?, change.body);
    let mut tx = change.flow.pool.begin().await?;
    let entry = wallet::top_up(&mut tx, rider, amount, &reference).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(entry)))
}

pub(super) async fn add_trip(
    OpsChange(change): OpsChange<NewTrip>,
) -> Result<(StatusCode, Json<TripDetail>), Problem> {
    let id = trips::add(&change.flow.pool, &change.body).await?;
    let trip = trips::detail(&change.flow.pool, id, None).await?;
    let trip = trip.ok_or(Refusal::NotFound("trip"))?;
    Ok((StatusCode::CREATED, Json(trip)))
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Timeline {
    items: Vec<Event>,
}

pub(super) async fn timeline(
    State(app): State<App>,
    _: Viewer,
    Path(id): Path<String>,
) -> Result<Json<Timeline>, Problem> {
    let items = orders::timeline(&app.flow.pool, order_id(&id)?).await?;
    if items.is_empty() { Err(Refusal::NotFound("order").into()) } else { Ok(Json(Timeline { items })) }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Report {
    holds: bool,
    invariants: Vec<Verdict>,
}

pub(super) async fn verify(State(app): State<App>, _: Viewer) -> Result<Json<Report>, Problem> {
    let invariants = verify::verify(&app.flow.pool).await?;
    Ok(Json(Report { holds: invariants.iter().all(|verdict| verdict.holds), invariants }))
}
