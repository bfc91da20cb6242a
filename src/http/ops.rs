//! The operations side.

use super::{
    App,
    extract::{OpsChange, Path, Viewer, order_id, rider_id},
    once::{Act, Ended},
    problem::Problem,
};
use crate::{
    domain::{Money, Refusal},
    orders::{self, Event},
    riders::wallet,
    trips::{self, NewTrip, TripDetail},
    verify::{self, Verdict},
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

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
) -> Result<Response, Ended> {
    let (rider, TopUp { amount, reference }) = (rider_id(&id)?, change.body);
    let mut act = Act::begin(&change.flow.pool, change.key.as_ref()).await?;
    let done = wallet::top_up(act.conn(), rider, amount, &reference).await;
    act.end(StatusCode::CREATED, done).await
}

pub(super) async fn add_trip(OpsChange(change): OpsChange<NewTrip>) -> Result<Response, Ended> {
    let mut act = Act::begin(&change.flow.pool, change.key.as_ref()).await?;
    let done = added(act.conn(), &change.body).await;
    act.end(StatusCode::CREATED, done).await
}

async fn added(conn: &mut PgConnection, new: &NewTrip) -> Result<TripDetail, Problem> {
    let id = trips::add(&mut *conn, new).await?;
    trips::detail(conn, id, None).await?.ok_or_else(|| Refusal::NotFound("trip").into())
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
