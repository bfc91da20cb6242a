//! Trips for operators: block and release seats, read the manifest, cancel.

use crate::http::{
    App,
    extract::{ConfirmedChange, OpsChange, Paging, Params, Path, SignedIn, Viewer, as_a_set, trip_id},
    idempotent::{IdempotentChange, Reply},
    paged::Paged,
    problem::Problem,
};
use crate::{
    accounts::Caller,
    domain::{Refusal, RiderMessage, SeatSet, csv::MEDIA_TYPE},
    ops::{
        Attribution,
        audit::{Actor, Through},
        checked,
        reads::{self, Read},
        trips,
    },
    storage::Freshness,
    trips::{
        NotMade, NotMadeCursor,
        cancel::{self, Progress},
        manifest,
        seats::{MAX_SEATS, SeatBlock},
    },
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

/// Seats, and why they are blocked or released.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeatsWithReason {
    /// The labels of the seats, as the seat map has them.
    #[serde(serialize_with = "as_a_set")]
    #[schemars(length(min = 1), inner(length(min = 1, max = 8)))]
    seats: Vec<String>,
    #[schemars(with = "crate::domain::Reason")]
    reason: String,
}

pub(crate) async fn block(id: Path<String>, change: OpsChange<SeatsWithReason>) -> Result<Response, Reply> {
    set_blocked(id, change, SeatBlock::Block).await
}

pub(crate) async fn release(id: Path<String>, change: OpsChange<SeatsWithReason>) -> Result<Response, Reply> {
    set_blocked(id, change, SeatBlock::Release).await
}

async fn set_blocked(
    Path(id): Path<String>,
    OpsChange(change): OpsChange<SeatsWithReason>,
    keep: SeatBlock,
) -> Result<Response, Reply> {
    let trip = trip_id(&id)?;
    let seats = SeatSet::parse(&change.body.seats, MAX_SEATS).map_err(|e| Problem::field(&e))?;
    let by = by(&change.caller, &change.body.reason)?;
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = trips::set_blocked(act.conn(), &by, trip, &seats, keep).await;
    act.end(StatusCode::OK, done).await
}

/// Why a trip is cancelled.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelTrip {
    #[schemars(with = "crate::domain::Reason")]
    reason: String,
    /// What riders read; they never read the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<RiderMessage>,
}

pub(crate) async fn cancel(
    Path(id): Path<String>,
    ConfirmedChange(change): ConfirmedChange<CancelTrip>,
) -> Result<Response, Reply> {
    let (trip, by) = (trip_id(&id)?, by(&change.caller, &change.body.reason)?);
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = trips::cancel(act.conn(), &by, trip, change.body.message.as_ref()).await;
    act.end(StatusCode::ACCEPTED, done).await
}

pub(crate) async fn cancellation(
    State(app): State<App>,
    _: Viewer,
    Path(id): Path<String>,
) -> Result<Json<Progress>, Problem> {
    let mut conn = app.saga.pool.acquire().await?;
    let progress = cancel::progress(&mut conn, trip_id(&id)?).await?;
    progress.map(Json).ok_or_else(|| Refusal::NotFound("cancelled trip").into())
}

pub(crate) async fn not_made(
    State(app): State<App>,
    _: Viewer,
    Params(paging): Params<Paging>,
) -> Result<Paged<NotMade>, Problem> {
    let after = paging.cursor::<NotMadeCursor>()?;
    Ok(Paged(crate::trips::not_made(&app.saga.pool, after, paging.limit()?).await?))
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Json,
    Csv,
}

#[derive(Deserialize)]
pub(crate) struct ManifestQuery {
    format: Option<Format>,
}

pub(crate) async fn manifest(
    State(app): State<App>,
    _: Viewer,
    SignedIn(caller): SignedIn,
    Path(id): Path<String>,
    Params(query): Params<ManifestQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let trip = trip_id(&id)?;
    let contacts = caller.role.may_operate();
    let of = |pool: PgPool| async move { manifest::of(&pool, trip, contacts).await };
    let manifest = app.reads.read(Freshness::Current, of).await?.ok_or(Refusal::NotFound("trip"))?;
    reads::record(&app.saga.pool, &caller, Through::Api, &Read::Manifest(trip)).await?;
    let by_header = || if accepts_csv(&headers) { Format::Csv } else { Format::Json };
    Ok(match query.format.unwrap_or_else(by_header) {
        Format::Json => Json(manifest).into_response(),
        Format::Csv => {
            let name = format!("attachment; filename=\"{}\"", manifest.file_name());
            let text = manifest.csv().map_err(|_| Problem::broken())?;
            ([(header::CONTENT_TYPE, MEDIA_TYPE.to_owned()), (header::CONTENT_DISPOSITION, name)], text)
                .into_response()
        }
    })
}

/// Whether `Accept` names CSV before JSON.
fn accepts_csv(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kinds = accepted.split(',').filter_map(|part| part.split(';').next()).map(str::trim);
    kinds.into_iter().find(|kind| ["text/csv", "application/json"].contains(kind)) == Some("text/csv")
}

/// The operator that acts through this API, with the reason.
fn by(caller: &Caller, reason: &str) -> Result<Attribution, Problem> {
    let reason = checked(reason).map_err(|error| Problem::field(&error))?;
    Ok(Attribution::new(Actor::caller(caller, Through::Api), Some(reason)))
}
