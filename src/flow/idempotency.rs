//! Idempotency keys: the same key and body get the first answer again.
//!
//! The first writing step of a flow takes the key and its last one writes the answer, each in the step's own
//! statement. A key whose request died half way is free again after [`STALE`]; one whose step failed is freed by
//! raising the rollback.

use super::{Shared, StepError};
use crate::domain::RiderId;
use chrono::Duration;
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
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
    /// SHA-256 over method, path and body.
    pub fingerprint: Vec<u8>,
}

impl IdempotencyKey {
    /// Two requests with one key are not put into one statement.
    pub fn shared(&self) -> Shared {
        Shared::Key(self.actor.0, self.key.clone())
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
    /// An earlier request with this key still runs.
    Running,
    /// The key was used with another body.
    OtherBody,
}

/// Keeps `answer` under the key unless an earlier request was first.
///
/// # Errors
/// The database's.
pub async fn keep(
    db: impl PgExecutor<'_> + Copy,
    key: &IdempotencyKey,
    subject: Uuid,
    status: u16,
    body: &Value,
) -> Result<Kept, sqlx::Error> {
    let ours = sqlx::query_scalar!(
        "insert into idempotency as i (actor, key, fingerprint, subject, status, body)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (actor, key) do update set status = excluded.status, body = excluded.body
             where i.status is null and i.fingerprint = excluded.fingerprint
               and (i.subject = excluded.subject or i.started_at < now() - make_interval(secs => $7))
         returning true",
        key.actor.0,
        key.key,
        key.fingerprint,
        subject,
        i16::try_from(status).unwrap_or(i16::MAX),
        body,
        stale_secs()
    )
    .fetch_optional(db)
    .await?;
    if ours.is_some() { Ok(Kept::Ours) } else { Ok(load(db, key).await?.unwrap_or(Kept::Running)) }
}

/// What the key holds, if anything.
///
/// # Errors
/// The database's.
pub async fn load(db: impl PgExecutor<'_>, key: &IdempotencyKey) -> Result<Option<Kept>, sqlx::Error> {
    let row = sqlx::query!(
        "select fingerprint, status, body from idempotency where actor = $1 and key = $2",
        key.actor.0,
        key.key
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| match (row.status, row.body) {
        _ if row.fingerprint != key.fingerprint => Kept::OtherBody,
        (Some(status), Some(body)) => Kept::Earlier { status: status.unsigned_abs(), body },
        _ => Kept::Running,
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
pub async fn take(
    conn: &mut PgConnection,
    key: Option<&IdempotencyKey>,
    subject: Uuid,
) -> Result<(), StepError> {
    let Some(key) = key else { return Ok(()) };
    let ours = sqlx::query!(
        "insert into idempotency as i (actor, key, fingerprint, subject) values ($1, $2, $3, $4)
         on conflict (actor, key) do update set subject = excluded.subject, started_at = now()
             where i.status is null and i.fingerprint = excluded.fingerprint
               and i.started_at < now() - make_interval(secs => $5)",
        key.actor.0,
        key.key,
        key.fingerprint,
        subject,
        stale_secs()
    )
    .execute(conn)
    .await?;
    if ours.rows_affected() == 1 { Ok(()) } else { Err(StepError::KeyTaken) }
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
) -> Result<(), StepError> {
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
    if ours.rows_affected() == 1 { Ok(()) } else { Err(StepError::KeyTaken) }
}
