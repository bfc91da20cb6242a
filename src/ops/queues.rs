//! Acts upon a tag.

use super::By;
use crate::{
    domain::{Error, Refusal},
    ops::audit::{Act, Subject},
};
use farebox_jobs::{
    MqTag,
    queue::admin::{self, QueueView},
};
use serde_json::json;
use sqlx::{PgConnection, PgExecutor, PgPool};
use std::time::Duration;

/// Makes workers leave the tag's jobs alone; running ones end.
///
/// # Errors
/// The database's.
pub async fn pause(conn: &mut PgConnection, by: &By, tag: MqTag) -> Result<QueueView, Error> {
    paused(conn, by, tag, Act::QueuePause).await
}

/// [`pause`], for somebody who waits with [`drained`] once it is committed: workers have to see it first.
///
/// # Errors
/// The database's.
pub async fn drain(conn: &mut PgConnection, by: &By, tag: MqTag) -> Result<QueueView, Error> {
    paused(conn, by, tag, Act::QueueDrain).await
}

async fn paused(conn: &mut PgConnection, by: &By, tag: MqTag, act: Act) -> Result<QueueView, Error> {
    let who = by.actor.rider.map_or_else(|| by.actor.told(), |rider| rider.to_string());
    admin::pause(&mut *conn, tag.wire(), &who, &by.told()).await?;
    by.write(&mut *conn, act, &Subject::of("queue", &tag), &json!({})).await?;
    view(conn, tag).await
}

/// Lets workers have the tag's jobs again.
///
/// # Errors
/// The database's.
pub async fn resume(conn: &mut PgConnection, by: &By, tag: MqTag) -> Result<QueueView, Error> {
    admin::resume(&mut *conn, tag.wire()).await?;
    by.write(&mut *conn, Act::QueueResume, &Subject::of("queue", &tag), &json!({})).await?;
    tracing::info!(%tag, why = by.told(), "tag resumed");
    view(conn, tag).await
}

/// Waits until none of the paused tag's attempts runs, for `wait` at the most.
///
/// # Errors
/// The database's.
pub async fn drained(pool: &PgPool, tag: MqTag, wait: Duration) -> Result<QueueView, Error> {
    let mut conn = pool.acquire().await?;
    admin::wait_until_drained(&mut conn, tag.wire(), wait).await?;
    view(&mut *conn, tag).await
}

/// How long ago the tag's oldest debt fell due, seconds; none if it has none, or is a tag whose jobs owe nothing.
pub fn oldest_debt_secs(queue: &QueueView) -> Option<f64> {
    let is_debt = queue.tag.parse::<MqTag>().is_ok_and(MqTag::is_debt);
    queue.oldest_due_secs.filter(|_| is_debt)
}

/// The tag's numbers.
///
/// # Errors
/// The database's.
pub async fn view(db: impl PgExecutor<'_>, tag: MqTag) -> Result<QueueView, Error> {
    let queues = admin::queues(db, &[tag.wire().to_owned()]).await?;
    queues.into_iter().next().ok_or_else(|| Refusal::NotFound("tag").into())
}
