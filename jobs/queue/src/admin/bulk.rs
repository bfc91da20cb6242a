//! Changes of many jobs, in one statement each. A locked row is passed over as busy, so that one
//! open transaction does not delay the other jobs.

use super::change::{AdminOutcome, restore};
use crate::QueueConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// Makes waiting jobs due now and brings dead letters back to life. The answers stand in the order
/// of the ids.
pub async fn retry(
    conn: &mut (impl QueueConnection + ?Sized),
    ids: &[Uuid],
) -> Result<Vec<AdminOutcome>, sqlx::Error> {
    let moved = sqlx::query_scalar!(
        r#"with free as materialized (
               select id from queue.job where id = any($1) and lease_token is null
                   order by id for update skip locked
           ), moved as (
               update queue.job set run_at = least(run_at, now())
               where id in (select id from free) and lease_token is null returning id
           ), ping as (select pg_notify('farebox_jobs', '') from moved limit 1)
           select id as "id!" from moved where (select count(*) from ping) >= 0"#,
        ids
    )
    .fetch_all(conn.on_queue())
    .await?;
    let mut changed: HashMap<Uuid, AdminOutcome> =
        moved.into_iter().map(|id| (id, AdminOutcome::Changed)).collect();
    let rest: Vec<Uuid> = ids.iter().copied().filter(|id| !changed.contains_key(id)).collect();
    changed.extend(restore(conn, &rest).await?.into_iter().map(|id| (id, AdminOutcome::Changed)));
    with_rest(conn, ids, changed).await
}

/// Brings dead letters back to life; one whose key is taken by a live job is busy.
pub async fn redrive(
    conn: &mut (impl QueueConnection + ?Sized),
    ids: &[Uuid],
) -> Result<Vec<AdminOutcome>, sqlx::Error> {
    let changed = restore(conn, ids).await?.into_iter().map(|id| (id, AdminOutcome::Changed)).collect();
    with_rest(conn, ids, changed).await
}

/// Cancels live jobs: waiting ones end as cancelled, running ones are asked to.
pub async fn cancel(
    conn: &mut (impl QueueConnection + ?Sized),
    ids: &[Uuid],
    note: &str,
) -> Result<Vec<AdminOutcome>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"with free as materialized (
               select id from queue.job where id = any($1) order by id for update skip locked
           ), gone as (
               delete from queue.job where id in (select id from free) and lease_token is null returning *
           ), finished as (
               insert into queue.finished
                   (id, tag, key, payload, outcome, attempt, note, failures, run_at, created_at, ended_at)
               select id, tag, key, payload, 'cancelled', attempt, $2,
                   failures, run_at, created_at, clock_timestamp()
               from gone
           ), asked as (
               update queue.job set cancel_asked = coalesce(cancel_asked, $2)
               where id in (select id from free) and lease_token is not null
               returning id
           ), notified as (select pg_notify('farebox_jobs', 'cancel') from asked limit 1)
           select id as "id!", true as "gone!" from gone
           union all
           select id, false from asked where (select count(*) from notified) >= 0"#,
        ids,
        note
    )
    .fetch_all(conn.on_queue())
    .await?;
    let changed = rows
        .into_iter()
        .map(|row| (row.id, if row.gone { AdminOutcome::Changed } else { AdminOutcome::CancelRequested }));
    with_rest(conn, ids, changed.collect()).await
}

/// Of those that were not changed: whether they are there, and so only could not be changed now.
async fn with_rest(
    conn: &mut (impl QueueConnection + ?Sized),
    ids: &[Uuid],
    mut changed: HashMap<Uuid, AdminOutcome>,
) -> Result<Vec<AdminOutcome>, sqlx::Error> {
    let there = sqlx::query_scalar!(
        r#"select id as "id!" from queue.job where id = any($1)
           union all select id from queue.dead_letter where id = any($1)"#,
        ids
    )
    .fetch_all(conn.on_queue())
    .await?;
    for id in there {
        changed.entry(id).or_insert(AdminOutcome::Busy);
    }
    Ok(ids.iter().map(|id| changed.get(id).copied().unwrap_or(AdminOutcome::Gone)).collect())
}
