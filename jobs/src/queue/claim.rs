//! The driver's reading side: lease what is due, renew what is held, ask when the next job falls due.

use super::Lease;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// A row the claim touched.
pub(super) struct Claimed {
    id: Uuid,
    tag: String,
    key: String,
    payload: String,
    token: Uuid,
    attempt: i32,
    max_attempts: i32,
    run_at: DateTime<Utc>,
    /// Its last attempt's lease ran out: now a dead letter, not to be run.
    pub(super) crashed: bool,
}

impl Claimed {
    /// The lease, and the payload unless it is JSON that Rust cannot hold.
    pub(super) fn into_parts(self) -> (Lease, Result<Value, serde_json::Error>) {
        let Self { id: job_id, tag, key, payload, token, attempt, max_attempts, run_at, .. } = self;
        (Lease { job_id, tag, key, token, attempt, max_attempts, run_at }, serde_json::from_str(&payload))
    }
}

/// Leases up to `slots` due jobs, the longest due of each tag first. A job whose lease has run out is due as well:
/// it gets another attempt, or, having had them all, becomes the dead letter of a crash.
pub(super) async fn claim(
    conn: &mut PgConnection,
    tags: &[String],
    slots: usize,
    worker: &str,
    lease: Duration,
) -> Result<Vec<Claimed>, sqlx::Error> {
    // A lost claim is a claim not made (the token fences whoever thinks he has it), so its commit need not wait
    // for the disk: hence synchronous_commit, off for this transaction alone.
    let mut rows = sqlx::query_as!(
        Claimed,
        r#"with due as materialized (
               select found.id, found.attempt < found.max_attempts as again
               from unnest($1::text[]) as t (tag)
               cross join lateral (
                   select job.id, job.attempt, job.max_attempts from queue.job
                   where job.tag = t.tag and not exists (select from queue.paused p where p.tag = t.tag)
                     and job.run_at <= now()
                     and (job.lease_until is null or job.lease_until <= now())
                   order by job.run_at limit $2::bigint for update skip locked
               ) found
               cross join (select set_config('synchronous_commit', 'off', true) offset 0) unhurried
               limit $2::bigint
           ), crashed as (
               delete from queue.job where id = any(array(select id from due where not again)) returning *
           ), buried as (
               insert into queue.dead_letter
                   (id, tag, key, payload, max_attempts, attempt, reason, failures, run_at, created_at)
               select id, tag, key, payload, max_attempts, attempt, 'crashed',
                      failures || jsonb_build_object('attempt', attempt, 'worker', worker, 'started_at', leased_at,
                                                     'ended_at', clock_timestamp(), 'error', 'lease expired'),
                      run_at, created_at
               from crashed
               on conflict (id) do update
                   set attempt = excluded.attempt, reason = excluded.reason, failures = excluded.failures,
                       died_at = excluded.died_at
           ), claimed as (
               update queue.job
               set attempt = attempt + 1, worker = $3, leased_at = clock_timestamp(),
                   lease_token = gen_random_uuid(), lease_until = now() + make_interval(secs => $4::float8),
                   failures = case when lease_token is null then failures else
                       failures || jsonb_build_object('attempt', attempt, 'worker', worker, 'started_at', leased_at,
                                                      'ended_at', clock_timestamp(), 'error', 'lease expired') end
               where id = any(array(select id from due where again))
               returning *
           )
           select id as "id!", tag as "tag!", key as "key!", payload::text as "payload!", lease_token as "token!",
                  attempt as "attempt!", max_attempts as "max_attempts!", run_at as "run_at!", false as "crashed!"
           from claimed
           union all
           select id, tag, key, payload::text, coalesce(lease_token, id), attempt, max_attempts, run_at, true from crashed"#,
        tags,
        i64::try_from(slots).unwrap_or(i64::MAX),
        worker,
        lease.as_secs_f64(),
    )
    .fetch_all(conn)
    .await?;
    rows.sort_by_key(|row| row.run_at);
    Ok(rows)
}

/// Renews these leases. A row that is locked is left out: its handler is completing it, and nobody can take it
/// meanwhile. Returns the tokens that were renewed.
pub(super) async fn renew(
    conn: &mut PgConnection,
    ids: &[Uuid],
    tokens: &[Uuid],
    lease: Duration,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"with mine as (
               select job.id from unnest($1::uuid[], $2::uuid[]) as held (id, token)
               join queue.job on job.id = held.id and job.lease_token = held.token
               for update of job skip locked
           )
           update queue.job set lease_until = now() + make_interval(secs => $3::float8)
           where id = any(array(select id from mine))
           returning lease_token as "token!""#,
        ids,
        tokens,
        lease.as_secs_f64(),
    )
    .fetch_all(conn)
    .await
}

/// How long until a job of these tags that nobody holds falls due; zero if one already is; none if there is none.
pub(super) async fn next_due(
    conn: &mut PgConnection,
    tags: &[String],
) -> Result<Option<Duration>, sqlx::Error> {
    let secs = sqlx::query_scalar!(
        r#"select extract(epoch from min(soonest.run_at) - clock_timestamp())::float8
           from unnest($1::text[]) as t (tag)
           cross join lateral (
               select job.run_at from queue.job
               where job.tag = t.tag and job.lease_token is null and job.attempt < job.max_attempts
                 and not exists (select from queue.paused p where p.tag = t.tag)
               order by job.run_at limit 1
           ) soonest"#,
        tags,
    )
    .fetch_one(conn)
    .await?;
    Ok(secs.map(|secs| Duration::try_from_secs_f64(secs.max(0.0)).unwrap_or(Duration::MAX)))
}
