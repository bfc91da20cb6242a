//! Jobs that must not go missing. One worker at a time looks whether each recurring job is in the queue, whose every run
//! enqueues the next one, and whether what an operator began and one job carries on still has that job. What was
//! called off or deleted is put back; a dead letter of carried-on work is left to be redriven.
//!
//! Which recurring jobs are wanted is written down (`queue.recurring`) by the workers that run with them switched on, so that any
//! process can tell that one is missing.

use crate::{saga::SagaContext, storage::note_outage};
use farebox_jobs::{
    Bulk, MqTag, TripCancel,
    ids::TripId,
    queue::{self, Due, Enqueued, NewJob},
};
use sqlx::{PgConnection, PgPool};
use std::time::Duration;

/// Its name in `queue.duty`.
const DUTY: &str = "farebox_recurring";
/// How often a worker asks whether the duty is due.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How often it is.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Within how many minutes a worker puts a job back: the two above, with room.
pub const PUT_BACK_WITHIN_MINUTES: u32 = 1;
/// Jobs of carried-on work that one turn puts back at the most.
const MOST_PUT_BACK: i64 = 100;

/// Whether this process, which works for these tags, runs the recurring job of this tag.
fn is_on(saga: &SagaContext, tags: &[MqTag], tag: MqTag) -> bool {
    tags.contains(&tag)
        && tag.recurring().is_some()
        && (tag != MqTag::Timetable || saga.trips.horizon_days > 0)
}

/// Puts back what is missing, for ever. `tags` are those that this process works for: it wants the recurring jobs of no others.
pub async fn keep(saga: SagaContext, tags: Vec<MqTag>) {
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        match if_due(&saga, &tags).await {
            Ok(0) => {}
            Ok(_) => saga.notifier.ring(),
            Err(error) => {
                let outage = note_outage(&error);
                tracing::warn!(%error, outage, "missing jobs are not looked for");
            }
        }
    }
}

/// Puts back what is missing if it is time and nobody else does it; returns how many jobs.
async fn if_due(saga: &SagaContext, tags: &[MqTag]) -> Result<usize, sqlx::Error> {
    if !queue::take_duty(&saga.pool, DUTY, LOOK_EVERY).await? {
        return Ok(0);
    }
    let mut tx = crate::storage::begin(&saga.pool).await?;
    for tag in MqTag::ALL.into_iter().filter(|tag| is_on(saga, tags, *tag)) {
        want(&mut tx, tag).await?;
    }
    let mut jobs: Vec<NewJob> = in_flight(&mut tx).await?.into_iter().filter_map(MqTag::recurring).collect();
    jobs.extend(interrupted(&mut tx).await?);
    let back: Vec<_> = queue::enqueue(&mut tx, &jobs, Due::Quietly).await?;
    tx.commit().await?;
    let fresh = jobs.iter().zip(&back).filter(|(_, became)| matches!(became, Enqueued::New(_)));
    let fresh: Vec<_> = fresh.map(|(job, _)| job).collect();
    for job in &fresh {
        tracing::error!(tag = job.tag, key = %job.key, "a job was missing and is put back");
    }
    Ok(fresh.len())
}

/// Writes down that the recurring job of this tag is to be in the queue.
///
/// # Errors
/// The database's.
pub async fn want(conn: &mut PgConnection, tag: MqTag) -> Result<(), sqlx::Error> {
    let Some(job) = tag.recurring() else { return Ok(()) };
    sqlx::query!(
        "insert into queue.recurring (tag, key) values ($1, $2) on conflict (tag) do nothing",
        job.tag,
        job.key
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Writes down that nobody is to miss it: it is switched off.
///
/// # Errors
/// The database's.
pub async fn unwant(conn: &mut PgConnection, tag: MqTag) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from queue.recurring where tag = $1", tag.wire()).execute(conn).await.map(drop)
}

async fn in_flight(conn: &mut PgConnection) -> Result<Vec<MqTag>, sqlx::Error> {
    let tags = sqlx::query_scalar!("select tag from queue.recurring order by tag").fetch_all(conn).await?;
    Ok(tags.iter().filter_map(|tag| tag.parse().ok()).collect())
}

/// The tags whose recurring job is to be in the queue, and whether it is missing.
///
/// # Errors
/// The database's.
pub async fn missing(pool: &PgPool) -> Result<Vec<(MqTag, bool)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select r.tag, not exists(select from queue.job j where j.tag = r.tag and j.key = r.key) as "missing!"
           from queue.recurring r order by r.tag"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().filter_map(|row| Some((row.tag.parse().ok()?, row.missing))).collect())
}

/// The jobs of cancelled trips and of operations upon many jobs that have not ended and have neither a live job nor a dead
/// letter, the oldest first.
async fn interrupted(conn: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
    let trips = sqlx::query_scalar!(
        "select c.trip_id from trip_cancellation c
         where c.finished_at is null
           and not exists(select from queue.job j where j.tag = $1 and j.key = c.trip_id::text)
           and not exists(select from queue.dead_letter d where d.tag = $1 and d.key = c.trip_id::text)
         order by c.started_at limit $2",
        MqTag::TripCancel.wire(),
        MOST_PUT_BACK
    )
    .fetch_all(&mut *conn)
    .await?;
    let operations = sqlx::query_scalar!(
        "select b.id from bulk b
         where b.finished_at is null
           and not exists(select from queue.job j where j.tag = $1 and j.key = b.id::text)
           and not exists(select from queue.dead_letter d where d.tag = $1 and d.key = b.id::text)
         order by b.id limit $2",
        MqTag::Bulk.wire(),
        MOST_PUT_BACK
    )
    .fetch_all(conn)
    .await?;
    let trips = trips.into_iter().map(|trip| NewJob::of(&TripCancel::new(TripId(trip))));
    Ok(trips.chain(operations.into_iter().map(|id| NewJob::of(&Bulk::new(id)))).collect())
}
