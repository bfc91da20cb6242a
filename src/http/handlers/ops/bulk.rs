//! Bulk operations on jobs: preview, start, progress, stop.

use super::by;
use crate::http::{
    App,
    extract::{OpsChange, Paging, Params, Path, Viewer, id},
    idempotent::{IdempotentChange, Reply},
    paged::Paged,
    problem::Problem,
};
use crate::{
    domain::{FieldError, Id, Refusal},
    ops::{
        bulk::{self, Bulk, BulkAction, Expected, Item, Preview, Selection},
        search::JobQuery,
    },
};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An action and its jobs: either `ids` or `filter` selects them.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBulk {
    /// What is done to each of the jobs.
    act: BulkAction,
    /// These jobs.
    #[schemars(length(min = 1, max = 1000))]
    ids: Option<Vec<Id>>,
    /// The jobs that match; at least one condition.
    filter: Option<JobQuery>,
    /// The number of jobs that the preview counted: with another number, the request is refused.
    #[schemars(range(min = 0))]
    expected: Option<i64>,
    /// The digest that the preview named: if other jobs would be covered, the request is refused.
    #[schemars(length(max = 64))]
    digest: Option<String>,
    /// Only return the preview.
    #[serde(default)]
    preview: bool,
    /// The reason; required to start the operation.
    #[schemars(with = "Option<crate::domain::Reason>")]
    reason: Option<String>,
}

/// 200: the preview. 202: the operation is started.
pub(crate) async fn start(
    State(app): State<App>,
    OpsChange(change): OpsChange<NewBulk>,
) -> Result<Response, Reply> {
    let NewBulk { act: what, ids, filter, expected, digest, preview, reason } = change.body;
    let selection = match (ids, filter) {
        (Some(ids), None) => Selection::Ids(ids.into_iter().map(|Id(id)| id).collect()),
        (None, Some(filter)) => Selection::Filter(filter),
        _ => return Err(Problem::field(&FieldError::new("/filter", "either ids or filter")).into()),
    };
    if preview {
        let preview: Preview = bulk::preview(&app.saga.pool, what, &selection).await?;
        return Ok((StatusCode::OK, Json(preview)).into_response());
    }
    let by = by(&change.caller, reason.as_deref())?;
    by.reason()?;
    let mut act = IdempotentChange::begin(&app.saga.pool, change.key.as_ref()).await?;
    let expected = Expected { covers: expected, digest: digest.as_deref() };
    let done = bulk::start(act.conn(), &by, Uuid::now_v7(), what, &selection, expected).await;
    act.end(StatusCode::ACCEPTED, done).await
}

pub(crate) async fn list(
    State(app): State<App>,
    _: Viewer,
    Params(paging): Params<Paging>,
) -> Result<Paged<Bulk>, Problem> {
    let after = paging.cursor::<Id>()?.map(|Id(id)| id);
    Ok(Paged(bulk::list(&app.saga.pool, after, paging.limit()?).await?))
}

pub(crate) async fn show(
    State(app): State<App>,
    _: Viewer,
    Path(text): Path<String>,
) -> Result<Json<Bulk>, Problem> {
    let bulk = bulk::show(&app.saga.pool, id(&text, "operation")?).await?;
    bulk.map(Json).ok_or_else(|| Refusal::NotFound("operation").into())
}

/// Only items of this outcome.
#[derive(Deserialize)]
pub(crate) struct ItemFilter {
    outcome: Option<String>,
}

pub(crate) async fn items(
    State(app): State<App>,
    _: Viewer,
    Path(text): Path<String>,
    Params(filter): Params<ItemFilter>,
    Params(paging): Params<Paging>,
) -> Result<Paged<Item>, Problem> {
    let known = ["open", "done", "asked", "busy", "gone", "owes"];
    if filter.outcome.as_ref().is_some_and(|outcome| !known.contains(&outcome.as_str())) {
        return Err(Problem::field(&FieldError::new("outcome", format!("one of {}", known.join(", ")))));
    }
    let (after, limit) = (paging.cursor()?, paging.limit()?);
    let id = id(&text, "operation")?;
    bulk::show(&app.saga.pool, id).await?.ok_or(Refusal::NotFound("operation"))?;
    Ok(Paged(bulk::items(&app.saga.pool, id, filter.outcome.as_deref(), after, limit).await?))
}

/// Why a bulk operation is stopped.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopBulk {
    #[schemars(with = "Option<crate::domain::Reason>")]
    reason: Option<String>,
}

pub(crate) async fn stop(
    Path(text): Path<String>,
    OpsChange(change): OpsChange<StopBulk>,
) -> Result<Response, Reply> {
    let (id, by) = (id(&text, "operation")?, by(&change.caller, change.body.reason.as_deref())?);
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = bulk::stop(act.conn(), &by, id).await;
    act.end(StatusCode::OK, done).await
}
