//! Idempotency keys: the same key and body get the first answer again.
//!
//! The first writing step of a flow takes the key for its subject. A booking's and a payment's last step writes the order, and that
//! is the answer ([`orders::told`](crate::orders::told)); other changes write theirs under the key, in their own transaction.
//! A key whose request died half way is free again after [`STALE`]; one whose step failed is freed by raising the rollback.

pub mod transaction;

use crate::{
    batch::{BatchContext, BatchStatement, ConflictKey},
    domain::Error,
    saga::SagaContext,
};
use crate::{domain::RiderId, storage::again};
use chrono::Duration;
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

/// After so long a running request is taken for dead. Longer than any request may run and than an armed undo waits.
pub const STALE: Duration = Duration::seconds(60);

/// A client's key, with what it was used for.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    /// Whose key it is: keys of different riders never meet.
    pub actor: RiderId,
    /// The header's text, 1 to 200 characters.
    pub key: String,
    /// A keyed digest over method, path and body as they were understood.
    pub fingerprint: Vec<u8>,
    /// The same over their bytes as they were sent, which versions before migration 0022 kept. It goes when no key is kept that an
    /// upgrade found (`idempotency.retention_hours`).
    pub as_sent: Vec<u8>,
}

impl IdempotencyKey {
    /// Whether a kept digest is this request's.
    fn is_of(&self, fingerprint: &[u8]) -> bool {
        fingerprint == self.fingerprint || fingerprint == self.as_sent
    }

    /// Two requests with one key are not put into one statement.
    pub fn shared(&self) -> ConflictKey {
        ConflictKey::Key(self.actor.0, self.key.clone())
    }
}

/// What became of an answer that was to be kept under a key.
#[derive(Debug)]
pub enum Kept {
    /// It is kept; give it.
    Ours,
    /// An earlier request was answered so; give that.
    Earlier {
        /// Its HTTP status.
        status: u16,
        /// Its body.
        body: Value,
    },
    /// An earlier request took this key and wrote no answer: it still runs, or what it did for this subject is the answer.
    Begun(Uuid),
    /// An earlier request with this key still runs.
    Running,
    /// The key was used with another body.
    OtherBody,
}

/// An answer to be kept.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Under which key.
    pub key: IdempotencyKey,
    /// What the key was taken for.
    pub subject: Uuid,
    /// Its HTTP status.
    pub status: u16,
    /// Its body.
    pub body: Value,
}

/// Keeps the answer unless an earlier request with its key was first.
///
/// # Errors
/// The database's.
pub async fn keep(pool: &PgPool, answer: Answer) -> Result<Kept, sqlx::Error> {
    let ours = keep_all(&mut *pool.acquire().await?, std::slice::from_ref(&answer)).await?;
    of_whom(pool, &answer.key, ours == [true]).await
}

/// The same, together with whoever keeps one meanwhile: when many want the last seats, most are refused at once.
///
/// # Errors
/// The database's.
pub async fn keep_together(saga: &SagaContext, answer: Answer) -> Result<Kept, sqlx::Error> {
    let key = answer.key.clone();
    let ours = saga.batchers.ask::<Keeps>(answer).await?;
    of_whom(&saga.pool, &key, ours).await
}

async fn of_whom(pool: &PgPool, key: &IdempotencyKey, ours: bool) -> Result<Kept, sqlx::Error> {
    if ours { Ok(Kept::Ours) } else { Ok(again(|| load(pool, key)).await?.unwrap_or(Kept::Running)) }
}

/// The statement, for any number of answers.
struct Keeps;

impl BatchStatement for Keeps {
    type BatchContext = BatchContext;
    type Ask = Answer;
    /// Whether it was kept.
    type Answer = bool;

    fn shared(answer: &Answer) -> Vec<ConflictKey> {
        vec![answer.key.shared()]
    }

    async fn ask_all(ground: &BatchContext, answers: &[Answer]) -> Result<Vec<bool>, sqlx::Error> {
        let mut db = ground.db.take().await?;
        let kept = keep_all(&mut db, answers).await?;
        db.keep();
        Ok(kept)
    }
}

async fn keep_all(db: &mut PgConnection, answers: &[Answer]) -> Result<Vec<bool>, sqlx::Error> {
    let ours = sqlx::query_scalar!(
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
        &answers.iter().map(|a| a.key.actor.0).collect::<Vec<_>>(),
        &answers.iter().map(|a| a.key.key.clone()).collect::<Vec<_>>(),
        &answers.iter().map(|a| a.key.fingerprint.clone()).collect::<Vec<_>>(),
        &answers.iter().map(|a| a.subject).collect::<Vec<_>>(),
        &answers.iter().map(|a| i16::try_from(a.status).unwrap_or(i16::MAX)).collect::<Vec<_>>(),
        &answers.iter().map(|a| a.body.clone()).collect::<Vec<_>>(),
        stale_secs()
    )
    .fetch_all(db)
    .await?;
    Ok(answers.iter().map(|answer| ours.contains(&answer.subject)).collect())
}

/// What the key holds, if anything.
///
/// # Errors
/// The database's.
pub async fn load(db: impl PgExecutor<'_>, key: &IdempotencyKey) -> Result<Option<Kept>, sqlx::Error> {
    let row = sqlx::query!(
        "select fingerprint, subject, status, body from idempotency where actor = $1 and key = $2",
        key.actor.0,
        key.key
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| match (row.status, row.body) {
        _ if !key.is_of(&row.fingerprint) => Kept::OtherBody,
        (Some(status), Some(body)) => Kept::Earlier { status: status.unsigned_abs(), body },
        _ => Kept::Begun(row.subject),
    }))
}

/// Deletes answers older than this many hours, `batch` at the most; returns how many. A key is then free, as if it had
/// never been used.
///
/// # Errors
/// The database's.
pub async fn prune(db: impl PgExecutor<'_>, hours: i32, batch: u32) -> Result<u64, sqlx::Error> {
    let pruned = sqlx::query!(
        "delete from idempotency where (actor, key) in (
             select actor, key from idempotency where started_at < now() - make_interval(hours => $1)
             order by started_at limit $2 for update skip locked)",
        hours,
        i64::from(batch)
    )
    .execute(db)
    .await?;
    Ok(pruned.rows_affected())
}

/// [`STALE`] in seconds, for SQL.
pub fn stale_secs() -> f64 {
    STALE.as_seconds_f64()
}

/// Takes the key in the caller's transaction, for a flow whose first step is not one statement.
///
/// # Errors
/// `KeyTaken` if another request has it: the caller gives up his transaction; the database's.
pub async fn take(conn: &mut PgConnection, key: Option<&IdempotencyKey>, subject: Uuid) -> Result<(), Error> {
    let Some(key) = key else { return Ok(()) };
    let ours = sqlx::query!(
        "insert into idempotency as i (actor, key, fingerprint, subject) values ($1, $2, $3, $4)
         on conflict (actor, key) do update set subject = excluded.subject, started_at = now()
             where i.fingerprint = excluded.fingerprint and key_is_abandoned(i.status, i.started_at, i.subject, $5)",
        key.actor.0,
        key.key,
        key.fingerprint,
        subject,
        stale_secs()
    )
    .execute(conn)
    .await?;
    if ours.rows_affected() == 1 { Ok(()) } else { Err(Error::KeyTaken) }
}

/// Writes the answer under the key in the caller's transaction, taking the key if `subject` has not yet.
///
/// # Errors
/// `KeyTaken` if another request has it: the caller gives up his transaction; the database's.
pub async fn answer(
    conn: &mut PgConnection,
    key: Option<&IdempotencyKey>,
    subject: Uuid,
    status: i16,
    body: &Value,
) -> Result<(), Error> {
    let Some(key) = key else { return Ok(()) };
    let ours = sqlx::query!(
        "insert into idempotency as i (actor, key, fingerprint, subject, status, body)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (actor, key) do update set status = excluded.status, body = excluded.body
             where i.subject = excluded.subject and i.status is null",
        key.actor.0,
        key.key,
        key.fingerprint,
        subject,
        status,
        body
    )
    .execute(conn)
    .await?;
    if ours.rows_affected() == 1 { Ok(()) } else { Err(Error::KeyTaken) }
}
