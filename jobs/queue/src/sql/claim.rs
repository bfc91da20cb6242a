//! The driver's main statement: complete what ended well, claim what is due, return when the next
//! job falls due.

use super::cursor::ClaimCursor;
use crate::{Lease, QueueConfig, QueueConnection, outcome::Completion};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// A job that was claimed.
#[derive(Debug)]
pub struct Claimed {
    /// The new attempt's lease.
    pub lease: Lease,
    /// JSON, maybe of a kind that Rust cannot hold.
    pub payload: String,
    /// The rank of its [`Priority`](crate::Priority).
    pub priority: i16,
    /// What the worker is to do with it.
    pub kind: ClaimKind,
}

/// What the worker is to do with a claimed job.
#[derive(Debug, PartialEq, Eq)]
pub enum ClaimKind {
    /// To be run.
    Fresh,
    /// To be run: the lease of its last attempt expired.
    Rescued,
    /// Not to be run: its cancellation was requested. The worker writes that, under the lease.
    Cancelled,
    /// Not to be run: the lease of its last attempt expired, and no attempt is left. The worker
    /// moves it to the dead letters, under the lease.
    Crashed,
}

/// What is to be claimed.
#[derive(Debug)]
pub struct ClaimRequest<'a> {
    /// The tags, and where to start in each.
    pub cursor: &'a ClaimCursor,
    /// How many jobs at most.
    pub slots: usize,
    /// The worker's id.
    pub worker: &'a str,
    /// How long the leases last.
    pub lease: Duration,
    /// The fencing token of all leases of this claim, and of no other.
    pub token: Uuid,
}

/// What one execution did.
#[derive(Debug)]
pub struct ClaimResult {
    /// The jobs that were completed, unless all were; those that are missing had lost their lease.
    pub completed: Option<Vec<Uuid>>,
    /// Longest due first within a priority.
    pub claimed: Vec<Claimed>,
    /// Whether as many jobs were due as were requested: there may be more.
    pub full: bool,
    /// If not full: how long until the next one falls due, if there is one.
    pub next: Option<Duration>,
}

/// Completes these jobs, each under its own token, and leases up to `slots` due ones, by priority
/// and the longest due of each tag first: one statement, one commit. A job whose lease has run out
/// is due as well. A completion waits for the row's lock, up to the connection's limit; a claim
/// passes over locked rows, paused tags, and jobs whose concurrency_key key is taken.
///
/// The rare cases are left to statements of their own ([`take_concurrency_keys`],
/// [`complete_batch`](super::complete::complete_batch)), under the lease that is taken here: what
/// this one costs is mostly the making of its plan's nodes.
pub async fn complete_and_claim(
    conn: &mut (impl QueueConnection + ?Sized),
    done: &[Completion],
    request: &ClaimRequest<'_>,
) -> Result<ClaimResult, sqlx::Error> {
    let (ids, tokens): (Vec<Uuid>, Vec<Uuid>) =
        done.iter().map(|completion| (completion.lease.job_id, completion.lease.token)).unzip();
    let queue = conn.on_queue().queue().clone();
    let notes: Vec<Option<String>> = done.iter().map(|completion| completion.disposition.text()).collect();
    let rows = sqlx::query_file_as!(
        Row,
        "src/sql/complete_and_claim.sql",
        &ids,
        &tokens,
        &notes as &[Option<String>],
        &request.cursor.names,
        &request.cursor.priorities,
        &request.cursor.since as &[Option<DateTime<Utc>>],
        i64::try_from(request.slots).unwrap_or(i64::MAX),
        request.worker,
        request.token,
        request.lease.as_secs_f64(),
    )
    .fetch_all(conn.on_queue())
    .await?;
    Ok(ClaimResult::of(rows, request.token, &queue))
}

/// Takes the concurrency keys of these jobs, which this worker has claimed under this token.
/// Returns the jobs that got theirs; the others' keys are another job's at this moment.
pub async fn take_concurrency_keys(
    conn: &mut (impl QueueConnection + ?Sized),
    jobs: &[(Uuid, String)],
    token: Uuid,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let (ids, keys): (Vec<Uuid>, Vec<String>) = jobs.iter().cloned().unzip();
    sqlx::query_scalar!(
        r#"with mine as materialized (
               select job.id, wanted.key from unnest($1::uuid[], $2::text[]) as wanted (id, key)
               join queue.job on job.id = wanted.id and job.lease_token = $3
               for update of job
           )
           insert into queue.concurrency_key (key, job_id)
           select distinct on (mine.key) mine.key, mine.id
           from mine left join queue.concurrency_key taken on taken.key = mine.key
           order by mine.key, taken.job_id is distinct from mine.id, mine.id
           on conflict (key) do update set job_id = excluded.job_id
               where concurrency_key.job_id = excluded.job_id
           returning job_id"#,
        &ids,
        &keys,
        token
    )
    .fetch_all(conn.on_queue())
    .await
}

/// A row of the result: a claimed job, if there is one, and the result as a whole.
struct Row {
    id: Option<Uuid>,
    tag: Option<String>,
    key: Option<String>,
    payload: Option<String>,
    attempt: Option<i32>,
    max_attempts: Option<i32>,
    run_at: Option<DateTime<Utc>>,
    created_at: Option<DateTime<Utc>>,
    leased_at: Option<DateTime<Utc>>,
    priority: Option<i16>,
    concurrency_key: Option<String>,
    cancelled: Option<bool>,
    completed: Option<Vec<Uuid>>,
    rescued: Option<Vec<Uuid>>,
    crashed: Option<Vec<Uuid>>,
    full: bool,
    next: Option<f64>,
}

impl Row {
    /// Of those whose last attempt's lease ran out, `crashed` are the ones that have no further
    /// attempt.
    fn job(
        self,
        token: Uuid,
        claimed: Instant,
        queue: &QueueConfig,
        rescued: &[Uuid],
        crashed: &[Uuid],
    ) -> Option<Claimed> {
        let job_id = self.id?;
        let kind = if self.cancelled? {
            ClaimKind::Cancelled
        } else if crashed.contains(&job_id) {
            ClaimKind::Crashed
        } else if rescued.contains(&job_id) {
            ClaimKind::Rescued
        } else {
            ClaimKind::Fresh
        };
        let (payload, run_at) = (self.payload?, self.run_at?);
        let Traced { trace, traceparent } = trace_of(&payload);
        Some(Claimed {
            lease: Lease {
                job_id,
                tag: self.tag?,
                key: self.key?,
                token,
                attempt: self.attempt?,
                max_attempts: self.max_attempts?,
                run_at,
                trace,
                traceparent,
                concurrency_key: self.concurrency_key,
                waited: (self.leased_at? - run_at).to_std().unwrap_or_default(),
                delayed: run_at > self.created_at?,
                queue: queue.clone(),
                claimed,
            },
            payload,
            priority: self.priority?,
            kind,
        })
    }
}

impl ClaimResult {
    fn of(mut rows: Vec<Row>, token: Uuid, queue: &QueueConfig) -> Self {
        let now = Instant::now();
        let (mut completed, mut full, mut next) = (None, false, None);
        let (mut rescued, mut crashed) = (Vec::new(), Vec::new());
        if let Some(row) = rows.first_mut() {
            (completed, full, next) = (row.completed.take(), row.full, row.next);
            rescued = row.rescued.take().unwrap_or_default();
            crashed = row.crashed.take().unwrap_or_default();
        }
        rows.sort_by_key(|row| (row.priority, row.run_at));
        let claimed =
            rows.into_iter().filter_map(|row| row.job(token, now, queue, &rescued, &crashed)).collect();
        let next = next.map(|secs| Duration::try_from_secs_f64(secs.max(0.0)).unwrap_or(Duration::MAX));
        Self { completed, claimed, full, next }
    }
}

/// What a job was enqueued under.
#[derive(Default, Deserialize)]
struct Traced {
    trace: Option<String>,       // TRACE_FIELD
    traceparent: Option<String>, // TRACEPARENT_FIELD
}

/// What a job was enqueued under, as far as its payload is of a kind that Rust can hold and has it.
fn trace_of(payload: &str) -> Traced {
    serde_json::from_str(payload).unwrap_or_default()
}
