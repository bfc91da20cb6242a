//! Enqueueing jobs and removing them, in the caller's transaction.

use crate::NewJob;
use crate::QueueConnection;
use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::types::Json;
use std::{collections::HashMap, time::Duration};
use uuid::Uuid;

/// How often a key that is taken by an invisible job is looked up. Each lookup has a new snapshot,
/// so a second one suffices unless that job ends and a third takes its key in between.
const MAX_LOOKUPS: usize = 5;

/// When a job may run, by the database's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// At once. The transaction's commit notifies waiting workers; such commits wait for each
    /// other.
    Now,
    /// At once, without a notification: the caller [notifies](crate::Notifier) after its commit, or
    /// the workers poll.
    NowSilently,
    /// After this time, counted from the statement.
    In(Duration),
    /// At this time.
    At(DateTime<Utc>),
}

/// What became of a job that was to be enqueued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It is in the queue, under its own id.
    New(Uuid),
    /// A live job has its tag and key; nothing was changed. The id is that job's.
    AlreadyQueued(Uuid),
}

impl Due {
    fn at(self) -> Option<DateTime<Utc>> {
        if let Self::At(at) = self { Some(at) } else { None }
    }

    fn delay_secs(self) -> f64 {
        if let Self::In(delay) = self { delay.as_secs_f64() } else { 0.0 }
    }
}

/// Enqueues any number of jobs in one statement. The results are in the order of the jobs.
///
/// # Errors
/// The database's; a taken key is not one of them.
pub async fn enqueue(
    conn: &mut (impl QueueConnection + ?Sized),
    jobs: &[NewJob],
    due: Due,
) -> Result<Vec<Enqueued>, sqlx::Error> {
    let mut known: HashMap<Uuid, Enqueued> = HashMap::with_capacity(jobs.len());
    for _ in 0..MAX_LOOKUPS {
        let open: Vec<&NewJob> = jobs.iter().filter(|job| !known.contains_key(&job.id)).collect();
        if open.is_empty() {
            break;
        }
        known.extend(insert(conn, &open, due).await?);
    }
    jobs.iter().map(|job| known.get(&job.id).copied().ok_or(sqlx::Error::RowNotFound)).collect()
}

/// Inserts in the order of tag and key, so that two batches cannot deadlock. A job that lost its
/// key to one this statement's snapshot does not show is left out of the answer.
async fn insert(
    conn: &mut (impl QueueConnection + ?Sized),
    jobs: &[&NewJob],
    due: Due,
) -> Result<Vec<(Uuid, Enqueued)>, sqlx::Error> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.id).collect();
    let tags: Vec<String> = jobs.iter().map(|job| job.tag.to_owned()).collect();
    let keys: Vec<String> = jobs.iter().map(|job| job.key.clone()).collect();
    let max_attempts: Vec<i32> = jobs.iter().map(|job| job.max_attempts).collect();
    let priorities: Vec<i16> = jobs.iter().map(|job| job.priority.rank()).collect();
    let concurrency_keys: Vec<Option<String>> = jobs.iter().map(|job| job.concurrency_key.clone()).collect();
    let rows = sqlx::query!(
        r#"with given as (
               select * from unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[],
                   $5::integer[], $8::smallint[],
                                    $9::text[])
                   as g (id, tag, key, payload, max_attempts, priority, concurrency_key)
           ), fresh as (
               insert into queue.job (id, tag, key, payload, max_attempts, priority,
                   concurrency_key, created_at, run_at)
               select id, tag, key, payload, max_attempts, priority, concurrency_key, statement_timestamp(),
                      coalesce($6::timestamptz, statement_timestamp()) + make_interval(secs => $7::float8)
               from given order by tag, key
               on conflict (tag, key) do nothing
               returning id, tag, key, run_at
           ), ping as (
               select pg_notify('farebox_jobs', '') from fresh
                   where $10 and run_at <= statement_timestamp() limit 1
           )
           select given.id as "id!", coalesce(fresh.id, job.id) as live_id,
               (select count(*) from ping) as pings
           from given
           left join fresh on fresh.tag = given.tag and fresh.key = given.key
           left join queue.job on job.tag = given.tag and job.key = given.key"#,
        &ids,
        &tags,
        &keys,
        &jobs.iter().map(|job| job.json()).collect::<Vec<_>>() as &[Json<&RawValue>],
        &max_attempts,
        due.at(),
        due.delay_secs(),
        &priorities,
        &concurrency_keys as &[Option<String>],
        due != Due::NowSilently,
    )
    .fetch_all(conn.on_queue())
    .await?;
    let answer = |id, live| if id == live { Enqueued::New(id) } else { Enqueued::AlreadyQueued(live) };
    Ok(rows.into_iter().filter_map(|row| Some((row.id, answer(row.id, row.live_id?)))).collect())
}

/// Enqueues a job due now; if its key is live, makes that job due now unless it is already running.
/// The caller [notifies](crate::Notifier) after its commit.
pub async fn enqueue_or_expedite(
    conn: &mut (impl QueueConnection + ?Sized),
    job: &NewJob,
) -> Result<Enqueued, sqlx::Error> {
    let tag_and_key = [(job.tag, job.key.clone())];
    if let Some(id) = expedite(conn, &tag_and_key).await?.first() {
        return Ok(Enqueued::AlreadyQueued(*id));
    }
    let answers = enqueue(conn, std::slice::from_ref(job), Due::NowSilently).await?;
    let answer = answers.first().copied().ok_or(sqlx::Error::RowNotFound)?;
    if matches!(answer, Enqueued::AlreadyQueued(_)) {
        // Its key may have been taken after the first look, by a transaction that was still open
        // then.
        expedite(conn, &tag_and_key).await?;
    }
    Ok(answer)
}

/// Makes the live jobs of these tags and keys due now, except those that run. Returns those that were
/// not due. The caller [notifies](crate::Notifier) after its commit.
pub async fn expedite(
    conn: &mut (impl QueueConnection + ?Sized),
    jobs: &[(&str, String)],
) -> Result<Vec<Uuid>, sqlx::Error> {
    let tags: Vec<String> = jobs.iter().map(|(tag, _)| (*tag).to_owned()).collect();
    let keys: Vec<String> = jobs.iter().map(|(_, key)| key.clone()).collect();
    sqlx::query_scalar!(
        "with chosen as (
             select job.id from unnest($1::text[], $2::text[]) as g (tag, key)
             join queue.job on job.tag = g.tag and job.key = g.key
             where job.lease_token is null and job.run_at > statement_timestamp()
             order by job.tag, job.key for update of job
         )
         update queue.job set run_at = statement_timestamp() where id in (select id from chosen)
         returning id",
        &tags,
        &keys,
    )
    .fetch_all(conn.on_queue())
    .await
}

/// Deletes the live jobs of these tags and keys, except those that run. Returns how many.
pub async fn remove(
    conn: &mut (impl QueueConnection + ?Sized),
    jobs: &[(&str, String)],
) -> Result<u64, sqlx::Error> {
    let tags: Vec<String> = jobs.iter().map(|(tag, _)| (*tag).to_owned()).collect();
    let keys: Vec<String> = jobs.iter().map(|(_, key)| key.clone()).collect();
    let gone = sqlx::query!(
        "with chosen as (
             select job.id from unnest($1::text[], $2::text[]) as g (tag, key)
             join queue.job on job.tag = g.tag and job.key = g.key
             where job.lease_token is null
             order by job.tag, job.key for update of job
         )
         delete from queue.job where id in (select id from chosen)",
        &tags,
        &keys,
    )
    .execute(conn.on_queue())
    .await?;
    Ok(gone.rows_affected())
}
