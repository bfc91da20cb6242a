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
    /// The client's key, freed so that the request may be tried again.
    pub key: Option<IdempotencyKey>,
    /// The order or payment that the key was reserved for.
    pub subject: Uuid,
}

impl BatchStatement for ScheduleRollbacks {
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
        "with failed as materialized (
             select * from unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[], $5::int[], $6::text[],
                 $7::text[],
                                  $8::uuid[], $9::text[], $10::uuid[])
                 as r (id, tag, key, payload, max_attempts, armed_tag, armed_key, actor, client_key, subject)
         ), due as (
             insert into queue.job as j (id, tag, key, payload, max_attempts, run_at)
             select id, tag, key, payload, max_attempts, now() from failed order by tag, key
             on conflict (tag, key) do update set run_at = excluded.run_at
                 where j.lease_token is null and j.run_at > excluded.run_at
         ), replaced as (
             delete from queue.job where lease_token is null and id = any(array(
                 select j.id from failed r
                 cross join lateral (select id from queue.job where tag = r.armed_tag
                     and key = r.armed_key offset 0) as j
                 where r.armed_tag <> r.tag))
         )
         delete from idempotency i using failed r
         where i.actor = r.actor and i.key = r.client_key and i.subject = r.subject",
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
    )
    .execute(conn)
    .await
    .map(drop)
}
