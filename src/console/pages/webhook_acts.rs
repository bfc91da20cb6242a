//! The forms of webhooks: add, change, enable, disable, rotate, remove, send again, read the secret.

use super::{
    webhook_form::{Act, fields},
    webhooks::facts,
};
use crate::console::{
    components::{action_form, copied},
    failure::{Failure, PageResult},
    form::OperatorForm,
    layout::{Nav, redirect_with_notice, with_nav},
    session::PageContext,
};
use crate::{
    domain::{FieldError, Id, Refusal, WebhookName},
    http::{
        App,
        extract::{Params, Path},
    },
    ops::webhooks as acts,
    storage,
    webhooks::{self, Addresses, Change, NewEndpoint, Secret},
};
use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use farebox_jobs::EventKind;
use maud::html;
use serde::Deserialize;
use uuid::Uuid;

/// The form of any of the acts.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WebhookForm {
    name: String,
    url: String,
    hold_expired: Option<String>,
    order_paid: Option<String>,
    order_refunded: Option<String>,
    trip_cancelled: Option<String>,
    rollback_done: Option<String>,
    rollback_failed: Option<String>,
    event: String,
    /// The id that the page has drawn for a webhook to add: a form that is sent twice adds one.
    id: Option<Uuid>,
    /// When the webhook was last changed that the page showed, RFC 3339.
    seen: Option<DateTime<Utc>>,
}

impl WebhookForm {
    fn endpoint(&self, app: &App) -> Result<NewEndpoint, Failure> {
        let addresses = Addresses::new(&app.settings.webhooks, app.settings.environment);
        addresses.read(&self.url).map_err(|rule| FieldError::new("url", rule))?;
        let kinds = EventKind::ALL.into_iter().filter(|kind| self.has(*kind)).collect();
        let (id, name) = (self.id.unwrap_or_else(Uuid::now_v7), WebhookName::read("name", &self.name)?);
        Ok(NewEndpoint { id, name, url: self.url.clone(), kinds })
    }

    fn has(&self, kind: EventKind) -> bool {
        let field = match kind {
            EventKind::HoldExpired => &self.hold_expired,
            EventKind::OrderPaid => &self.order_paid,
            EventKind::OrderRefunded => &self.order_refunded,
            EventKind::TripCancelled => &self.trip_cancelled,
            EventKind::RollbackDone => &self.rollback_done,
            EventKind::RollbackFailed => &self.rollback_failed,
        };
        field.is_some()
    }
}

pub(crate) async fn add(State(app): State<App>, form: OperatorForm<WebhookForm>) -> PageResult {
    let (context, by, form) = form.into_parts();
    let new = form.endpoint(&app)?;
    let mut tx = storage::begin(&app.saga.pool).await?;
    let added = acts::add(&mut tx, &by, new).await?;
    tx.commit().await?;
    let notice = format!("{}: {} ✓", added.name, context.t("Add", "添加"));
    Ok(redirect_with_notice(&context, &format!("/console/webhooks/{}", added.id), &notice))
}

#[derive(Deserialize)]
pub(crate) struct Which {
    event: Option<String>,
}

pub(crate) async fn confirm(
    State(app): State<App>,
    context: PageContext,
    Path((Id(id), act)): Path<(Id, String)>,
    Params(which): Params<Which>,
) -> PageResult {
    let act: Act = act.parse()?;
    if let Some(elsewhere) = act.password_page(&app, &context, id).await? {
        return Ok(elsewhere);
    }
    let one = webhooks::find(&app.saga.pool, id).await?.ok_or(Refusal::NotFound("webhook"))?;
    let inputs = match act {
        Act::Change => fields(&context, Some(&one)),
        Act::Again => {
            let event = which.event.unwrap_or_default();
            webhooks::event_id(&event)?;
            html! { input type="hidden" name="event" value=(event); }
        }
        _ => html! {},
    };
    let preview = html! { p { (act.explained(&context)) } (facts(&context, &one)) };
    let action = format!("/console/webhooks/{id}/{}", act.word());
    let danger = matches!(act, Act::Remove | Act::Disable);
    let label = act.label(&context);
    let form = action_form(&context, &action, label, inputs, Some(preview), danger);
    Ok(with_nav(&context, Nav::Queues, &format!("{label}: {}", one.name), form))
}

pub(crate) async fn act(
    State(app): State<App>,
    Path((Id(id), act)): Path<(Id, String)>,
    form: OperatorForm<WebhookForm>,
) -> PageResult {
    let act: Act = act.parse()?;
    let (context, by, form) = form.into_parts();
    if let Some(elsewhere) = act.password_page(&app, &context, id).await? {
        return Ok(elsewhere);
    }
    let give_up = app.settings.webhooks.give_up();
    let mut tx = storage::begin(&app.saga.pool).await?;
    let mut back = format!("/console/webhooks/{id}");
    let done = match act {
        Act::Change => {
            let NewEndpoint { name, url, kinds, .. } = form.endpoint(&app)?;
            let change = Change { seen: form.seen, name: Some(name), url: Some(url), kinds: Some(kinds) };
            acts::change(&mut tx, &by, id, change).await?.name
        }
        Act::Enable | Act::Disable => acts::set_enabled(&mut tx, &by, id, act == Act::Enable).await?.name,
        Act::Rotate => acts::rotate(&mut tx, &by, id).await?.name,
        Act::Secret => {
            let secret = acts::secret(&mut tx, &by, &app.saga.passwords, id).await?;
            tx.commit().await?;
            return Ok(secret_page(&context, id, &secret));
        }
        Act::Redeliver => acts::again_all(&mut tx, &by, id, None, give_up).await?.redelivered.to_string(),
        Act::Again => {
            let event = webhooks::event_id(&form.event)?;
            acts::again(&mut tx, &by, id, event, give_up).await?.redelivered.to_string()
        }
        Act::Remove => {
            back = "/console/webhooks".to_owned();
            acts::remove(&mut tx, &by, id).await?.name
        }
    };
    tx.commit().await?;
    Ok(redirect_with_notice(&context, &back, &format!("{done}: {} ✓", act.label(&context))))
}

fn secret_page(context: &PageContext, id: Uuid, secret: &Secret) -> Response {
    let body = html! { div.card {
        p { (Act::Secret.explained(context)) }
        dl.facts { dt { (context.t("Secret", "密钥")) } dd { (copied(context, &secret.secret)) } }
        p { a href=(format!("/console/webhooks/{id}")) { (context.t("Back to the webhook", "返回")) } }
    } };
    with_nav(context, Nav::Queues, context.t("Secret of a webhook", "Webhook 密钥"), body)
}
