//! Acts upon many jobs: their preview, their start, how far they are, their stop.

use super::by;
use crate::http::{
    App,
    extract::{OpsChange, Paging, Params, Path, Viewer, id},
    idempotent::{Act, Ended},
    problem::Problem,
};
use crate::{
    domain::{FieldError, Id, Page, Refusal},
    ops::{
        bulk::{self, Bulk, BulkAction, Item, Preview, Selection},
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

/// What is to be done to which jobs: either `ids` or `filter` says which.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBulk {
    act: BulkAction,
    /// These jobs.
    #[schemars(length(min = 1, max = 1000))]
    ids: Option<Vec<Id>>,
    /// Whatever fits; at least one condition.
    filter: Option<JobQuery>,
    /// How many jobs the preview said it covers: another number is refused.
    #[schemars(range(min = 0))]
    expected: Option<i64>,
    /// Only tell what it would do.
    #[serde(default)]
    preview: bool,
    /// Why; needed to start it.
    #[schemars(with = "Option<crate::domain::Reason>")]
    reason: Option<String>,
}

/// 200: what it would do. 202: it is started.
pub(crate) async fn start(
    State(app): State<App>,
    OpsChange(change): OpsChange<NewBulk>,
) -> Result<Response, Ended> {
    let NewBulk { act: what, ids, filter, expected, preview, reason } = change.body;
    let selection = match (ids, filter) {
        (Some(ids), None) => Selection::Ids(ids.into_iter().map(|Id(id)| id).collect()),
        (None, Some(filter)) => Selection::Filter(filter),
        _ => return Err(Problem::field(&FieldError::new("/filter", "either ids or filter")).into()),
    };
    if preview {
        let told: Preview = bulk::preview(&app.saga.pool, what, &selection, bulk::MAX_PREVIEWED).await?;
        return Ok((StatusCode::OK, Json(told)).into_response());
    }
    let by = by(&change.caller, reason.as_deref())?;
    by.reason()?;
    let mut act = Act::begin(&app.saga.pool, change.key.as_ref()).await?;
    let done = bulk::start(act.conn(), &by, Uuid::now_v7(), what, &selection, expected).await;
    act.end(StatusCode::ACCEPTED, done).await
}

pub(crate) async fn list(
    State(app): State<App>,
    _: Viewer,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<Bulk>>, Problem> {
    let after = paging.cursor::<Id>()?.map(|Id(id)| id);
    Ok(Json(bulk::list(&app.saga.pool, after, paging.limit()?).await?))
}

pub(crate) async fn show(
    State(app): State<App>,
    _: Viewer,
    Path(text): Path<String>,
) -> Result<Json<Bulk>, Problem> {
    let bulk = bulk::show(&app.saga.pool, id(&text, "operation")?).await?;
    bulk.map(Json).ok_or_else(|| Refusal::NotFound("operation").into())
}

/// Of which outcome.
#[derive(Deserialize)]
pub(crate) struct Which {
    outcome: Option<String>,
}

pub(crate) async fn items(
    State(app): State<App>,
    _: Viewer,
    Path(text): Path<String>,
    Params(which): Params<Which>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<Item>>, Problem> {
    let known = ["open", "done", "asked", "busy", "gone"];
    if which.outcome.as_ref().is_some_and(|outcome| !known.contains(&outcome.as_str())) {
        return Err(Problem::field(&FieldError::new("outcome", format!("one of {}", known.join(", ")))));
    }
    let (after, limit) = (paging.cursor()?, paging.limit()?);
    let id = id(&text, "operation")?;
    bulk::show(&app.saga.pool, id).await?.ok_or(Refusal::NotFound("operation"))?;
    Ok(Json(bulk::items(&app.saga.pool, id, which.outcome.as_deref(), after, limit).await?))
}

/// Why it is stopped.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StopBulk")]
pub(crate) struct Why {
    #[schemars(with = "Option<crate::domain::Reason>")]
    reason: Option<String>,
}

pub(crate) async fn stop(
    Path(text): Path<String>,
    OpsChange(change): OpsChange<Why>,
) -> Result<Response, Ended> {
    let (id, by) = (id(&text, "operation")?, by(&change.caller, change.body.reason.as_deref())?);
    let mut act = Act::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = bulk::stop(act.conn(), &by, id).await;
    act.end(StatusCode::OK, done).await
}
