//! Moving jobs from the tables of `apalis-sql` 0.7 and `apalis-postgres` 1.0 into the queue.
//!
//! Both keep their jobs in `apalis.jobs`; 0.7 has payloads as `jsonb`, 1.0 as bytes of a codec, by
//! default JSON. A batch is one transaction that inserts here and deletes there, so an import can
//! be stopped at any moment and started again: no job is moved twice, and none is lost. Workers of
//! either kind may run meanwhile.

use crate::{QueueConfig, begin_with};
use chrono::{DateTime, Utc};
use serde_json::{Value, value::RawValue};
use sqlx::{AssertSqlSafe, FromRow, PgConnection, PgExecutor, PgPool, types::Json};
use uuid::Uuid;

/// The longest key that the queue takes, in characters.
const MAX_KEY: usize = 200;

/// Begins the transaction of a batch, with the bound of a wait for another one's jobs.
const BEGIN: &str = "begin; set local lock_timeout = '10s'";

/// What to import.
#[derive(Clone, Debug)]
pub struct ApalisImport {
    /// The `job_type` of the jobs in `apalis.jobs`: the queue of `apalis-postgres`, the namespace
    /// of `apalis-sql`.
    pub job_type: String,
    /// Their tag here.
    pub tag: String,
    /// The queue that they move to.
    pub queue: QueueConfig,
    /// How many jobs one transaction moves.
    pub batch: u32,
}

impl ApalisImport {
    /// Jobs of this type, under this tag, 500 in a transaction.
    pub fn new(job_type: &str, tag: &str) -> Self {
        Self { job_type: job_type.to_owned(), tag: tag.to_owned(), queue: QueueConfig::default(), batch: 500 }
    }
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Jobs that were moved.
    pub moved: u64,
    /// Ids of jobs that stay in `apalis.jobs`, because their payload is not JSON that PostgreSQL
    /// can hold.
    pub unreadable: Vec<String>,
    /// Ids of jobs that stay in `apalis.jobs`, because a live job of the queue has their tag and
    /// key.
    pub taken: Vec<String>,
}

/// A job as it lies in `apalis.jobs`.
#[derive(Debug, FromRow)]
struct Foreign {
    id: String,
    payload: Vec<u8>,
    attempts: i32,
    max_attempts: i32,
    run_at: DateTime<Utc>,
    priority: i32,
    idempotency_key: Option<String>,
}

impl Foreign {
    /// Its key here: its idempotency key, or its id.
    fn key(&self) -> &str {
        let given = self.idempotency_key.as_deref();
        given.filter(|key| (1..=MAX_KEY).contains(&key.chars().count())).unwrap_or(&self.id)
    }

    /// The rank of its priority: apalis runs greater numbers first.
    fn rank(&self) -> i16 {
        1 - i16::try_from(self.priority.signum()).unwrap_or(0)
    }

    fn json(&self) -> Option<Box<RawValue>> {
        let _: Value = serde_json::from_slice(&self.payload).ok()?;
        let raw: Box<RawValue> = serde_json::from_slice(&self.payload).ok()?;
        // The one character that `jsonb` refuses.
        (!raw.get().contains("\\u0000")).then_some(raw)
    }
}

/// Moves the jobs that wait or are scheduled: those that are pending, or failed and have attempts
/// left. What runs or has ended stays. A moved job keeps its due time and the attempts that it has
/// left. Its key is its idempotency key, or else its id.
///
/// Jobs that their worker has fetched but not begun count as running: stop the workers of a type
/// before its last import.
///
/// # Errors
/// The database's; among them that there is no `apalis.jobs`, and that another transaction keeps a
/// job locked for 10 s. What was moved by then stays moved.
pub async fn from_apalis(pool: &PgPool, import: &ApalisImport) -> Result<Imported, sqlx::Error> {
    let select = select_statement(&mut *pool.acquire().await?, import.batch).await?;
    let mut imported = Imported::default();
    let mut after = String::new();
    loop {
        let mut tx = begin_with(pool, BEGIN).await?;
        let jobs: Vec<Foreign> = sqlx::query_as(AssertSqlSafe(select.clone()))
            .bind(&import.job_type)
            .bind(&after)
            .fetch_all(&mut *tx)
            .await?;
        let Some(last) = jobs.last() else { return Ok(imported) };
        after.clone_from(&last.id);
        let (readable, unreadable): (Vec<_>, Vec<_>) =
            jobs.into_iter().map(|job| (job.json(), job)).partition(|(json, _)| json.is_some());
        let moved = move_batch(import.queue.on(&mut *tx), &import.tag, &readable).await?;
        tx.commit().await?;
        imported.moved += moved.len() as u64;
        imported.unreadable.extend(unreadable.into_iter().map(|(_, job)| job.id));
        let ids = readable.into_iter().map(|(_, job)| job.id);
        imported.taken.extend(ids.filter(|id| !moved.contains(id)));
    }
}

/// The two versions differ in the payload's type and in their columns.
async fn select_statement(conn: &mut PgConnection, batch: u32) -> Result<String, sqlx::Error> {
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select column_name::text, data_type::text from information_schema.columns
         where table_schema = 'apalis' and table_name = 'jobs'",
    )
    .fetch_all(conn)
    .await?;
    let has = |name: &str| columns.iter().any(|(column, _)| column == name);
    let is_bytes = columns.iter().any(|(column, kind)| column == "job" && kind == "bytea");
    let payload = if is_bytes { "job" } else { "convert_to(job::text, 'UTF8')" };
    let priority = if has("priority") { "coalesce(priority, 0)" } else { "0" };
    let idempotency_key = if has("idempotency_key") { "idempotency_key" } else { "null::text" };
    // A locked job is waited for, never passed over: the batch of an import that was stopped may still be
    // rolling back, and this import would end without its jobs.
    Ok(format!(
        "select id, {payload} as payload, attempts, max_attempts, run_at, {priority} as priority,
                {idempotency_key} as idempotency_key
         from apalis.jobs
         where job_type = $1 and id > $2
           and (status = 'Pending' or (status = 'Failed' and attempts < max_attempts))
         order by id limit {batch} for update"
    ))
}

/// Inserts these jobs and deletes those that were inserted. Returns the ids of the deleted.
async fn move_batch(
    db: impl PgExecutor<'_>,
    tag: &str,
    jobs: &[(Option<Box<RawValue>>, Foreign)],
) -> Result<Vec<String>, sqlx::Error> {
    let of = |value: fn(&Foreign) -> String| jobs.iter().map(|(_, job)| value(job)).collect::<Vec<_>>();
    let payloads: Vec<Option<Json<&RawValue>>> =
        jobs.iter().map(|(json, _)| json.as_deref().map(Json)).collect();
    sqlx::query_scalar(
        "with given as (
             select * from unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[], $5::integer[],
                                  $6::smallint[], $7::timestamptz[])
                 as g (id, foreign_id, key, payload, max_attempts, priority, run_at)
         ), inserted as (
             insert into queue.job (id, tag, key, payload, max_attempts, priority, run_at)
             select id, $8, key, payload, max_attempts, priority, run_at from given order by key
             on conflict do nothing
             returning id
         )
         delete from apalis.jobs using given
         where jobs.id = given.foreign_id and given.id in (select id from inserted)
         returning jobs.id",
    )
    .bind(jobs.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
    .bind(of(|job| job.id.clone()))
    .bind(of(|job| job.key().to_owned()))
    .bind(payloads)
    .bind(jobs.iter().map(|(_, job)| (job.max_attempts - job.attempts).max(1)).collect::<Vec<_>>())
    .bind(jobs.iter().map(|(_, job)| job.rank()).collect::<Vec<_>>())
    .bind(jobs.iter().map(|(_, job)| job.run_at).collect::<Vec<_>>())
    .bind(tag)
    .fetch_all(db)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(payload: &str, priority: i32, idempotency_key: Option<&str>) -> Foreign {
        Foreign {
            id: "01J".to_owned(),
            payload: payload.as_bytes().to_vec(),
            attempts: 0,
            max_attempts: 5,
            run_at: Utc::now(),
            priority,
            idempotency_key: idempotency_key.map(str::to_owned),
        }
    }

    #[test]
    fn greater_priorities_go_first() {
        let ranks = [7, 0, -7].map(|priority| foreign("{}", priority, None).rank());
        assert_eq!(ranks, [0, 1, 2]);
    }

    #[test]
    fn a_key_that_is_too_long_gives_way_to_the_id() {
        assert_eq!(foreign("{}", 0, Some("order 7")).key(), "order 7");
        assert_eq!(foreign("{}", 0, Some(&"x".repeat(MAX_KEY + 1))).key(), "01J");
        assert_eq!(foreign("{}", 0, None).key(), "01J");
    }

    #[test]
    fn only_json_that_the_database_holds_is_readable() {
        assert_eq!(foreign("{\"to\": \"ann\"}", 0, None).json().expect("JSON").get(), "{\"to\": \"ann\"}");
        assert!(foreign("\u{1}\u{2}", 0, None).json().is_none());
        assert!(foreign("\"a\\u0000b\"", 0, None).json().is_none());
    }
}
