//! Schedules the rollbacks of failed sagas, in one statement for any number of them: a step that is broken
//! often fails for many.

use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    idempotency::IdempotencyKey,
};
use farebox_jobs::queue::NewJob;
use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

/// The statement.
pub struct ScheduleRollbacks;

/// The rollback of one failed saga.
pub struct Rollback {
    /// The failed tag's typed job.
    pub undo: NewJob,
    /// The undo that an earlier step armed and that `undo` replaces, as (tag, key).
    pub replaces: Option<(&'static str, String)>,
    /// The client's key, freed so that the request may be tried again. None if the undo may carry the request
    /// to its end.
    pub key: Option<IdempotencyKey>,
    /// The order or payment that the key was reserved for.
    pub subject: Uuid,
    /// What went wrong, for the order's story: at most [`LONGEST_ERROR_CHARS`] characters.
    pub error: String,
}

/// Longest error that is kept with an undo, characters: a chain of causes fits.
const LONGEST_ERROR_CHARS: usize = 1_000;

impl Rollback {
    /// Keeps the error. The database stores no NUL characters.
    pub fn after(mut self, error: &str) -> Self {
        self.error = error.chars().filter(|c| *c != '\0').take(LONGEST_ERROR_CHARS).collect();
        self
    }
}

impl BatchStatement for ScheduleRollbacks {
    const NAME: &'static str = "schedule_rollbacks";
    type Context = BatchContext;
    type Request = Rollback;
    type Output = ();

    fn conflict_keys(rollback: &Rollback) -> Vec<ConflictKey> {
        let job = ConflictKey::Job(rollback.undo.tag, rollback.undo.key.clone());
        rollback.key.iter().map(IdempotencyKey::conflict_key).chain([job]).collect()
    }

    async fn execute(context: &BatchContext, batch: &[Rollback]) -> Result<Vec<()>, sqlx::Error> {
        let mut conn = context.connections.acquire().await?;
        schedule(&mut conn, batch).await?;
        conn.release();
        Ok(vec![(); batch.len()])
    }
}

async fn schedule(conn: &mut PgConnection, batch: &[Rollback]) -> Result<(), sqlx::Error> {
    let undos = || batch.iter().map(|rollback| &rollback.undo);
    let armed = || batch.iter().map(|rollback| rollback.replaces.as_ref());
    let keys = || batch.iter().map(|rollback| rollback.key.as_ref());
    sqlx::query!(
        r#"with failed as materialized (
               select r.*, jsonb_strip_nulls(jsonb_build_object('at', clock_timestamp(), 'error', error,
                                                                'key', client_key)) as failure
               from unnest($2::text[], $3::text[], $4::jsonb[], $6::text[], $7::text[], $8::uuid[], $9::text[],
                           $10::uuid[], $11::text[]) with ordinality
                   as r (tag, key, payload, armed_tag, armed_key, actor, client_key, subject, error, nr)
           ), freed as (
               delete from idempotency i using failed r
               where i.actor = r.actor and i.key = r.client_key and i.subject = r.subject
           ), due as materialized (
               select queue.enqueue_or_expedite($1::uuid[], $2::text[], $3::text[], array(
                   select payload || jsonb_build_object('failed', failure) from failed order by nr
               ), $5::int[])
           ), kept as materialized (
               -- An undo that the failed step armed keeps its payload, and gets the failure here.
               select keep_failures($2::text[], $3::text[], array(select failure from failed order by nr))
               from due
           ), retired as materialized (
               -- A call for each tag, of which there are few. The queue's functions have snapshots of
               -- their own, later than this statement's: an undo that an earlier step armed a moment
               -- ago is replaced, too.
               select queue.retire(armed_tag, array_agg(armed_key)) from failed
               where armed_tag <> tag group by armed_tag
           )
           -- The functions are called because their results are read here.
           select (select count(*) from kept) as "due!", (select count(*) from retired) as "retired!""#,
        &undos().map(|undo| undo.id).collect::<Vec<_>>(),
        &undos().map(|undo| undo.tag.to_owned()).collect::<Vec<_>>(),
        &undos().map(|undo| undo.key.clone()).collect::<Vec<_>>(),
        &undos().map(NewJob::json).collect::<Vec<_>>() as &[Json<&RawValue>],
        &undos().map(|undo| undo.max_attempts).collect::<Vec<_>>(),
        &armed().map(|armed| armed.map(|(tag, _)| (*tag).to_owned())).collect::<Vec<_>>()
            as &[Option<String>],
        &armed().map(|armed| armed.map(|(_, key)| key.clone())).collect::<Vec<_>>() as &[Option<String>],
        &keys().map(|key| key.map(|key| key.actor.0)).collect::<Vec<_>>() as &[Option<Uuid>],
        &keys().map(|key| key.map(|key| key.key.clone())).collect::<Vec<_>>() as &[Option<String>],
        &batch.iter().map(|rollback| rollback.subject).collect::<Vec<_>>(),
        &batch.iter().map(|rollback| rollback.error.clone()).collect::<Vec<_>>(),
    )
    .fetch_one(conn)
    .await
    .map(drop)
}
