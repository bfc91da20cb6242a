//! Raising a rollback: the failed step's undo becomes due now.

use super::{SagaContext, SagaError};
use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    idempotency::IdempotencyKey,
};
use farebox_jobs::{MqTag, queue::NewJob};
use serde_json::value::RawValue;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

/// What a failed flow owes.
pub struct Rollback {
    /// The failed tag's typed job.
    pub undo: NewJob,
    /// The undo that an earlier step armed and that `undo` replaces, as (tag, key).
    pub replaces: Option<(&'static str, String)>,
    /// The client's key, freed so that the request may be tried again.
    pub key: Option<IdempotencyKey>,
    /// The order or payment the key was taken for.
    pub subject: Uuid,
}

/// Where the rollback stands when the client is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RollbackStatus {
    /// In the queue, due now.
    Queued,
    /// It could not be sent. What the steps armed when they committed falls due by itself.
    Armed,
}

impl RollbackStatus {
    /// The word for it in an answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Armed => "armed",
        }
    }
}

/// A flow's end: what it brought, or why it stopped; after a failure also where its rollback stands.
pub type SagaResult<T> = Result<T, (SagaError, Option<RollbackStatus>)>;

/// Ends a flow: a failed step raises its tag's rollback, which `owed` knows.
///
/// # Errors
/// Why the flow stopped.
pub async fn or_roll_back<T>(
    saga: &SagaContext,
    ended: Result<T, SagaError>,
    owed: impl FnOnce(MqTag) -> Rollback,
) -> SagaResult<T> {
    match ended {
        Ok(done) => Ok(done),
        Err(SagaError::Failed(failure)) => {
            let raised = Box::pin(raise(saga, owed(failure.tag))).await;
            Err((SagaError::Failed(failure), Some(raised)))
        }
        Err(stop) => Err((stop, None)),
    }
}

/// Makes the undo due now. That this may fail, or be dropped with its process, is no danger: see [`RollbackStatus::Armed`].
async fn raise(saga: &SagaContext, rollback: Rollback) -> RollbackStatus {
    let (tag, key) = (rollback.undo.tag, rollback.undo.key.clone());
    match saga.batchers.ask::<Raises>(rollback).await {
        Ok(()) => {
            saga.notifier.ring();
            RollbackStatus::Queued
        }
        Err(error) => {
            tracing::warn!(tag, key, %error, "rollback not sent; the armed undo will fall due");
            RollbackStatus::Armed
        }
    }
}

/// The statement, for any number of failed flows: one that is broken often breaks for many.
struct Raises;

impl BatchStatement for Raises {
    type BatchContext = BatchContext;
    type Ask = Rollback;
    type Answer = ();

    fn shared(rollback: &Rollback) -> Vec<ConflictKey> {
        let job = ConflictKey::Job(rollback.undo.tag, rollback.undo.key.clone());
        rollback.key.iter().map(IdempotencyKey::shared).chain([job]).collect()
    }

    async fn ask_all(ground: &BatchContext, rollbacks: &[Rollback]) -> Result<Vec<()>, sqlx::Error> {
        let mut db = ground.db.take().await?;
        raise_all(&mut db, rollbacks).await?;
        db.keep();
        Ok(vec![(); rollbacks.len()])
    }
}

async fn raise_all(db: &mut PgConnection, rollbacks: &[Rollback]) -> Result<(), sqlx::Error> {
    let undos = || rollbacks.iter().map(|rollback| &rollback.undo);
    let armed = || rollbacks.iter().map(|rollback| rollback.replaces.as_ref());
    let keys = || rollbacks.iter().map(|rollback| rollback.key.as_ref());
    sqlx::query!(
        "with raised as materialized (
             select * from unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[], $5::int[], $6::text[], $7::text[],
                                  $8::uuid[], $9::text[], $10::uuid[])
                 as r(id, tag, key, payload, max_attempts, armed_tag, armed_key, actor, client_key, subject)
         ), due as (
             insert into queue.job as j (id, tag, key, payload, max_attempts, run_at)
             select id, tag, key, payload, max_attempts, now() from raised order by tag, key
             on conflict (tag, key) do update set run_at = excluded.run_at
                 where j.lease_token is null and j.run_at > excluded.run_at
         ), replaced as (
             delete from queue.job where lease_token is null and id = any(array(
                 select j.id from raised r
                 cross join lateral (select id from queue.job where tag = r.armed_tag and key = r.armed_key offset 0) as j
                 where r.armed_tag <> r.tag))
         )
         delete from idempotency i using raised r
         where i.actor = r.actor and i.key = r.client_key and i.subject = r.subject",
        &undos().map(|undo| undo.id).collect::<Vec<_>>(),
        &undos().map(|undo| undo.tag.to_owned()).collect::<Vec<_>>(),
        &undos().map(|undo| undo.key.clone()).collect::<Vec<_>>(),
        &undos().map(NewJob::json).collect::<Vec<_>>() as &[Json<&RawValue>],
        &undos().map(|undo| undo.max_attempts).collect::<Vec<_>>(),
        &armed().map(|armed| armed.map(|(tag, _)| (*tag).to_owned())).collect::<Vec<_>>() as &[Option<String>],
        &armed().map(|armed| armed.map(|(_, key)| key.clone())).collect::<Vec<_>>() as &[Option<String>],
        &keys().map(|key| key.map(|key| key.actor.0)).collect::<Vec<_>>() as &[Option<Uuid>],
        &keys().map(|key| key.map(|key| key.key.clone())).collect::<Vec<_>>() as &[Option<String>],
        &rollbacks.iter().map(|rollback| rollback.subject).collect::<Vec<_>>(),
    )
    .execute(db)
    .await
    .map(drop)
}
