//! Jobs that must not go missing. One worker at a time checks two things: that each recurring job is in
//! the queue, since every run enqueues the next; and that the job of each cancelled trip, bulk
//! operation, import and webhook is, until it has ended. A job that was cancelled or deleted is put
//! back; a dead letter of a trip, an operation, an import or a webhook is left to be redriven.
//!
//! The workers that have recurring jobs switched on record them (`recurring_job`), so that any process
//! can see that one is missing.

use crate::{saga::SagaContext, storage::note_outage};
use farebox_jobs::{
    Bulk, MqTag, NetworkImport, TripCancel, WebhookDelivery,
    ids::TripId,
    queue::{self, Due, Enqueued, NewJob},
};
use sqlx::{PgConnection, PgPool};
use std::time::Duration;
use uuid::Uuid;

/// The name of this maintenance task in the queue.
const TASK: &str = "farebox_recurring";
/// How often a worker checks whether the task is due.
const POLL_EVERY: Duration = Duration::from_secs(5);
/// How often it is due.
const RUN_EVERY: Duration = Duration::from_secs(30);
/// Within how many minutes a worker puts a job back: the sum of the two above, rounded up.
pub const PUT_BACK_WITHIN_MINUTES: u32 = 1;
/// Jobs of trips, of operations and of imports, that one run puts back at most.
const MAX_PUT_BACK: i64 = 100;

/// Whether this process, which works for these tags, runs the recurring job of this tag.
fn is_on(saga: &SagaContext, tags: &[MqTag], tag: MqTag) -> bool {
    tags.contains(&tag)
        && tag.recurring().is_some()
        && (tag != MqTag::Timetable || saga.trips.horizon_days > 0)
}

/// Puts missing jobs back, for ever. `tags` are those that this process works for; it records no other
/// recurring jobs.
pub async fn run_recurring_loop(saga: SagaContext, tags: Vec<MqTag>) {
    loop {
        tokio::time::sleep(POLL_EVERY).await;
        match if_due(&saga, &tags).await {
            Ok(0) => {}
            Ok(_) => saga.notifier.notify(),
            Err(error) => {
                let outage = note_outage(&error);
                tracing::warn!(%error, outage, "missing jobs not checked; retrying");
            }
        }
    }
}

/// Puts missing jobs back if it is time and no other worker does it; returns how many.
async fn if_due(saga: &SagaContext, tags: &[MqTag]) -> Result<usize, sqlx::Error> {
    if !queue::acquire_task(&saga.pool, TASK, RUN_EVERY).await? {
        return Ok(0);
    }
    let mut tx = crate::storage::begin(&saga.pool).await?;
    for tag in MqTag::ALL.into_iter().filter(|tag| is_on(saga, tags, *tag)) {
        want(&mut tx, tag).await?;
    }
    let mut jobs: Vec<NewJob> = wanted(&mut tx).await?.into_iter().filter_map(MqTag::recurring).collect();
    jobs.extend(interrupted(&mut tx).await?);
    let back: Vec<_> = queue::enqueue(&mut tx, &jobs, Due::NowSilently).await?;
    tx.commit().await?;
    let fresh = jobs.iter().zip(&back).filter(|(_, became)| matches!(became, Enqueued::New(_)));
    let fresh: Vec<_> = fresh.map(|(job, _)| job).collect();
    for job in &fresh {
        tracing::error!(tag = job.tag, key = %job.key, "a job was missing and is put back");
    }
    Ok(fresh.len())
}

/// Records that the recurring job of this tag must be in the queue.
///
/// # Errors
/// The database's.
pub async fn want(conn: &mut PgConnection, tag: MqTag) -> Result<(), sqlx::Error> {
    let Some(job) = tag.recurring() else { return Ok(()) };
    sqlx::query!(
        "insert into recurring_job (tag, key) values ($1, $2) on conflict (tag) do nothing",
        job.tag,
        job.key
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Records that the recurring job is switched off, so that it is not missing.
///
/// # Errors
/// The database's.
pub async fn unwant(conn: &mut PgConnection, tag: MqTag) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from recurring_job where tag = $1", tag.wire()).execute(conn).await.map(drop)
}

async fn wanted(conn: &mut PgConnection) -> Result<Vec<MqTag>, sqlx::Error> {
    let tags = sqlx::query_scalar!("select tag from recurring_job order by tag").fetch_all(conn).await?;
    Ok(tags.iter().filter_map(|tag| tag.parse().ok()).collect())
}

/// The tags whose recurring job must be in the queue, and whether it is missing.
///
/// # Errors
/// The database's.
pub async fn missing(pool: &PgPool) -> Result<Vec<(MqTag, bool)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select r.tag, not exists(select from queue.job j where j.tag = r.tag and j.key = r.key) as "missing!"
           from recurring_job r order by r.tag"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().filter_map(|row| Some((row.tag.parse().ok()?, row.missing))).collect())
}

/// Of this table, the ids of the rows that have not ended and have neither a live job nor a dead letter, in
/// this order.
macro_rules! without_job {
    ($conn:ident, $tag:expr, $table:literal, $id:literal, $order:literal) => {
        sqlx::query_scalar!(
            "select u."
                + $id
                + " as \"id!\" from "
                + $table
                + " u where u.finished_at is null
               and not exists(select from queue.job j where j.tag = $1 and j.key = u."
                + $id
                + "::text)
               and not exists(select from queue.dead_letter d where d.tag = $1 and d.key = u."
                + $id
                + "::text)
             order by u."
                + $order
                + " limit $2",
            $tag.wire(),
            MAX_PUT_BACK
        )
        .fetch_all(&mut *$conn)
    };
}

/// The jobs of cancelled trips, bulk operations and imports that have not ended and have neither a live
/// job nor a dead letter, the oldest first.
async fn interrupted(conn: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
    let trips = without_job!(conn, MqTag::TripCancel, "trip_cancellation", "trip_id", "started_at").await?;
    let operations = without_job!(conn, MqTag::Bulk, "bulk", "id", "id").await?;
    let imports = without_job!(conn, MqTag::NetworkImport, "network_import", "id", "id").await?;
    let webhooks = unsent_webhooks(conn).await?;
    let trips = trips.into_iter().map(|trip| NewJob::of(&TripCancel::new(TripId(trip))));
    let operations = operations.into_iter().map(|id| NewJob::of(&Bulk::new(id)));
    let imports = imports.into_iter().map(|id| NewJob::of(&NetworkImport::new(id)));
    let webhooks = webhooks.into_iter().map(|id| NewJob::of(&WebhookDelivery::new(id)));
    Ok(trips.chain(operations).chain(imports).chain(webhooks).collect())
}

/// The webhooks with deliveries that wait, and neither a live job nor a dead letter.
async fn unsent_webhooks(conn: &mut PgConnection) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select e.id from webhook_endpoint e
         where e.state = 'enabled'
           and exists(select from webhook_delivery d
                      where d.endpoint_id = e.id and d.state = 'pending' and d.give_up_at > now())
           and not exists(select from queue.job j where j.tag = $1 and j.key = e.id::text)
           and not exists(select from queue.dead_letter l where l.tag = $1 and l.key = e.id::text)
         order by e.id limit $2",
        MqTag::WebhookDelivery.wire(),
        MAX_PUT_BACK
    )
    .fetch_all(conn)
    .await
}
