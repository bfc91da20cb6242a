//! Acts of operators upon one order.

use super::{by, jobs::Job, wallets::mover};
use crate::http::{
    App,
    extract::{ConfirmedChange, OpsChange, Path, SignedIn, Viewer, order_id},
    idempotent::{IdempotentChange, Reply},
    problem::Problem,
};
use crate::{
    domain::Reason,
    ops::{
        audit::Through,
        orders::{self, OrderActs, Rules},
        reads::{self, Read},
    },
    payment::refund::Exceptions,
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
    let now = orders::acts(&mut tx, order, &Rules::of(&app.saga)).await?;
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
    let done =
        orders::close(act.conn(), &by, order, change.body.digest.as_deref(), &Rules::of(&change.saga)).await;
    act.end(StatusCode::OK, done).await
}

/// Why an operator refunds an order, and how the refund departs from its rules.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderRefund {
    #[schemars(with = "Reason")]
    reason: String,
    /// It may begin after the time for refunds.
    #[serde(default)]
    late: bool,
    /// No fee is kept.
    #[serde(default)]
    without_fee: bool,
    /// The digest of what the operator has seen: the act is refused if anything has changed since.
    digest: Option<String>,
}

pub(crate) async fn refund(
    Path(id): Path<String>,
    ConfirmedChange(change): ConfirmedChange<OrderRefund>,
) -> Result<Response, Reply> {
    let OrderRefund { ref reason, late, without_fee, ref digest } = change.body;
    let by = mover(&change.caller, Through::Api, Some(reason))?;
    let (order, exceptions) = (order_id(&id)?, Exceptions { late, without_fee });
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let rules = Rules::of(&change.saga);
    let done = orders::refund(act.conn(), &by, order, exceptions, digest.as_deref(), &rules).await;
    act.end(StatusCode::ACCEPTED, done).await
}

/// The dead letters of an order that were redriven.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RedrivenJobs {
    /// They, as they are now.
    jobs: Vec<Job>,
}

pub(crate) async fn redrive(
    Path(id): Path<String>,
    OpsChange(change): OpsChange<OrderAct>,
) -> Result<Response, Reply> {
    let (order, by) = (order_id(&id)?, by(&change.caller, Some(&change.body.reason))?);
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done =
        orders::redrive(act.conn(), &by, order, change.body.digest.as_deref(), &Rules::of(&change.saga))
            .await;
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
