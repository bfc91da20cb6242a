//! Storing responses, alone or in a batch.

use super::{IdempotencyKey, StoredResponse, load, stale_secs};
use crate::{
    batch::{BatchContext, BatchStatement, Batcher, ConflictKey},
    storage::again,
};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// A response to be stored.
#[derive(Clone, Debug)]
pub struct NewResponse {
    /// Under which key.
    pub key: IdempotencyKey,
    /// What the key was reserved for.
    pub subject: Uuid,
    /// Its HTTP status.
    pub status: u16,
    /// Its body.
    pub body: Value,
}

/// Stores the response unless an earlier request has its key.
///
/// # Errors
/// The database's.
pub async fn save(pool: &PgPool, response: NewResponse) -> Result<StoredResponse, sqlx::Error> {
    let saved = insert(&mut *pool.acquire().await?, std::slice::from_ref(&response)).await?;
    stored(pool, &response.key, saved == [true]).await
}

/// The same, in one statement with other requests: when many want the last seats, most are refused at once.
///
/// # Errors
/// The database's.
pub async fn save_batched(
    batcher: &Batcher<SaveResponses>,
    pool: &PgPool,
    response: NewResponse,
) -> Result<StoredResponse, sqlx::Error> {
    let key = response.key.clone();
    let is_saved = batcher.submit(response).await?;
    stored(pool, &key, is_saved).await
}

async fn stored(pool: &PgPool, key: &IdempotencyKey, is_own: bool) -> Result<StoredResponse, sqlx::Error> {
    if is_own {
        return Ok(StoredResponse::Own);
    }
    Ok(again(|| load(pool, key)).await?.unwrap_or(StoredResponse::Running))
}

/// The statement, for any number of responses.
pub struct SaveResponses;

impl BatchStatement for SaveResponses {
    const NAME: &'static str = "save_responses";
    type Context = BatchContext;
    type Request = NewResponse;
    /// Whether it was stored.
    type Output = bool;

    fn conflict_keys(response: &NewResponse) -> Vec<ConflictKey> {
        vec![response.key.conflict_key()]
    }

    async fn execute(context: &BatchContext, batch: &[NewResponse]) -> Result<Vec<bool>, sqlx::Error> {
        let mut conn = context.connections.acquire().await?;
        let saved = insert(&mut conn, batch).await?;
        conn.release();
        Ok(saved)
    }
}

async fn insert(conn: &mut PgConnection, batch: &[NewResponse]) -> Result<Vec<bool>, sqlx::Error> {
    let saved = sqlx::query_scalar!(
        "insert into idempotency as i (actor, key, fingerprint, subject, status, body)
         select * from unnest($1::uuid[], $2::text[], $3::bytea[], $4::uuid[], $5::smallint[], $6::jsonb[])
                           as r(actor, key, fingerprint, subject, status, body)
         order by actor, key
         on conflict (actor, key) do update
             set subject = excluded.subject, status = excluded.status, body = excluded.body
             where i.fingerprint = excluded.fingerprint
               and (i.subject = excluded.subject and i.status is null
                    or key_is_abandoned(i.status, i.started_at, i.subject, $7))
         returning subject",
        &batch.iter().map(|r| r.key.actor.0).collect::<Vec<_>>(),
        &batch.iter().map(|r| r.key.key.clone()).collect::<Vec<_>>(),
        &batch.iter().map(|r| r.key.fingerprint.clone()).collect::<Vec<_>>(),
        &batch.iter().map(|r| r.subject).collect::<Vec<_>>(),
        &batch.iter().map(|r| i16::try_from(r.status).unwrap_or(i16::MAX)).collect::<Vec<_>>(),
        &batch.iter().map(|r| r.body.clone()).collect::<Vec<_>>(),
        stale_secs()
    )
    .fetch_all(conn)
    .await?;
    Ok(batch.iter().map(|response| saved.contains(&response.subject)).collect())
}
