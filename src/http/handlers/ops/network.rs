//! The network: reading it, previewing another one, importing it.

use super::by;
use crate::http::{
    App,
    extract::{ConfirmedChange, Paging, Params, Path, Upload, Viewer},
    idempotent::{IdempotentChange, Reply, not_answered_yet},
    paged::Paged,
    problem::Problem,
};
use crate::{
    domain::{Error, Id, Refusal},
    network::{Network, write, zipped},
    ops::{
        Attribution,
        networks::{
            self,
            uploads::{self, UploadError},
            view::{self, Imported},
        },
    },
    trips::{
        self,
        network::{Progress, imports, progress},
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
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// The media type of a network's files.
pub(crate) const ZIP: &str = "application/zip";

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Json,
    Zip,
}

#[derive(Deserialize)]
pub(crate) struct NetworkQuery {
    format: Option<Format>,
}

pub(crate) async fn show(
    State(app): State<App>,
    _: Viewer,
    Params(query): Params<NetworkQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let by_header = || if accepts_zip(&headers) { Format::Zip } else { Format::Json };
    match query.format.unwrap_or_else(by_header) {
        Format::Json => {
            let sold = view::sold(&app.saga.pool).await?;
            Ok(Json(sold.ok_or(Refusal::NotFound("network"))?).into_response())
        }
        Format::Zip => zip(&app.saga.pool).await,
    }
}

/// The files of the network as a zip.
pub(crate) async fn zip(pool: &PgPool) -> Result<Response, Problem> {
    let network = trips::network::load(&mut *pool.acquire().await?).await?;
    let network = network.ok_or(Refusal::NotFound("network"))?;
    let zip = tokio::task::spawn_blocking(move || zipped(&write::files(&network))).await;
    let zip = zip.map_err(|error| Error::Broken(error.into()))?;
    let zip = zip.map_err(|error| Error::Broken(error.into()))?;
    let name = "attachment; filename=\"network.zip\"";
    Ok(([(header::CONTENT_TYPE, ZIP), (header::CONTENT_DISPOSITION, name)], zip).into_response())
}

/// Whether `Accept` names a zip before JSON.
fn accepts_zip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kinds = accepted.split(',').filter_map(|part| part.split(';').next()).map(str::trim);
    kinds.into_iter().find(|kind| [ZIP, "application/json"].contains(kind)) == Some(ZIP)
}

pub(crate) async fn preview(State(app): State<App>, upload: Upload) -> Result<Response, Problem> {
    let Upload { caller, zip } = upload;
    let preview = uploads::preview(&app.saga.pool, caller.rider_id, zip, &app.saga.wallets).await?;
    Ok((StatusCode::CREATED, Json(preview)).into_response())
}

/// Which preview is applied.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewImport {
    /// The preview.
    preview_id: Id,
    /// Its digest.
    digest: String,
    #[schemars(with = "crate::domain::Reason")]
    reason: String,
}

pub(crate) async fn import(
    State(app): State<App>,
    ConfirmedChange(change): ConfirmedChange<NewImport>,
) -> Result<Response, Reply> {
    let NewImport { preview_id: Id(id), digest, reason } = change.body;
    let by = by(&change.caller, Some(&reason))?;
    not_answered_yet(&change.saga.pool, change.key.as_ref()).await?;
    // Reading takes long, so it is done before the transaction begins.
    let network = uploads::network_of(&change.saga.pool, id, &app.saga.wallets).await;
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = match network {
        Ok(network) => apply(act.conn(), &by, id, &network, &digest).await,
        Err(error) => Err(error),
    };
    let is_running = done.as_ref().is_ok_and(Imported::is_running);
    act.end(if is_running { StatusCode::ACCEPTED } else { StatusCode::OK }, done).await
}

async fn apply(
    conn: &mut PgConnection,
    by: &Attribution,
    preview_id: Uuid,
    network: &Network,
    digest: &str,
) -> Result<Imported, UploadError> {
    let preview = networks::import(&mut *conn, by, network, digest).await?;
    let import = match preview.import {
        Some(import) => progress(conn, import).await?,
        None => None,
    };
    Ok(Imported::of(preview_id, &preview, import))
}

pub(crate) async fn list_imports(
    State(app): State<App>,
    _: Viewer,
    Params(paging): Params<Paging>,
) -> Result<Paged<Progress>, Problem> {
    let after = paging.cursor::<Id>()?.map(|Id(id)| id);
    Ok(Paged(imports(&app.saga.pool, after, paging.limit()?).await?))
}

pub(crate) async fn show_import(
    State(app): State<App>,
    _: Viewer,
    Path(Id(id)): Path<Id>,
) -> Result<Json<Progress>, Problem> {
    let import = progress(&app.saga.pool, id).await?;
    Ok(Json(import.ok_or(Refusal::NotFound("import"))?))
}
