//! What the queue shows: jobs, tags, workers, minutes.

use crate::Priority;
use crate::QueueConnection;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Jobs of one tag and state that are counted; there may be more.
pub const COUNT_MAX: i64 = 1_000;
/// Live jobs that failed that are counted, of all tags; there may be more.
pub const FAILED_MAX: i64 = 20_000;

/// A job wherever it is: live, finished, or a dead letter.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct JobView {
    /// Its id.
    pub id: Uuid,
    /// Its tag.
    pub tag: String,
    /// Its key.
    pub key: String,
    /// `ready`, `delayed`, `retrying` (its last attempt failed, and it waits for the next),
    /// `running`, `done`, `dead` or `cancelled`.
    pub state: String,
    /// The rank of its priority, 0 before 1 before 2; not kept of a finished job.
    pub priority: Option<i16>,
    /// Its concurrency key; not kept of a finished job.
    pub concurrency_key: Option<String>,
    /// Attempts begun.
    pub attempt: i32,
    /// Attempts before it is given up; of a finished job, those it took.
    pub max_attempts: i32,
    /// When it is, or was, due.
    pub run_at: DateTime<Utc>,
    /// When it first fell due, if `run_at` is that of a later attempt; not kept of a finished job.
    pub first_due_at: Option<DateTime<Utc>>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When its attempt began, or its last one if it is done.
    pub started_at: Option<DateTime<Utc>>,
    /// Of a running job: when its lease ends, unless its worker renews it. It is then anybody's.
    pub lease_until: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// As enqueued.
    pub payload: Value,
    /// The failed attempts, oldest first: `{attempt, worker, started_at, ended_at, trace_id,
    /// error}`.
    pub attempts: Value,
    /// How it ended: the handler's note, or the reason it was given up for. Of a running job: why
    /// it is to end.
    pub note: Option<String>,
    /// The worker that runs it, or ran it last.
    pub worker: Option<String>,
    /// A short name for its last error, the same whatever order, number or time the error speaks
    /// of.
    pub fingerprint: Option<String>,
}

impl JobView {
    /// What its last failed attempt said.
    pub fn last_error(&self) -> Option<&str> {
        self.attempts.as_array()?.last()?.get("error")?.as_str()
    }

    /// When it is tried again, if it failed and waits for that.
    pub fn next_attempt_at(&self) -> Option<DateTime<Utc>> {
        (self.state == "retrying").then_some(self.run_at)
    }

    /// How many of its attempts have failed since it was enqueued or redriven.
    pub fn failures(&self) -> i32 {
        match self.state.as_str() {
            "retrying" | "dead" => self.attempt,
            "running" => (self.attempt - 1).max(0),
            _ => 0,
        }
    }
}

/// One tag's numbers.
#[derive(Clone, Debug)]
pub struct QueueView {
    /// The tag.
    pub tag: String,
    /// Due and not running, among the [`COUNT_MAX`] of each priority that are due longest; without
    /// those that failed.
    pub ready: i64,
    /// Not yet due, counted up to [`COUNT_MAX`]; without those that failed.
    pub delayed: i64,
    /// Failed and waiting for their next attempt, due or not, among [`FAILED_MAX`] of all tags.
    pub retrying: i64,
    /// The most failed attempts of one live job whose last one failed, among the same.
    pub most_failures: i32,
    /// Running, among the same.
    pub running: i64,
    /// Dead letters, counted up to [`COUNT_MAX`].
    pub dead: i64,
    /// How long the longest due has waited, seconds.
    pub oldest_ready_secs: Option<f64>,
    /// How long ago the first of its jobs fell due that are not done, seconds; whether it runs,
    /// failed or was put off since.
    pub oldest_due_secs: Option<f64>,
    /// Whether workers leave it alone.
    pub paused: bool,
    /// Jobs done in the last hour, from the roll-ups.
    pub done_last_hour: i64,
    /// Attempts failed in the last hour, dead letters included, from the roll-ups.
    pub failed_last_hour: i64,
}

/// One worker.
#[derive(Clone, Debug)]
pub struct WorkerView {
    /// Unique for each start.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The machine.
    pub host: String,
    /// The process there.
    pub pid: i32,
    /// The build.
    pub build: String,
    /// What it works for.
    pub tags: Vec<String>,
    /// How many attempts it runs at a time.
    pub slots: i32,
    /// Jobs it held at its last heartbeat.
    pub held: i32,
    /// `working`, `draining`, or `missing`: no heartbeat for longer than its leases last.
    pub state: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Its last heartbeat.
    pub last_seen_at: DateTime<Utc>,
}

/// One job. Of a job that ended and was enqueued again under its id, the live one.
pub async fn find(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<JobView>, sqlx::Error> {
    sqlx::query_as!(
        JobView,
        r#"select id as "id!", tag as "tag!", key as "key!", state as "state!", priority, concurrency_key,
                  attempt as "attempt!", max_attempts as "max_attempts!", run_at as "run_at!",
                  created_at as "created_at!", started_at,
                  (select l.lease_until from queue.job l where l.id = $1 and rank = 1) as lease_until,
                  first_due_at, ended_at, payload as "payload!", failures as "attempts!",
                  note, worker, queue.fingerprint(failures -> -1 ->> 'error') as fingerprint
           from queue.any_job where id = $1 order by rank, ended_at desc limit 1"#,
        id
    )
    .fetch_optional(db)
    .await
}

/// Where a worker stands among all: it never moves, and stays a place when the worker is gone. As a
/// text `micros.id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerCursor {
    started_micros: i64,
    id: String,
}

impl From<&WorkerView> for WorkerCursor {
    fn from(worker: &WorkerView) -> Self {
        Self { started_micros: worker.started_at.timestamp_micros(), id: worker.id.clone() }
    }
}

impl fmt::Display for WorkerCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.started_micros, self.id)
    }
}

impl FromStr for WorkerCursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (micros, id) = text.split_once('.').filter(|(_, id)| !id.is_empty()).ok_or(())?;
        Ok(Self { started_micros: micros.parse().map_err(drop)?, id: id.to_owned() })
    }
}

/// The workers, those that went missing included; the newest first. At most `limit`, those that
/// come after this place.
pub async fn workers(
    db: impl PgExecutor<'_>,
    after: Option<&WorkerCursor>,
    limit: i64,
) -> Result<Vec<WorkerView>, sqlx::Error> {
    sqlx::query_as!(
        WorkerView,
        r#"select id, name, host, pid, build, tags, slots, held,
                  case when last_seen_at < now() - make_interval(secs => lease_secs)
                      then 'missing' else state end
                      as "state!",
                  started_at, last_seen_at
           from queue.worker
           where $2::bigint is null or ((extract(epoch from started_at) * 1000000)::bigint, id)
               < ($2, $3::text)
           order by started_at desc, id desc limit $1"#,
        limit,
        after.map(|after| after.started_micros),
        after.map(|after| after.id.as_str()),
    )
    .fetch_all(db)
    .await
}

/// How many live workers work for each of these tags, in their order. One that drains takes no more
/// jobs and is not counted.
pub async fn workers_by_tag(db: impl PgExecutor<'_>, tags: &[String]) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select (select count(*) from queue.worker w
                   where t.tag = any(w.tags) and w.state = 'working'
                     and w.last_seen_at >= now() - make_interval(secs => w.lease_secs)) as "workers!"
           from unnest($1::text[]) with ordinality as t (tag, nr) order by t.nr"#,
        tags
    )
    .fetch_all(db)
    .await
}

/// The numbers of these tags, in their order. Counts are bounded, so that a huge backlog costs no
/// more to look at.
pub async fn queues(db: impl PgExecutor<'_>, tags: &[String]) -> Result<Vec<QueueView>, sqlx::Error> {
    sqlx::query_as!(
        QueueView,
        r#"select t.tag as "tag!",
                  due.ready as "ready!",
                  (select count(*) from (select from unnest($3::smallint[]) p, queue.job j where j.tag = t.tag
                       and j.priority = p and j.run_at > now()
                           and (j.attempt <= j.snoozed_attempt or j.failures = '[]')
                       limit $2) d)
                      as "delayed!",
                  coalesce(f.retrying, 0) as "retrying!", coalesce(f.most_failures, 0) as "most_failures!",
                  due.running as "running!",
                  (select count(*) from (select from queue.dead_letter d
                      where d.tag = t.tag limit $2) d) as "dead!",
                  (select extract(epoch from now() - min(o.run_at))::float8
                   from unnest($3::smallint[]) p cross join lateral (
                       select run_at from queue.job j where j.tag = t.tag and j.priority = p
                           and j.lease_token is null
                       and j.run_at <= now() order by run_at limit 1) o) as oldest_ready_secs,
                  extract(epoch from now() - least((
                      select j.first_due_at from queue.job j where j.tag = t.tag
                          and j.first_due_at is not null
                      order by j.first_due_at limit 1), (
                      select min(o.run_at) from unnest($3::smallint[]) p cross join lateral (
                          select run_at from queue.job j where j.tag = t.tag and j.priority = p
                              and j.run_at <= now()
                          order by run_at limit 1) o)))::float8 as oldest_due_secs,
                  exists(select from queue.paused p where p.tag = t.tag) as "paused!",
                  coalesce(h.done, 0)::bigint as "done_last_hour!",
                      coalesce(h.failed, 0)::bigint as "failed_last_hour!"
           from unnest($1::text[]) with ordinality as t (tag, nr)
           cross join lateral (
               select count(*) filter (where j.lease_token is null
                   and (j.attempt <= j.snoozed_attempt or j.failures = '[]'))
                          as ready,
                      count(j.lease_token) as running
               from unnest($3::smallint[]) p cross join lateral (
                   select lease_token, attempt, snoozed_attempt, failures from queue.job
                   where tag = t.tag and priority = p and run_at <= now()
                   order by run_at limit $2) j
           ) due
           left join (
               select tag, count(*) filter (where lease_token is null) as retrying,
                   max(failures) as most_failures
               from (select tag, lease_token, snoozed_attempt,
                            attempt - case when lease_token is null then 0 else 1 end as failures
                     from queue.job where first_due_at is not null and failures <> '[]' limit $4) failed
               where failures > snoozed_attempt
               group by tag
           ) f using (tag)
           left join (
               select tag, sum(done) as done, sum(failed + dead) as failed
               from queue.tally where minute > now() - interval '1 hour' group by tag
           ) h using (tag)
           order by t.nr"#,
        tags,
        COUNT_MAX,
        &Priority::ALL.map(Priority::rank),
        FAILED_MAX
    )
    .fetch_all(db)
    .await
}

/// The minutes since `since`, oldest first.
pub async fn minutes(
    conn: &mut (impl QueueConnection + ?Sized),
    tag: &str,
    since: DateTime<Utc>,
) -> Result<Vec<Minute>, sqlx::Error> {
    sqlx::query_as!(
        Minute,
        "select minute, done, failed, dead, cancelled, rescued, lost, run_secs, pickup, lateness, run
         from queue.tally where tag = $1 and minute >= $2 order by minute limit 1440",
        tag,
        since
    )
    .fetch_all(conn.on_queue())
    .await
}

/// What ended in a minute, of one tag.
#[derive(Clone, Debug)]
pub struct Minute {
    /// Its beginning.
    pub minute: DateTime<Utc>,
    /// Jobs done.
    pub done: i64,
    /// Attempts that failed and are made again.
    pub failed: i64,
    /// Jobs given up.
    pub dead: i64,
    /// Jobs cancelled while they ran.
    pub cancelled: i64,
    /// Claims of jobs whose attempt had gone without a word.
    pub rescued: i64,
    /// Attempts that lost their lease.
    pub lost: i64,
    /// How long all attempts took, seconds.
    pub run_secs: f64,
    /// Waits by bucket ([`BOUNDS`](super::BOUNDS)).
    pub pickup: Vec<i64>,
    /// Waits of delayed jobs by bucket.
    pub lateness: Vec<i64>,
    /// Run times by bucket.
    pub run: Vec<i64>,
}
