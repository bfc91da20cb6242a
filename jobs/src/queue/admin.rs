//! What people do with the queue: look, try again, call off, pause, drain. Every act is one statement, keeps who and why,
//! and leaves a running attempt alone; cancelling asks it to end.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use std::{fmt, str::FromStr, time::Duration};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::Priority;

pub use super::{
    many,
    search::{Among, ErrorCursor, ErrorGroup, JobFilter, Place, errors, first_id, ids, list},
    upkeep::{Minute, minutes},
};

/// Jobs one [`redrive`] moves at the most.
pub const REDRIVE_MAX: i64 = 1_000;
/// Jobs of one tag and state that are counted; there may be more.
pub const COUNT_MAX: i64 = 1_000;
/// Live jobs that failed that are counted, of all tags; there may be more.
pub const FAILED_MAX: i64 = 20_000;
/// Jobs that are due longest, of each priority, among which those that run are looked for before a tag counts as drained.
const DRAINED_OF: i64 = 10_000;
/// How often a job that begins or ends at this moment is looked at again before it is left alone.
const LOOKS: usize = 5;
/// How often [`drain`] looks.
const DRAIN_LOOK: Duration = Duration::from_millis(100);

/// A job wherever it is: live, finished, or a dead letter.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct JobView {
    /// Its id.
    pub id: Uuid,
    /// Its tag.
    pub tag: String,
    /// Its key.
    pub key: String,
    /// `ready`, `delayed`, `retrying` (its last attempt failed, and it waits for the next), `running`, `done`, `dead` or
    /// `cancelled`.
    pub state: String,
    /// The rank of its priority, 0 before 1 before 2; not kept of a finished job.
    pub priority: Option<i16>,
    /// Its serial key; not kept of a finished job.
    pub serial: Option<String>,
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
    /// The failed attempts, oldest first: `{attempt, worker, started_at, ended_at, trace_id, error}`.
    pub attempts: Value,
    /// How it ended: the handler's note, or the reason it was given up for. Of a running job: why it is to end.
    pub note: Option<String>,
    /// Who runs it, or ran it last.
    pub worker: Option<String>,
    /// A short name for its last error, the same whatever order, number or time the error speaks of.
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

/// Which dead letters; all that is given must fit.
#[derive(Clone, Debug, Default)]
pub struct DeadFilter {
    /// Of this tag.
    pub tag: Option<String>,
    /// Given up for this reason.
    pub reason: Option<String>,
    /// Whose last error contains this.
    pub error: Option<String>,
    /// Given up since then.
    pub since: Option<DateTime<Utc>>,
    /// Given up before then.
    pub before: Option<DateTime<Utc>>,
}

/// A job, by its id or by its key.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// By id.
    Id(Uuid),
    /// By tag and key: the live one.
    Key(&'a str, &'a str),
}

/// What became of a job that somebody wanted to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is changed.
    Yes,
    /// It runs: its attempt has been asked to end. It ends as cancelled, unless it is done before it heeds that.
    Asked,
    /// An attempt is running, or its key is taken by a live job: nothing was changed.
    Busy,
    /// It has ended, or there is no such job: nothing was changed.
    Gone,
}

/// One tag's numbers.
#[derive(Clone, Debug)]
pub struct QueueView {
    /// The tag.
    pub tag: String,
    /// Due and not running, among the [`COUNT_MAX`] of each priority that are due longest; without those that failed.
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
    /// How long ago the first of its jobs fell due that are not done, seconds; whether it runs, failed or was put off since.
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
    /// Jobs it held at its last sign of life.
    pub held: i32,
    /// `working`, `draining`, or `missing`: no sign of life for longer than its leases last.
    pub state: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Its last sign of life.
    pub last_seen_at: DateTime<Utc>,
}

/// One job. Of a job that ended and was enqueued again under its id, the live one.
///
/// # Errors
/// The database's.
pub async fn find(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<JobView>, sqlx::Error> {
    sqlx::query_as!(
        JobView,
        r#"select id as "id!", tag as "tag!", key as "key!", state as "state!", priority, serial,
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

/// Makes a job that waits due now, or brings a dead letter back to life with fresh attempts.
///
/// # Errors
/// The database's.
pub async fn retry(conn: &mut PgConnection, id: Uuid) -> Result<Changed, sqlx::Error> {
    let waiting = sqlx::query_scalar!(
        r#"with moved as (
               update queue.job set run_at = least(run_at, now()) where id = $1 and lease_token is null returning id
           ), ping as (select pg_notify('farebox_jobs', '') from moved)
           select (select count(*) from ping) > 0 as "moved!""#,
        id
    )
    .fetch_one(&mut *conn)
    .await?;
    if waiting {
        return Ok(Changed::Yes);
    }
    if !revive(&mut *conn, &[id]).await?.is_empty() {
        return Ok(Changed::Yes);
    }
    busy_or_gone(conn, id).await
}

/// Puts a job that waits off until then, or brings it forward to then.
///
/// # Errors
/// The database's.
pub async fn snooze(conn: &mut PgConnection, id: Uuid, until: DateTime<Utc>) -> Result<Changed, sqlx::Error> {
    let moved =
        // Whoever was due already is owed since then.
        sqlx::query!(
            "update queue.job
             set run_at = $2, first_due_at = coalesce(first_due_at, case when run_at <= now() then run_at end)
             where id = $1 and lease_token is null",
            id,
            until
        )
        .execute(&mut *conn)
        .await?;
    if moved.rows_affected() == 1 {
        return Ok(Changed::Yes);
    }
    busy_or_gone(conn, id).await
}

/// Brings dead letters back to life, the oldest first, [`REDRIVE_MAX`] at the most; those whose key is taken by a live job
/// stay where they are. Returns how many.
///
/// # Errors
/// The database's.
pub async fn redrive(conn: &mut PgConnection, which: &DeadFilter) -> Result<u64, sqlx::Error> {
    let dead = sqlx::query_scalar!(
        "select id from queue.dead_letter d
         where ($1::text is null or tag = $1) and ($2::text is null or reason = $2)
           and ($3::text is null or strpos(failures->-1->>'error', $3) > 0)
           and ($4::timestamptz is null or died_at >= $4) and ($5::timestamptz is null or died_at < $5)
           and not exists (select from queue.job j where j.tag = d.tag and j.key = d.key)
         order by id limit $6",
        which.tag,
        which.reason,
        which.error,
        which.since,
        which.before,
        REDRIVE_MAX
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(revive(conn, &dead).await?.len() as u64)
}

/// Moves dead letters back to the live table: the row is moved, never copied, so none can live twice.
pub(super) async fn revive(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"with chosen as materialized (
               select * from queue.dead_letter where id = any($1) order by id for update skip locked
           ), alive as (
               insert into queue.job
                   (id, tag, key, payload, priority, serial, max_attempts, failures, created_at, first_due_at)
               select id, tag, key, payload, priority, serial, max_attempts, failures, created_at,
                      coalesce(first_due_at, run_at)
               from chosen
               on conflict do nothing
               returning id
           ), gone as (
               delete from queue.dead_letter where id in (select id from alive)
           ), ping as (select pg_notify('farebox_jobs', '') from alive limit 1)
           select id as "id!" from alive where (select count(*) from ping) >= 0"#,
        ids
    )
    .fetch_all(conn)
    .await
}

/// Calls off a live job, in the caller's transaction. One that waits ends as `cancelled` with the note; one that runs is
/// asked to end ([`Changed::Asked`]), and its worker hears of it when the transaction commits, or at its next sign of life
/// if it only polls. What the job would have done stays undone: that is the caller's to know.
///
/// # Errors
/// The database's.
pub async fn cancel(conn: &mut PgConnection, which: Which<'_>, note: &str) -> Result<Changed, sqlx::Error> {
    for _ in 0..LOOKS {
        let Some(id) = locked(conn, which).await? else { return Ok(Changed::Gone) };
        let changed = many::cancel(conn, &[id], note).await?;
        if let Some(done @ (Changed::Yes | Changed::Asked)) = changed.first() {
            return Ok(*done);
        }
        // Without a transaction nothing held it: it began or ended in between.
    }
    Ok(Changed::Busy)
}

/// The live job, once nobody else holds its row; the caller's transaction holds it then.
async fn locked(conn: &mut PgConnection, which: Which<'_>) -> Result<Option<Uuid>, sqlx::Error> {
    match which {
        Which::Id(id) => {
            sqlx::query_scalar!("select id from queue.job where id = $1 for update", id)
                .fetch_optional(conn)
                .await
        }
        Which::Key(tag, key) => {
            sqlx::query_scalar!("select id from queue.job where tag = $1 and key = $2 for update", tag, key)
                .fetch_optional(conn)
                .await
        }
    }
}

async fn busy_or_gone(conn: &mut PgConnection, id: Uuid) -> Result<Changed, sqlx::Error> {
    let there = sqlx::query_scalar!(
        r#"select exists(select from queue.job where id = $1)
               or exists(select from queue.dead_letter where id = $1) as "there!""#,
        id
    )
    .fetch_one(conn)
    .await?;
    Ok(if there { Changed::Busy } else { Changed::Gone })
}

/// Makes workers leave a tag's jobs alone; running ones end. A second pause keeps the first's reason.
///
/// # Errors
/// The database's.
pub async fn pause(db: impl PgExecutor<'_>, tag: &str, by: &str, reason: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into queue.paused (tag, paused_by, reason) values ($1, $2, $3) on conflict (tag) do nothing",
        tag,
        by,
        reason
    )
    .execute(db)
    .await
    .map(drop)
}

/// Lets workers have a tag's jobs again, at once.
///
/// # Errors
/// The database's.
pub async fn resume(db: impl PgExecutor<'_>, tag: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"with resumed as (delete from queue.paused where tag = $1 returning tag)
           select pg_notify('farebox_jobs', '') from resumed"#,
        tag
    )
    .fetch_optional(db)
    .await
    .map(drop)
}

/// Pauses a tag and waits until none of its attempts runs, for `wait` at the most. Returns how many still run.
///
/// # Errors
/// The database's.
pub async fn drain(
    conn: &mut PgConnection,
    tag: &str,
    by: &str,
    reason: &str,
    wait: Duration,
) -> Result<i64, sqlx::Error> {
    pause(&mut *conn, tag, by, reason).await?;
    wait_until_drained(conn, tag, wait).await
}

/// Waits until none of a paused tag's attempts runs, for `wait` at the most. Returns how many still run.
///
/// # Errors
/// The database's.
pub async fn wait_until_drained(
    conn: &mut PgConnection,
    tag: &str,
    wait: Duration,
) -> Result<i64, sqlx::Error> {
    let until = Instant::now() + wait;
    loop {
        let running = sqlx::query_scalar!(
            r#"select count(j.lease_token) as "running!"
               from unnest($2::smallint[]) p cross join lateral (
                   select lease_token from queue.job where tag = $1 and priority = p and run_at <= now()
                   order by run_at limit $3) j"#,
            tag,
            &Priority::ALL.map(Priority::rank),
            DRAINED_OF
        )
        .fetch_one(&mut *conn)
        .await?;
        if running == 0 || Instant::now() >= until {
            return Ok(running);
        }
        sleep(DRAIN_LOOK).await;
    }
}

/// Where a worker stands among all: it never moves, and stays a place when the worker is gone. As a text `micros.id`.
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

/// The workers, those that went missing included; the newest first. At most `limit`, those that come after this place.
///
/// # Errors
/// The database's.
pub async fn workers(
    db: impl PgExecutor<'_>,
    after: Option<&WorkerCursor>,
    limit: i64,
) -> Result<Vec<WorkerView>, sqlx::Error> {
    sqlx::query_as!(
        WorkerView,
        r#"select id, name, host, pid, build, tags, slots, held,
                  case when last_seen_at < now() - make_interval(secs => lease_secs) then 'missing' else state end
                      as "state!",
                  started_at, last_seen_at
           from queue.worker
           where $2::bigint is null or ((extract(epoch from started_at) * 1000000)::bigint, id) < ($2, $3::text)
           order by started_at desc, id desc limit $1"#,
        limit,
        after.map(|after| after.started_micros),
        after.map(|after| after.id.as_str()),
    )
    .fetch_all(db)
    .await
}

/// The numbers of these tags, in their order. Counts are bounded, so that a huge backlog costs no more to look at.
///
/// # Errors
/// The database's.
pub async fn queues(db: impl PgExecutor<'_>, tags: &[String]) -> Result<Vec<QueueView>, sqlx::Error> {
    sqlx::query_as!(
        QueueView,
        r#"select t.tag as "tag!",
                  due.ready as "ready!",
                  (select count(*) from (select from unnest($3::smallint[]) p, queue.job j where j.tag = t.tag
                       and j.priority = p and j.run_at > now() and (j.attempt <= j.snoozed_attempt or j.failures = '[]')
                       limit $2) d)
                      as "delayed!",
                  coalesce(f.retrying, 0) as "retrying!", coalesce(f.most_failures, 0) as "most_failures!",
                  due.running as "running!",
                  (select count(*) from (select from queue.dead_letter d where d.tag = t.tag limit $2) d) as "dead!",
                  (select extract(epoch from now() - min(o.run_at))::float8
                   from unnest($3::smallint[]) p cross join lateral (
                       select run_at from queue.job j where j.tag = t.tag and j.priority = p and j.lease_token is null
                       and j.run_at <= now() order by run_at limit 1) o) as oldest_ready_secs,
                  extract(epoch from now() - least((
                      select j.first_due_at from queue.job j where j.tag = t.tag and j.first_due_at is not null
                      order by j.first_due_at limit 1), (
                      select min(o.run_at) from unnest($3::smallint[]) p cross join lateral (
                          select run_at from queue.job j where j.tag = t.tag and j.priority = p and j.run_at <= now()
                          order by run_at limit 1) o)))::float8 as oldest_due_secs,
                  exists(select from queue.paused p where p.tag = t.tag) as "paused!",
                  coalesce(h.done, 0)::bigint as "done_last_hour!", coalesce(h.failed, 0)::bigint as "failed_last_hour!"
           from unnest($1::text[]) with ordinality as t (tag, nr)
           cross join lateral (
               select count(*) filter (where j.lease_token is null and (j.attempt <= j.snoozed_attempt or j.failures = '[]'))
                          as ready,
                      count(j.lease_token) as running
               from unnest($3::smallint[]) p cross join lateral (
                   select lease_token, attempt, snoozed_attempt, failures from queue.job
                   where tag = t.tag and priority = p and run_at <= now()
                   order by run_at limit $2) j
           ) due
           left join (
               select tag, count(*) filter (where lease_token is null) as retrying, max(failures) as most_failures
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
