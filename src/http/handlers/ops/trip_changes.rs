//! Changing one trip: another bus, other prices.

use super::by;
use crate::http::{
    App,
    extract::{ConfirmedChange, OpsChange, Path, trip_id},
    idempotent::{IdempotentChange, Reply},
    problem::Problem,
};
use crate::{
    domain::Money,
    ops::networks::one_trip::{self, TripChangePreview, TripChanged},
    storage,
    trips::network::TripChange,
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub(crate) async fn preview(
    State(app): State<App>,
    Path(id): Path<String>,
    OpsChange(change): OpsChange<TripChange>,
) -> Result<Json<TripChangePreview>, Problem> {
    let trip = trip_id(&id)?;
    let mut tx = storage::begin(&app.saga.pool).await?;
    // The transaction writes nothing, and ends with it.
    Ok(Json(one_trip::preview(&mut tx, trip, &change.body).await?))
}

/// A change that was previewed.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewedChange {
    /// Another bus, as it was previewed.
    bus_id: Option<i32>,
    /// The price of one seat, as it was previewed.
    price: Option<Money>,
    /// The prices of other classes, as they were previewed.
    prices: Option<BTreeMap<String, Money>>,
    /// Whether the trip follows its departure again, as it was previewed.
    follow: Option<bool>,
    /// The digest of the preview.
    digest: String,
    #[schemars(with = "crate::domain::Reason")]
    reason: String,
}

pub(crate) async fn apply(
    Path(id): Path<String>,
    ConfirmedChange(change): ConfirmedChange<PreviewedChange>,
) -> Result<Response, Reply> {
    let PreviewedChange { bus_id, price, prices, follow, digest, reason } = change.body;
    let (trip, by) = (trip_id(&id)?, by(&change.caller, Some(&reason))?);
    let wanted = TripChange { bus_id, price, prices, follow };
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = one_trip::apply(act.conn(), &by, trip, &wanted, &digest).await;
    let is_running = done.as_ref().is_ok_and(TripChanged::is_running);
    act.end(if is_running { StatusCode::ACCEPTED } else { StatusCode::OK }, done).await
}
