//! A change that is one transaction, done once for a client's key: the key is taken, the change made and the answer
//! written in the same transaction. A crash leaves all of it or nothing; a repeat waits for the first and gets its answer.
//!
//! Safe to drop at every await: before the commit nothing has happened, in it all or nothing, and after it the key has the
//! answer.

use super::{Answer, IdempotencyKey, Kept};
use crate::storage::{self, again};
use crate::{domain::Error, idempotency};
use serde_json::Value;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

/// The transaction of a change whose key is ours (or that has none).
pub struct Once {
    pool: PgPool,
    tx: Transaction<'static, Postgres>,
    key: Option<IdempotencyKey>,
    attempt: Uuid,
}

/// A change that is committed, and whose answer is still to come.
pub struct Unanswered {
    pool: PgPool,
    key: Option<IdempotencyKey>,
    attempt: Uuid,
}

/// What beginning says.
pub enum Begun {
    /// Go on.
    Ours(Once),
    /// An earlier request had the key.
    Earlier(Kept),
}

impl Once {
    /// Begins, and takes the key. Waits for an earlier request with this key that is about to commit, for as long as
    /// any lock is waited for.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin(pool: &PgPool, key: Option<&IdempotencyKey>) -> Result<Begun, Error> {
        let attempt = Uuid::now_v7();
        let mut tx = storage::begin(pool).await?;
        let taken = idempotency::take(&mut tx, key, attempt).await;
        match (taken, key) {
            (Ok(()), _) => Ok(Begun::Ours(Self { pool: pool.clone(), tx, key: key.cloned(), attempt })),
            (Err(Error::KeyTaken), Some(key)) => {
                tx.rollback().await?;
                Ok(Begun::Earlier(idempotency::load(pool, key).await?.unwrap_or(Kept::Running)))
            }
            (Err(Error::Broken(cause)), _) if is_lock_timeout(&*cause) => Ok(Begun::Earlier(Kept::Running)),
            (Err(error), _) => Err(error),
        }
    }

    /// Where the change is made.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Writes the answer under the key and commits it with the change.
    ///
    /// # Errors
    /// The database's; whether it committed may then be unknown, and the same key tells.
    pub async fn end(mut self, status: u16, body: &Value) -> Result<(), Error> {
        let status = i16::try_from(status).unwrap_or(i16::MAX);
        idempotency::answer(&mut self.tx, self.key.as_ref(), self.attempt, status, body).await?;
        Ok(self.tx.commit().await?)
    }

    /// Undoes everything and keeps a refusal under the key, unless an earlier request is there first.
    ///
    /// # Errors
    /// The database's.
    pub async fn refuse(self, status: u16, body: &Value) -> Result<Kept, sqlx::Error> {
        let Self { pool, tx, key, attempt } = self;
        tx.rollback().await?;
        Unanswered { pool, key, attempt }.answer(status, body).await
    }

    /// Undoes everything, the key as well.
    ///
    /// # Errors
    /// The database's.
    pub async fn give_up(self) -> Result<(), sqlx::Error> {
        self.tx.rollback().await
    }

    /// Commits the change before its answer is known, because something has to be waited for. The change must bear being
    /// made again: should this process die, or the request be dropped, the key is free after [`idempotency::STALE`].
    ///
    /// # Errors
    /// The database's.
    pub async fn commit(self) -> Result<Unanswered, sqlx::Error> {
        self.tx.commit().await?;
        Ok(Unanswered { pool: self.pool, key: self.key, attempt: self.attempt })
    }
}

impl Unanswered {
    /// Keeps the answer under the key.
    ///
    /// # Errors
    /// The database's.
    pub async fn answer(self, status: u16, body: &Value) -> Result<Kept, sqlx::Error> {
        match &self.key {
            Some(key) => {
                let (key, body) = (key.clone(), body.clone());
                let answer = Answer { key, subject: self.attempt, status, body };
                again(|| idempotency::keep(&self.pool, answer.clone())).await
            }
            None => Ok(Kept::Ours),
        }
    }
}

/// 55P03: an earlier request with the key holds it for longer than locks are waited for.
fn is_lock_timeout(cause: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let code = cause.downcast_ref::<sqlx::Error>().and_then(|error| error.as_database_error()?.code());
    code.is_some_and(|code| code == "55P03")
}
