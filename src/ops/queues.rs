//! Actions upon a tag.

use super::Attribution;
use crate::{
    domain::{Error, Refusal},
    ops::audit::{Action, Subject},
};
use farebox_jobs::{
    MqTag,
    queue::admin::{self, QueueView},
};
use serde_json::json;
use sqlx::{PgConnection, PgExecutor, PgPool};
use std::time::Duration;

/// Pauses a tag: workers claim no more of its jobs, and running attempts end.
///
/// # Errors
/// The database's.
pub async fn pause(conn: &mut PgConnection, by: &Attribution, tag: MqTag) -> Result<QueueView, Error> {
    pause_as(conn, by, tag, Action::QueuePause).await
}

/// [`pause`], for a caller that waits with [`drained`] after the commit.
///
/// # Errors
/// The database's.
pub async fn drain(conn: &mut PgConnection, by: &Attribution, tag: MqTag) -> Result<QueueView, Error> {
    pause_as(conn, by, tag, Action::QueueDrain).await
}

async fn pause_as(
    conn: &mut PgConnection,
    by: &Attribution,
    tag: MqTag,
    action: Action,
) -> Result<QueueView, Error> {
    let who = by.actor.rider.map_or_else(|| by.actor.describe(), |rider| rider.to_string());
    // A tag that is paused already stays as it is, with its first reason.
    if admin::pause(&mut *conn, tag.wire(), &who, &by.note()).await? {
        by.record(&mut *conn, action, &Subject::of("queue", &tag), &json!({})).await?;
    }
    view(conn, tag).await
}

/// Resumes a tag: workers claim its jobs again.
///
/// # Errors
/// The database's.
pub async fn resume(conn: &mut PgConnection, by: &Attribution, tag: MqTag) -> Result<QueueView, Error> {
    if admin::resume(&mut *conn, tag.wire()).await? {
        by.record(&mut *conn, Action::QueueResume, &Subject::of("queue", &tag), &json!({})).await?;
        tracing::info!(%tag, why = by.note(), "tag resumed");
    }
    view(conn, tag).await
}

/// Waits until no attempt of the paused tag runs, at most for `wait`.
///
/// # Errors
/// The database's.
pub async fn drained(pool: &PgPool, tag: MqTag, wait: Duration) -> Result<QueueView, Error> {
    let mut conn = pool.acquire().await?;
    admin::wait_until_drained(&mut conn, tag.wire(), wait).await?;
    view(&mut *conn, tag).await
}

/// How long ago the tag's oldest undo fell due, seconds; `None` without one, or if the tag is not
/// an undo's.
pub fn oldest_undo_secs(queue: &QueueView) -> Option<f64> {
    let is_undo = queue.tag.parse::<MqTag>().is_ok_and(MqTag::is_debt);
    queue.oldest_due_secs.filter(|_| is_undo)
}

/// The tag's numbers.
///
/// # Errors
/// The database's.
pub async fn view(db: impl PgExecutor<'_>, tag: MqTag) -> Result<QueueView, Error> {
    let queues = admin::queues(db, &[tag.wire().to_owned()]).await?;
    queues.into_iter().next().ok_or_else(|| Refusal::NotFound("tag").into())
}
