//! The driver's main statement, which completes and claims; renew what is held, ask when the next job falls due.

use super::{Lease, ack::Ack, driver::Fence, tags::Tags};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// A job the claim took hold of.
pub(super) struct Claimed {
    pub(super) lease: Lease,
    /// JSON, maybe of a kind that Rust cannot hold.
    pub(super) payload: String,
    /// Its last attempt's lease ran out: now a dead letter, not to be run.
    pub(super) crashed: bool,
}

/// What is to be claimed.
pub(super) struct Want<'a> {
    /// Of these tags, and how far back in each.
    pub(super) tags: &'a Tags,
    /// At the most so many.
    pub(super) slots: usize,
    pub(super) worker: &'a str,
    pub(super) lease: Duration,
    /// One for all of them, and for no other claim: with the job's id it is the fence of an attempt.
    pub(super) token: Uuid,
}

/// What a round did.
pub(super) struct Round {
    /// The jobs that were completed; those that are missing had lost their lease.
    pub(super) completed: Vec<Uuid>,
    pub(super) claimed: Vec<Claimed>,
}

/// Completes these jobs, each under its own token, and leases up to `slots` due ones, the longest due of each tag
/// first: one statement, one commit. A job whose lease has run out is due as well: it gets another attempt, or, having
/// had them all, becomes the dead letter of a crash. A completion waits for whoever holds the row, up to the
/// link's limit; a claim passes over locked rows.
pub(super) async fn complete_and_claim(
    conn: &mut PgConnection,
    done: &[Ack],
    want: &Want<'_>,
) -> Result<Round, sqlx::Error> {
    let (ids, tokens): (Vec<Uuid>, Vec<Uuid>) =
        done.iter().map(|ack| (ack.lease.job_id, ack.lease.token)).unzip();
    let notes: Vec<Option<String>> = done.iter().map(|ack| ack.verdict.text()).collect();
    // A lost claim is a claim not made (the token fences whoever thinks he has it), so the commit of claims alone
    // need not wait for the disk: hence synchronous_commit, off for that transaction. A completion does wait.
    let rows = sqlx::query_as!(
        Row,
        r#"with ended as (
               delete from queue.job
               using unnest($1::uuid[], $2::uuid[], $3::text[]) as done (id, token, note)
               where job.id = done.id and job.lease_token = done.token
               returning job.*, done.note
           ), finished as (
               insert into queue.finished
                   (id, tag, key, payload, outcome, attempt, worker, note, failures,
                    run_at, created_at, started_at, ended_at)
               select id, tag, key, payload, 'done', attempt, worker, note, failures,
                      run_at, created_at, leased_at, clock_timestamp()
               from ended
           ), due as materialized (
               select found.at, found.attempt < found.max_attempts as again
               from unnest($4::text[], $5::timestamptz[]) as t (tag, since)
               cross join lateral (
                   select job.ctid as at, job.attempt, job.max_attempts from queue.job
                   where job.tag = t.tag and job.run_at >= coalesce(t.since, '-infinity') and job.run_at <= now()
                     and (job.lease_until is null or job.lease_until <= now())
                   order by job.run_at limit $6::bigint for update skip locked
               ) found
               cross join (
                   select set_config('synchronous_commit', case when cardinality($1) = 0 then 'off'
                                     else current_setting('synchronous_commit') end, true) offset 0
               ) unhurried
               where not exists (select from queue.paused where paused.tag = t.tag)
               limit $6::bigint
           ), crashed as (
               delete from queue.job where ctid = any(array(select at from due where not again)) returning *
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
               set attempt = attempt + 1, worker = $7, leased_at = clock_timestamp(),
                   lease_token = $8, lease_until = now() + make_interval(secs => $9::float8),
                   failures = case when lease_token is null then failures else
                       failures || jsonb_build_object('attempt', attempt, 'worker', worker, 'started_at', leased_at,
                                                      'ended_at', clock_timestamp(), 'error', 'lease expired') end
               where ctid = any(array(select at from due where again))
               returning *
           )
           select id, tag, key, payload::text, attempt, max_attempts, run_at, false as "crashed!",
                  null::uuid[] as completed
           from claimed
           union all
           select id, tag, key, payload::text, attempt, max_attempts, run_at, true, null from crashed
           union all
           select null, null, null, null, null, null, null, false, array(select id from ended)
           where cardinality($1) > 0"#,
        &ids,
        &tokens,
        &notes as &[Option<String>],
        &want.tags.names,
        &want.tags.since as &[Option<DateTime<Utc>>],
        i64::try_from(want.slots).unwrap_or(i64::MAX),
        want.worker,
        want.token,
        want.lease.as_secs_f64(),
    )
    .fetch_all(conn)
    .await?;
    Ok(Round::of(rows, want.token))
}

/// A row of the round's answer: a job that was claimed or buried, or the list of those that were completed.
struct Row {
    id: Option<Uuid>,
    tag: Option<String>,
    key: Option<String>,
    payload: Option<String>,
    attempt: Option<i32>,
    max_attempts: Option<i32>,
    run_at: Option<DateTime<Utc>>,
    crashed: bool,
    completed: Option<Vec<Uuid>>,
}

impl Row {
    fn job(self, token: Uuid) -> Option<Claimed> {
        Some(Claimed {
            lease: Lease {
                job_id: self.id?,
                tag: self.tag?,
                key: self.key?,
                token,
                attempt: self.attempt?,
                max_attempts: self.max_attempts?,
                run_at: self.run_at?,
            },
            payload: self.payload?,
            crashed: self.crashed,
        })
    }
}

impl Round {
    fn of(rows: Vec<Row>, token: Uuid) -> Self {
        let mut completed = Vec::new();
        let mut claimed = Vec::with_capacity(rows.len());
        for mut row in rows {
            match row.completed.take() {
                Some(ids) => completed = ids,
                None => claimed.extend(row.job(token)),
            }
        }
        claimed.sort_by_key(|job: &Claimed| job.lease.run_at);
        Self { completed, claimed }
    }
}

/// Renews these leases. A row that is locked is left out: its handler is completing it, and nobody can take it
/// meanwhile. Returns those that were renewed.
pub(super) async fn renew(
    conn: &mut PgConnection,
    ids: &[Uuid],
    tokens: &[Uuid],
    lease: Duration,
) -> Result<Vec<Fence>, sqlx::Error> {
    let renewed = sqlx::query!(
        r#"with mine as (
               select job.id from unnest($1::uuid[], $2::uuid[]) as held (id, token)
               join queue.job on job.id = held.id and job.lease_token = held.token
               for update of job skip locked
           )
           update queue.job set lease_until = now() + make_interval(secs => $3::float8)
           where id = any(array(select id from mine))
           returning id, lease_token as "token!""#,
        ids,
        tokens,
        lease.as_secs_f64(),
    )
    .fetch_all(conn)
    .await?;
    Ok(renewed.into_iter().map(|row| (row.id, row.token)).collect())
}

/// How long until a job of these tags that nobody holds falls due; zero if one already is; none if there is none.
/// Jobs of a paused tag do not count.
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
               order by job.run_at limit 1
           ) soonest
           where not exists (select from queue.paused where paused.tag = t.tag)"#,
        tags,
    )
    .fetch_one(conn)
    .await?;
    Ok(secs.map(|secs| Duration::try_from_secs_f64(secs.max(0.0)).unwrap_or(Duration::MAX)))
}
