//! Idempotency keys: the same key and body get the first response again.
//!
//! The first writing step of a saga reserves the key for its subject. A booking's and a payment's last
//! step writes the order, and the response is rebuilt from it
//! ([`orders::rebuild_response`](crate::orders::rebuild_response)). Other changes store theirs under the
//! key, in their own transaction. A key whose request died half way is free again after [`STALE`]; one
//! whose step failed is freed by scheduling the rollback.

mod change_id;
mod save;
pub mod transaction;

pub use change_id::{ChangeId, Effect};
pub use save::{NewResponse, SaveResponses, save, save_batched};

use crate::{
    batch::ConflictKey,
    domain::{Error, RiderId},
    limits::Limits,
};
use chrono::Duration;
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use std::fmt;
use uuid::Uuid;

/// After this time a running request is assumed to be dead. Longer than any request may run, and than an
/// armed undo waits.
pub const STALE: Duration = Duration::seconds(60);

/// The HTTP status of what does not exist.
const NOT_FOUND: u16 = 404;

/// A client's key, with what it was used for.
#[derive(Clone)]
pub struct IdempotencyKey {
    /// Whose key it is: keys of different riders are never the same.
    pub actor: RiderId,
    /// The header's text, 1 to 200 characters.
    pub key: String,
    /// A keyed digest over method, path and body as they were understood.
    pub fingerprint: Vec<u8>,
    /// The digests under which other keys of the server, and earlier versions, stored the request.
    pub others: Vec<Vec<u8>>,
    /// Bounds the refusals that are stored; none for operators.
    pub bounded_by: Option<Limits>,
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyKey").field("actor", &self.actor).field("key", &self.key).finish()
    }
}

impl IdempotencyKey {
    /// Whether a stored digest is this request's.
    fn is_of(&self, fingerprint: &[u8]) -> bool {
        std::iter::once(&self.fingerprint).chain(&self.others).any(|own| own == fingerprint)
    }

    /// Whether a refusal with this status is stored. A request for what does not exist has cost and
    /// changed nothing, and its repetition is refused alike; so is one beyond the bound of stored
    /// refusals, unless its cause is gone. Stored, they would let anybody fill the disk.
    pub fn stores_refusal(&self, status: u16) -> bool {
        let Some(limits) = &self.bounded_by else { return true };
        status != NOT_FOUND && limits.may_store_refusal(self.actor)
    }

    /// Two requests with one key are not put into one statement.
    pub fn conflict_key(&self) -> ConflictKey {
        ConflictKey::Key(self.actor.0, self.key.clone())
    }
}

/// What a key holds.
#[derive(Debug)]
pub enum StoredResponse {
    /// The response that this request has just stored; send it.
    Own,
    /// The response to an earlier request; send it instead.
    Earlier {
        /// Its HTTP status.
        status: u16,
        /// Its body.
        body: Value,
    },
    /// No response, but an earlier request reserved the key for this subject: it still runs, or what it
    /// did for the subject is the response.
    Reserved(Uuid),
    /// An earlier request with this key still runs.
    Running,
    /// The key was used with another body.
    OtherBody,
}

/// What the key holds, if anything.
///
/// # Errors
/// The database's.
pub async fn load(
    db: impl PgExecutor<'_>,
    key: &IdempotencyKey,
) -> Result<Option<StoredResponse>, sqlx::Error> {
    let row = sqlx::query!(
        "select fingerprint, subject, status, body from idempotency where actor = $1 and key = $2",
        key.actor.0,
        key.key
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| match (row.status, row.body) {
        _ if !key.is_of(&row.fingerprint) => StoredResponse::OtherBody,
        (Some(status), Some(body)) => StoredResponse::Earlier { status: status.unsigned_abs(), body },
        _ => StoredResponse::Reserved(row.subject),
    }))
}

/// Deletes responses older than this many hours, at most `batch`; returns how many. Their keys are then
/// free, as if they had never been used.
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

/// Reserves the key in the caller's transaction, for a saga whose first step is not one statement.
///
/// # Errors
/// `KeyTaken` if another request has it: the caller rolls its transaction back; the database's.
pub async fn reserve(
    conn: &mut PgConnection,
    key: Option<&IdempotencyKey>,
    subject: Uuid,
) -> Result<(), Error> {
    let Some(key) = key else { return Ok(()) };
    let reserved = sqlx::query!(
        "insert into idempotency as i (actor, key, fingerprint, subject) values ($1, $2, $3, $4)
         on conflict (actor, key) do update set subject = excluded.subject, started_at = now()
             where i.fingerprint = excluded.fingerprint and key_is_abandoned(i.status, i.started_at,
                 i.subject, $5)",
        key.actor.0,
        key.key,
        key.fingerprint,
        subject,
        stale_secs()
    )
    .execute(conn)
    .await?;
    if reserved.rows_affected() == 1 { Ok(()) } else { Err(Error::KeyTaken) }
}

/// Stores the response under the key in the caller's transaction, reserving the key if `subject` has not yet.
///
/// # Errors
/// `KeyTaken` if another request has it: the caller rolls its transaction back; the database's.
pub async fn save_in(
    conn: &mut PgConnection,
    key: Option<&IdempotencyKey>,
    subject: Uuid,
    status: i16,
    body: &Value,
) -> Result<(), Error> {
    let Some(key) = key else { return Ok(()) };
    let reserved = sqlx::query!(
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
    if reserved.rows_affected() == 1 { Ok(()) } else { Err(Error::KeyTaken) }
}
