//! Acts upon webhooks.

use super::Attribution;
use crate::{
    accounts::passwords::Passwords,
    domain::{Error, Refusal, json::rfc3339},
    ops::audit::{Action, Subject},
    webhooks::{self, Change, Endpoint, NewEndpoint, Redelivered, Secret},
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// Records an act upon a webhook, for a reason.
async fn record(
    conn: &mut PgConnection,
    by: &Attribution,
    action: Action,
    webhook: Uuid,
    detail: &Value,
) -> Result<(), Error> {
    by.reason()?;
    Ok(by.record(conn, action, &Subject::of("webhook", &webhook), detail).await?)
}

/// Adds a webhook, for a reason. One that is there already under this id stays as it is.
///
/// # Errors
/// As [`webhooks::add`]; no reason.
pub async fn add(conn: &mut PgConnection, by: &Attribution, new: NewEndpoint) -> Result<Endpoint, Error> {
    let (added, is_new) = webhooks::add(&mut *conn, new).await?;
    if is_new {
        let detail = json!({ "name": added.name, "url": added.url, "kinds": added.kinds });
        record(conn, by, Action::WebhookAdd, added.id, &detail).await?;
    }
    Ok(added)
}

/// Changes a webhook, for a reason.
///
/// # Errors
/// As [`webhooks::change`]; no reason.
pub async fn change(
    conn: &mut PgConnection,
    by: &Attribution,
    id: Uuid,
    change: Change,
) -> Result<Endpoint, Error> {
    let before = webhooks::find(&mut *conn, id).await?.ok_or(Refusal::NotFound("webhook"))?;
    let changed = webhooks::change(&mut *conn, id, change).await?;
    let detail = json!({
        "name": changed.name, "url": changed.url, "kinds": changed.kinds,
        "before": { "name": before.name, "url": before.url, "kinds": before.kinds },
    });
    record(conn, by, Action::WebhookChange, id, &detail).await?;
    Ok(changed)
}

/// Enables or disables a webhook, for a reason. One that is so already stays as it is.
///
/// # Errors
/// As [`webhooks::set_enabled`]; no reason.
pub async fn set_enabled(
    conn: &mut PgConnection,
    by: &Attribution,
    id: Uuid,
    enabled: bool,
) -> Result<Endpoint, Error> {
    let before = webhooks::find(&mut *conn, id).await?.ok_or(Refusal::NotFound("webhook"))?;
    let changed = webhooks::set_enabled(&mut *conn, id, enabled).await?;
    if before.state != changed.state {
        let action = if enabled { Action::WebhookEnable } else { Action::WebhookDisable };
        record(conn, by, action, id, &json!({ "pending": changed.pending })).await?;
    }
    Ok(changed)
}

/// Gives a webhook another secret, for a reason.
///
/// # Errors
/// As [`webhooks::rotate`]; no reason.
pub async fn rotate(conn: &mut PgConnection, by: &Attribution, id: Uuid) -> Result<Endpoint, Error> {
    let rotated = webhooks::rotate(&mut *conn, id).await?;
    record(conn, by, Action::WebhookRotate, id, &json!({ "old_secret_until": rotated.old_secret_until }))
        .await?;
    Ok(rotated)
}

/// Removes a webhook, for a reason.
///
/// # Errors
/// As [`webhooks::remove`]; no reason.
pub async fn remove(conn: &mut PgConnection, by: &Attribution, id: Uuid) -> Result<Endpoint, Error> {
    let removed = webhooks::remove(&mut *conn, id).await?;
    let detail = json!({ "name": removed.name, "url": removed.url, "pending": removed.pending });
    record(conn, by, Action::WebhookRemove, id, &detail).await?;
    Ok(removed)
}

/// The secret of a webhook. The row of the audit log comes first: a secret whose reading could not be logged
/// is not read.
///
/// # Errors
/// As [`webhooks::secret`].
pub async fn secret(
    conn: &mut PgConnection,
    by: &Attribution,
    passwords: &Passwords,
    id: Uuid,
) -> Result<Secret, Error> {
    webhooks::find(&mut *conn, id).await?.ok_or(Refusal::NotFound("webhook"))?;
    by.record(&mut *conn, Action::WebhookSecretRead, &Subject::of("webhook", &id), &json!({})).await?;
    webhooks::secret(conn, passwords, id).await
}

/// Sends an event again, for a reason.
///
/// # Errors
/// As [`webhooks::again`]; no reason.
pub async fn again(
    conn: &mut PgConnection,
    by: &Attribution,
    id: Uuid,
    event: Uuid,
    give_up: Duration,
) -> Result<Redelivered, Error> {
    let before = webhooks::again(&mut *conn, id, event, give_up).await?;
    let delivered_at = before.delivered_at.as_ref().map(rfc3339);
    let detail = json!({
        "event_id": webhooks::id_of(event), "last_error": before.last_error, "delivered_at": delivered_at,
    });
    record(conn, by, Action::WebhookRedeliver, id, &detail).await?;
    Ok(Redelivered { redelivered: 1, more: false })
}

/// Sends the events again that were given up, for a reason.
///
/// # Errors
/// As [`webhooks::again_all`]; no reason.
pub async fn again_all(
    conn: &mut PgConnection,
    by: &Attribution,
    id: Uuid,
    since: Option<DateTime<Utc>>,
    give_up: Duration,
) -> Result<Redelivered, Error> {
    let done = webhooks::again_all(&mut *conn, id, since, give_up).await?;
    let detail = json!({ "redelivered": done.redelivered, "since": since });
    record(conn, by, Action::WebhookRedeliver, id, &detail).await?;
    Ok(done)
}
