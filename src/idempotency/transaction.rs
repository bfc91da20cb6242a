//! A change that is one transaction, done once for a client's key: the key is reserved, the change made
//! and the response stored in the same transaction. A crash leaves all of it or nothing; a repeated
//! request waits for the first and gets its response.
//!
//! Safe to drop at every await: before the commit nothing has happened, in it all or nothing, and after
//! it the key has the response.

use super::{IdempotencyKey, NewResponse, StoredResponse};
use crate::{
    domain::Error,
    idempotency,
    storage::{self, again},
};
use serde_json::Value;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

/// The transaction of a change whose key this request has reserved (or that has none).
pub struct IdempotentTransaction {
    pool: PgPool,
    tx: Transaction<'static, Postgres>,
    key: Option<IdempotencyKey>,
    attempt: Uuid,
}

/// A change that is committed, and whose response is still to come.
pub struct ResponsePending {
    pool: PgPool,
    key: Option<IdempotencyKey>,
    attempt: Uuid,
}

/// How a change begins.
pub enum BeginOutcome {
    /// This request makes the change.
    Started(IdempotentTransaction),
    /// An earlier request has the key.
    Earlier(StoredResponse),
}

impl IdempotentTransaction {
    /// Begins, and reserves the key. Waits for an earlier request with this key that is about to commit,
    /// at most for the lock timeout.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin(pool: &PgPool, key: Option<&IdempotencyKey>) -> Result<BeginOutcome, Error> {
        let attempt = Uuid::now_v7();
        let mut tx = storage::begin(pool).await?;
        let reserved = idempotency::reserve(&mut tx, key, attempt).await;
        match (reserved, key) {
            (Ok(()), _) => {
                Ok(BeginOutcome::Started(Self { pool: pool.clone(), tx, key: key.cloned(), attempt }))
            }
            (Err(Error::KeyTaken), Some(key)) => {
                tx.rollback().await?;
                Ok(BeginOutcome::Earlier(
                    idempotency::load(pool, key).await?.unwrap_or(StoredResponse::Running),
                ))
            }
            (Err(Error::Broken(cause)), _) if is_lock_timeout(&*cause) => {
                Ok(BeginOutcome::Earlier(StoredResponse::Running))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Where the change is made.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Stores the response under the key and commits it with the change.
    ///
    /// # Errors
    /// The database's; whether it committed may then be unknown, and the same key shows it.
    pub async fn respond(mut self, status: u16, body: &Value) -> Result<(), Error> {
        let status = i16::try_from(status).unwrap_or(i16::MAX);
        idempotency::save_in(&mut self.tx, self.key.as_ref(), self.attempt, status, body).await?;
        Ok(self.tx.commit().await?)
    }

    /// Rolls everything back and stores a refusal under the key, unless another request reserved it first,
    /// or [`IdempotencyKey::stores_refusal`] says no: then the key is as if it had never been used.
    ///
    /// # Errors
    /// The database's.
    pub async fn refuse(self, status: u16, body: &Value) -> Result<StoredResponse, sqlx::Error> {
        let Self { pool, tx, key, attempt } = self;
        tx.rollback().await?;
        if key.as_ref().is_some_and(|key| !key.stores_refusal(status)) {
            return Ok(StoredResponse::Own);
        }
        ResponsePending { pool, key, attempt }.respond(status, body).await
    }

    /// Rolls everything back, the key's reservation as well.
    ///
    /// # Errors
    /// The database's.
    pub async fn roll_back(self) -> Result<(), sqlx::Error> {
        self.tx.rollback().await
    }

    /// Commits the change before its response is known, because the response depends on something slow.
    /// The change must be repeatable: should this process die, or the request be dropped, the key is
    /// free after [`idempotency::STALE`].
    ///
    /// # Errors
    /// The database's.
    pub async fn commit(self) -> Result<ResponsePending, sqlx::Error> {
        self.tx.commit().await?;
        Ok(ResponsePending { pool: self.pool, key: self.key, attempt: self.attempt })
    }
}

impl ResponsePending {
    /// Stores the response under the key.
    ///
    /// # Errors
    /// The database's.
    pub async fn respond(self, status: u16, body: &Value) -> Result<StoredResponse, sqlx::Error> {
        match &self.key {
            Some(key) => {
                let (key, body) = (key.clone(), body.clone());
                let response = NewResponse { key, subject: self.attempt, status, body };
                again(|| idempotency::save(&self.pool, response.clone())).await
            }
            None => Ok(StoredResponse::Own),
        }
    }
}

/// 55P03: an earlier request with the key holds it for longer than the lock timeout.
fn is_lock_timeout(cause: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let code = cause.downcast_ref::<sqlx::Error>().and_then(|error| error.as_database_error()?.code());
    code.is_some_and(|code| code == "55P03")
}
