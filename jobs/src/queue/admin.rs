//! What people do with the queue: look, try again, call off, pause. Every act is one statement, keeps who and why, and
//! leaves a running attempt alone.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// Jobs one [`redrive`] moves at the most.
pub const REDRIVE_MAX: i64 = 1_000;
/// Jobs of one tag and state that are counted; there may be more.
pub const COUNT_MAX: i64 = 10_000;

/// A job wherever it is: live, finished, or a dead letter.
#[derive(Clone, Debug)]
pub struct JobView {
    /// Its id.
    pub id: Uuid,
    /// Its tag.
    pub tag: String,
    /// Its key.
    pub key: String,
    /// `ready`, `delayed`, `running`, `done`, `dead` or `cancelled`.
    pub state: String,
    /// Attempts begun.
    pub attempt: i32,
    /// Attempts before it is given up; of a finished job, those it took.
    pub max_attempts: i32,
    /// When it is, or was, due.
    pub run_at: DateTime<Utc>,
    /// As enqueued.
    pub payload: Value,
    /// The failed attempts, oldest first: `{attempt, worker, started_at, ended_at, error}`.
    pub attempts: Value,
    /// How it ended: the handler's note, or the reason it was given up for.
    pub note: Option<String>,
    /// Who runs it, or ran it last.
    pub worker: Option<String>,
}

/// Which jobs.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Of this tag.
    pub tag: Option<String>,
    /// In this state.
    pub state: Option<String>,
    /// With this key.
    pub key: Option<String>,
    /// Older than this one.
    pub after: Option<Uuid>,
}

/// What became of a job that somebody wanted to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is changed.
    Yes,
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
    /// Due and not running, counted up to [`COUNT_MAX`].
    pub ready: i64,
    /// Not yet due, counted up to [`COUNT_MAX`].
    pub delayed: i64,
    /// Running.
    pub running: i64,
    /// Dead letters, counted up to [`COUNT_MAX`].
    pub dead: i64,
    /// How long the longest due has waited, seconds.
    pub oldest_ready_secs: Option<f64>,
    /// Whether workers leave it alone.
    pub paused: bool,
}

/// A page of jobs, newest first.
///
/// # Errors
/// The database's.
pub async fn list(
    db: impl PgExecutor<'_>,
    filter: &JobFilter,
    limit: i64,
) -> Result<Vec<JobView>, sqlx::Error> {
    sqlx::query_as!(
        JobView,
        r#"with live as (
               select id, tag, key,
                      case when lease_token is not null then 'running' when run_at > now() then 'delayed'
                           else 'ready' end as state,
                      attempt, max_attempts, run_at, payload, failures, null::text as note, worker
               from queue.job
           ), ended as (
               select id, tag, key, outcome as state, attempt, attempt as max_attempts, run_at, payload, failures, note,
                      worker
               from queue.finished
           ), dead as (
               select id, tag, key, 'dead' as state, attempt, max_attempts, run_at, payload, failures, reason as note,
                      null::text as worker
               from queue.dead_letter
           )
           select id as "id!", tag as "tag!", key as "key!", state as "state!", attempt as "attempt!",
                  max_attempts as "max_attempts!", run_at as "run_at!", payload as "payload!",
                  failures as "attempts!", note, worker
           from (
               (select * from live where ($1::text is null or tag = $1) and ($2::text is null or state = $2)
                    and ($3::text is null or key = $3) and ($4::uuid is null or id < $4) order by id desc limit $5)
               union all
               (select * from ended where ($1::text is null or tag = $1) and ($2::text is null or state = $2)
                    and ($3::text is null or key = $3) and ($4::uuid is null or id < $4) order by id desc limit $5)
               union all
               (select * from dead where ($1::text is null or tag = $1) and ($2::text is null or state = $2)
                    and ($3::text is null or key = $3) and ($4::uuid is null or id < $4) order by id desc limit $5)
           ) as any_job order by id desc limit $5"#,
        filter.tag,
        filter.state,
        filter.key,
        filter.after,
        limit
    )
    .fetch_all(db)
    .await
}

/// One job. Of a job that ended and was enqueued again under its id, the live one.
///
/// # Errors
/// The database's.
pub async fn find(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<JobView>, sqlx::Error> {
    sqlx::query_as!(
        JobView,
        r#"select id as "id!", tag as "tag!", key as "key!", state as "state!", attempt as "attempt!",
                  max_attempts as "max_attempts!", run_at as "run_at!", payload as "payload!",
                  failures as "attempts!", note, worker
           from (
               select 1 as rank, id, tag, key,
                      case when lease_token is not null then 'running' when run_at > now() then 'delayed'
                           else 'ready' end as state,
                      attempt, max_attempts, run_at, payload, failures, null::text as note, worker
               from queue.job where id = $1
               union all
               select 2, id, tag, key, 'dead', attempt, max_attempts, run_at, payload, failures, reason, null
               from queue.dead_letter where id = $1
               union all
               (select 3, id, tag, key, outcome, attempt, attempt, run_at, payload, failures, note, worker
                from queue.finished where id = $1 order by ended_at desc limit 1)
           ) as any_job order by rank limit 1"#,
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
    if revive(&mut *conn, &[id]).await? == 1 {
        return Ok(Changed::Yes);
    }
    busy_or_gone(conn, id).await
}

/// Brings dead letters of a tag back to life, the oldest first, [`REDRIVE_MAX`] at the most; those whose key is taken
/// by a live job stay where they are. Returns how many.
///
/// # Errors
/// The database's.
pub async fn redrive(conn: &mut PgConnection, tag: &str, reason: Option<&str>) -> Result<u64, sqlx::Error> {
    let dead = sqlx::query_scalar!(
        "select id from queue.dead_letter d
         where tag = $1 and ($2::text is null or reason = $2)
           and not exists (select from queue.job j where j.tag = d.tag and j.key = d.key)
         order by id limit $3",
        tag,
        reason,
        REDRIVE_MAX
    )
    .fetch_all(&mut *conn)
    .await?;
    revive(conn, &dead).await
}

/// Moves dead letters back to the live table: the row is moved, never copied, so none can live twice.
async fn revive(conn: &mut PgConnection, ids: &[Uuid]) -> Result<u64, sqlx::Error> {
    let revived = sqlx::query_scalar!(
        r#"with chosen as materialized (
               select * from queue.dead_letter where id = any($1) order by id for update skip locked
           ), alive as (
               insert into queue.job (id, tag, key, payload, max_attempts, failures, created_at)
               select id, tag, key, payload, max_attempts, failures, created_at from chosen
               on conflict do nothing
               returning id
           ), gone as (
               delete from queue.dead_letter where id in (select id from alive)
           ), ping as (select pg_notify('farebox_jobs', '') from alive limit 1)
           select count(*) + 0 * (select count(*) from ping) as "revived!" from alive"#,
        ids
    )
    .fetch_one(conn)
    .await?;
    Ok(revived.unsigned_abs())
}

/// Calls off a job that waits; it ends as `cancelled` with the note. What it would have done stays undone: that is the
/// caller's to know.
///
/// # Errors
/// The database's.
pub async fn cancel(conn: &mut PgConnection, id: Uuid, note: &str) -> Result<Changed, sqlx::Error> {
    let called_off = sqlx::query!(
        "with gone as (delete from queue.job where id = $1 and lease_token is null returning *)
         insert into queue.finished (id, tag, key, payload, outcome, attempt, note, failures, run_at, created_at, ended_at)
         select id, tag, key, payload, 'cancelled', attempt, $2, failures, run_at, created_at, clock_timestamp() from gone",
        id,
        note
    )
    .execute(&mut *conn)
    .await?;
    if called_off.rows_affected() == 1 { Ok(Changed::Yes) } else { busy_or_gone(conn, id).await }
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

/// The numbers of these tags, in their order. Counts are bounded, so that a huge backlog costs no more to look at.
///
/// # Errors
/// The database's.
pub async fn queues(db: impl PgExecutor<'_>, tags: &[String]) -> Result<Vec<QueueView>, sqlx::Error> {
    sqlx::query_as!(
        QueueView,
        r#"select t.tag as "tag!",
                  (select count(*) from (select from queue.job j where j.tag = t.tag and j.run_at <= now()
                       and j.lease_token is null limit $2) r) as "ready!",
                  (select count(*) from (select from queue.job j where j.tag = t.tag and j.run_at > now()
                       limit $2) d) as "delayed!",
                  (select count(*) from (select from queue.job j where j.tag = t.tag and j.run_at <= now()
                       and j.lease_token is not null limit $2) l) as "running!",
                  (select count(*) from (select from queue.dead_letter d where d.tag = t.tag limit $2) d) as "dead!",
                  (select extract(epoch from now() - min(o.run_at))::float8 from (
                       select run_at from queue.job j where j.tag = t.tag and j.lease_token is null and j.run_at <= now()
                       order by run_at limit 1) o) as oldest_ready_secs,
                  exists(select from queue.paused p where p.tag = t.tag) as "paused!"
           from unnest($1::text[]) with ordinality as t (tag, nr) order by t.nr"#,
        tags,
        COUNT_MAX
    )
    .fetch_all(db)
    .await
}
