//! Acts of operators upon one order.

use super::by;
use super::jobs::Job;
use crate::http::{
    App,
    extract::{OpsChange, Path, SignedIn, Viewer, order_id},
    idempotent::{IdempotentChange, Reply},
    problem::Problem,
};
use crate::{
    domain::Reason,
    ops::{
        audit::Through,
        orders::{self, OrderActs},
        reads::{self, Read},
    },
    storage,
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) async fn acts(
    State(app): State<App>,
    _: Viewer,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
) -> Result<Json<OrderActs>, Problem> {
    let order = order_id(&id)?;
    let mut tx = storage::begin(&app.saga.pool).await?;
    let now = orders::acts(&mut tx, order).await?;
    tx.rollback().await?;
    reads::record(&app.saga.pool, &caller, Through::Api, &Read::Order(order)).await?;
    Ok(Json(now))
}

/// Why an operator acts upon an order.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderAct {
    #[schemars(with = "Reason")]
    reason: String,
    /// The digest of what the operator has seen: the act is refused if anything has changed since.
    digest: Option<String>,
}

pub(crate) async fn close(
    Path(id): Path<String>,
    OpsChange(change): OpsChange<OrderAct>,
) -> Result<Response, Reply> {
    let (order, by) = (order_id(&id)?, by(&change.caller, Some(&change.body.reason))?);
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = orders::close(act.conn(), &by, order, change.body.digest.as_deref()).await;
    act.end(StatusCode::OK, done).await
}

/// The dead letters of an order that were redriven.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RedrivenJobs {
    jobs: Vec<Job>,
}

pub(crate) async fn redrive(
    Path(id): Path<String>,
    OpsChange(change): OpsChange<OrderAct>,
) -> Result<Response, Reply> {
    let (order, by) = (order_id(&id)?, by(&change.caller, Some(&change.body.reason))?);
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = orders::redrive(act.conn(), &by, order, change.body.digest.as_deref()).await;
    let done = done.map(|jobs| RedrivenJobs { jobs: jobs.into_iter().map(Job::from).collect() });
    act.end(StatusCode::OK, done).await
}

/// A note on an order.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderNote {
    #[schemars(with = "Reason")]
    note: String,
}

pub(crate) async fn note(
    Path(id): Path<String>,
    OpsChange(change): OpsChange<OrderNote>,
) -> Result<Response, Reply> {
    let note = Reason::read("/note", &change.body.note).map_err(|error| Problem::field(&error))?;
    let (order, by) = (order_id(&id)?, by(&change.caller, Some(&note.into_string()))?);
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = orders::note(act.conn(), &by, order).await;
    act.end(StatusCode::CREATED, done).await
}
