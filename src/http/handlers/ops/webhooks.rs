//! Webhooks: where events are sent to, their log, and sending them again.

use super::by;
use crate::http::{
    App,
    extract::{ConfirmedChange, OpsChange, Paging, Params, Path, Viewer, id},
    idempotent::{IdempotentChange, Reply},
    paged::Paged,
    problem::Problem,
};
use crate::{
    domain::{FieldError, Instant, Page, Reason, Refusal, WebhookName},
    ops::webhooks as acts,
    storage,
    webhooks::{self, Addresses, Change, Delivery, DeliveryCursor, DeliveryState, Endpoint, NewEndpoint},
};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use farebox_jobs::EventKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A webhook to add.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhook {
    name: WebhookName,
    /// Where events are sent to: `https://`, at a public address.
    #[schemars(length(min = 1, max = 2000))]
    url: String,
    /// The kinds of events that it takes.
    #[schemars(length(min = 1, max = 6))]
    kinds: Vec<EventKind>,
    reason: Reason,
}

/// What is changed of a webhook; what is absent stays.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeWebhook {
    name: Option<WebhookName>,
    /// Where events are sent to: `https://`, at a public address.
    #[schemars(length(min = 1, max = 2000))]
    url: Option<String>,
    /// The kinds of events that it takes: these, and no others.
    #[schemars(length(min = 1, max = 6))]
    kinds: Option<Vec<EventKind>>,
    reason: Reason,
}

/// Why.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookReason {
    reason: Reason,
}

/// Which events are sent again.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedeliverFailed {
    /// Only those that were written down since then.
    since: Option<Instant>,
    reason: Reason,
}

/// Reads an address by the rules of the settings.
fn address(app: &App, url: &str) -> Result<(), Problem> {
    let addresses = Addresses::new(&app.settings.webhooks, app.settings.environment);
    addresses.read(url).map(drop).map_err(|rule| Problem::field(&FieldError::new("/url", rule)))
}

pub(crate) async fn list(State(app): State<App>, _: Viewer) -> Result<Json<Page<Endpoint>>, Problem> {
    Ok(Json(Page { items: webhooks::list(&app.saga.pool).await?, next: None }))
}

pub(crate) async fn show(
    State(app): State<App>,
    _: Viewer,
    Path(text): Path<String>,
) -> Result<Json<Endpoint>, Problem> {
    let found = webhooks::find(&app.saga.pool, id(&text, "webhook")?).await?;
    found.map(Json).ok_or_else(|| Refusal::NotFound("webhook").into())
}

pub(crate) async fn add(
    State(app): State<App>,
    OpsChange(change): OpsChange<NewWebhook>,
) -> Result<Response, Reply> {
    address(&app, &change.body.url)?;
    let by = by(&change.caller, Some(change.body.reason.as_str()))?;
    let NewWebhook { name, url, kinds, .. } = change.body;
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = acts::add(act.conn(), &by, NewEndpoint { id: Uuid::now_v7(), name, url, kinds }).await;
    act.end(StatusCode::CREATED, done).await
}

pub(crate) async fn change(
    State(app): State<App>,
    Path(text): Path<String>,
    OpsChange(change): OpsChange<ChangeWebhook>,
) -> Result<Response, Reply> {
    if let Some(url) = &change.body.url {
        address(&app, url)?;
    }
    let (id, by) = (id(&text, "webhook")?, by(&change.caller, Some(change.body.reason.as_str()))?);
    let ChangeWebhook { name, url, kinds, .. } = change.body;
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = acts::change(act.conn(), &by, id, Change { seen: None, name, url, kinds }).await;
    act.end(StatusCode::OK, done).await
}

pub(crate) async fn enable(id: Path<String>, change: OpsChange<WebhookReason>) -> Result<Response, Reply> {
    set_enabled(id, change, true).await
}

pub(crate) async fn disable(id: Path<String>, change: OpsChange<WebhookReason>) -> Result<Response, Reply> {
    set_enabled(id, change, false).await
}

async fn set_enabled(
    Path(text): Path<String>,
    OpsChange(change): OpsChange<WebhookReason>,
    enabled: bool,
) -> Result<Response, Reply> {
    let (id, by) = (id(&text, "webhook")?, by(&change.caller, Some(change.body.reason.as_str()))?);
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = acts::set_enabled(act.conn(), &by, id, enabled).await;
    act.end(StatusCode::OK, done).await
}

pub(crate) async fn rotate(
    Path(text): Path<String>,
    OpsChange(change): OpsChange<WebhookReason>,
) -> Result<Response, Reply> {
    let (id, by) = (id(&text, "webhook")?, by(&change.caller, Some(change.body.reason.as_str()))?);
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = acts::rotate(act.conn(), &by, id).await;
    act.end(StatusCode::OK, done).await
}

pub(crate) async fn remove(
    Path(text): Path<String>,
    OpsChange(change): OpsChange<WebhookReason>,
) -> Result<Response, Reply> {
    let (id, by) = (id(&text, "webhook")?, by(&change.caller, Some(change.body.reason.as_str()))?);
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = acts::remove(act.conn(), &by, id).await;
    act.end(StatusCode::OK, done).await
}

/// The response is not stored, so a key has no effect: a secret stands nowhere.
pub(crate) async fn secret(
    Path(text): Path<String>,
    ConfirmedChange(change): ConfirmedChange<WebhookReason>,
) -> Result<Response, Reply> {
    let (id, by) = (id(&text, "webhook")?, by(&change.caller, Some(change.body.reason.as_str()))?);
    let mut tx = storage::begin(&change.saga.pool).await?;
    let secret = acts::secret(&mut tx, &by, &change.saga.passwords, id).await?;
    tx.commit().await?;
    Ok(Json(secret).into_response())
}

/// Only deliveries in this state.
#[derive(Deserialize)]
pub(crate) struct DeliveryFilter {
    state: Option<DeliveryState>,
}

pub(crate) async fn deliveries(
    State(app): State<App>,
    _: Viewer,
    Path(text): Path<String>,
    Params(filter): Params<DeliveryFilter>,
    Params(paging): Params<Paging>,
) -> Result<Paged<Delivery>, Problem> {
    let (after, limit) = (paging.cursor::<DeliveryCursor>()?, paging.limit()?);
    let id = id(&text, "webhook")?;
    if !webhooks::has_been(&app.saga.pool, id).await? {
        return Err(Refusal::NotFound("webhook").into());
    }
    Ok(Paged(webhooks::deliveries(&app.saga.pool, id, filter.state, after, limit).await?))
}

pub(crate) async fn redeliver(
    State(app): State<App>,
    Path((text, event)): Path<(String, String)>,
    OpsChange(change): OpsChange<WebhookReason>,
) -> Result<Response, Reply> {
    let (id, by) = (id(&text, "webhook")?, by(&change.caller, Some(change.body.reason.as_str()))?);
    let event = webhooks::event_id(&event)?;
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = acts::again(act.conn(), &by, id, event, app.settings.webhooks.give_up()).await;
    act.end(StatusCode::ACCEPTED, done).await
}

pub(crate) async fn redeliver_failed(
    State(app): State<App>,
    Path(text): Path<String>,
    OpsChange(change): OpsChange<RedeliverFailed>,
) -> Result<Response, Reply> {
    let (id, by) = (id(&text, "webhook")?, by(&change.caller, Some(change.body.reason.as_str()))?);
    let since = change.body.since.map(Instant::utc);
    let mut act = IdempotentChange::begin(&change.saga.pool, change.key.as_ref()).await?;
    let done = acts::again_all(act.conn(), &by, id, since, app.settings.webhooks.give_up()).await;
    act.end(StatusCode::ACCEPTED, done).await
}
